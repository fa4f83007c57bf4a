"""All words of the page, by the names under which its template and its scripts know them."""

from __future__ import annotations

TEXTS = {
    # the pad
    "draw": "Draw here",
    "draw_hint": "with the mouse, a finger or a pen, or drop an image",
    "undo": "Undo",
    "erase": "Clear",
    "open_file": "Open an image",
    "color": "Colour of the pen",
    "seen": "What the network sees",
    "seen_centred": "scaled to a box of {side} × {side} pixels and centred by mass, as the training "
    "images are",
    "seen_sized": "{width} × {height} pixels",
    "not_an_image": "{name} can't be read as an image",
    # what is going on
    "loading": "loading the network …",
    "ready": "{milliseconds} ms for the last answer, all in this browser",
    "failed": "The network can't run in this browser: {reason}",
    # the answer
    "answer": "Answer",
    "probabilities": "Probabilities",
    "boxes": "Objects",
    "masks": "Shares of the image",
    "nothing_found": "no object found",
    "gallery": "Test images",
    "test_image": "test image: {name}",
    # the layers
    "layers": "Inside the network",
    "layers_hint": "Click on a value: the page shows what it was computed from.",
    "no_layers": "This network has no layers that the page can show.",
    "input": "input, normalised",
    "between": "what enters {name}",
    "some_of": "the first {shown} of {total} maps",
    "maps": "{count} maps of {height} × {width}",
    "one_map": "1 map of {height} × {width}",
    "values": "{count} values",
    "steps": "{steps} steps (rows) of {values} values (columns)",
    "scale": "from −{largest} (blue) over 0 to {largest} (orange)",
    # how one value came about
    "close": "Close",
    "value_of_map": "{layer}: map {channel}, row {row}, column {column}",
    "value_of_vector": "{layer}: value {place}",
    "value_of_step": "{layer}: step {row}, value {column}",
    "conv_rule": "Each number in the window is multiplied by the number of the kernel at its place; the "
    "sum of all products and the bias is the value.",
    "max_rule": "The value is the largest number in the window.",
    "mean_rule": "The value is the mean of the numbers in the window.",
    "linear_rule": "Each of {count} values is multiplied by a weight; the sum of all products and the "
    "bias is the value.",
    "pointwise_rule": "The layer maps each number by itself:",
    "no_rule": "This layer is not a sum over a window: the page shows its value alone.",
    "map_number": "map {channel} of {layer}",
    "window": "window",
    "kernel": "kernel",
    "products": "products",
    "inputs": "inputs",
    "weights": "weights",
    "sum": "sum",
    "bias": "bias",
    "other_maps": "{count} other maps, together",
    "other_products": "{count} other products, together",
    # the foot
    "about": "{model}, trained by cnntrain {version}. It runs in this browser: nothing is sent anywhere. "
    "Computed by ONNX Runtime Web {runtime} (MIT licence, © Microsoft Corporation).",
    "no_script": "This page runs the network in JavaScript, which is switched off here.",
}
