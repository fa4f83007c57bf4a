"""All words of the page, by the names under which its template and its scripts know them."""

from __future__ import annotations

from cnntrain.language.translation import later, tr

TEXTS = {
    # the pad
    "draw": later("Draw here"),
    "draw_hint": later("with the mouse, a finger or a pen, or drop an image"),
    "undo": later("Undo"),
    "erase": later("Clear"),
    "open_file": later("Open an image"),
    "color": later("Colour of the pen"),
    "seen": later("What the network sees"),
    "seen_centred": later(
        "scaled to a box of {side} × {side} pixels and centred by mass, as the training images are"
    ),
    "seen_sized": later("{width} × {height} pixels"),
    "not_an_image": later("{name} can't be read as an image"),
    # what is going on
    "loading": later("loading the network …"),
    "ready": later("{milliseconds} ms for the last answer, all in this browser"),
    "failed": later("The network can't run in this browser: {reason}"),
    # the answer
    "probabilities": later("Probabilities"),
    "boxes": later("Objects"),
    "masks": later("Shares of the image"),
    "nothing_found": later("no object found"),
    "gallery": later("Test images"),
    "test_image": later("test image: {name}"),
    # the layers
    "layers": later("Inside the network"),
    "layers_hint": later("Click on a value: the page shows what it was computed from."),
    "no_layers": later("This network has no layers that the page can show."),
    "input": later("input, normalised"),
    "between": later("what enters {name}"),
    "some_of": later("the first {shown} of {total} maps"),
    "maps": later("{count} maps of {height} × {width}"),
    "one_map": later("1 map of {height} × {width}"),
    "values": later("{count} values"),
    "steps": later("{steps} steps (rows) of {values} values (columns)"),
    "scale": later("from −{largest} (blue) over 0 to {largest} (orange)"),
    # how one value came about
    "close": later("Close"),
    "value_of_map": later("{layer}: map {channel}, row {row}, column {column}"),
    "value_of_vector": later("{layer}: value {place}"),
    "value_of_step": later("{layer}: step {row}, value {column}"),
    "conv_rule": later(
        "Each number in the window is multiplied by the number of the kernel at its place; the "
        "sum of all products and the bias is the value."
    ),
    "max_rule": later("The value is the largest number in the window."),
    "mean_rule": later("The value is the mean of the numbers in the window."),
    "linear_rule": later(
        "Each of {count} values is multiplied by a weight; the sum of all products and the bias is the value."
    ),
    "pointwise_rule": later("The layer maps each number by itself:"),
    "no_rule": later("This layer is not a sum over a window: the page shows its value alone."),
    "map_number": later("map {channel} of {layer}"),
    "window": later("window"),
    "kernel": later("kernel"),
    "products": later("products"),
    "inputs": later("inputs"),
    "weights": later("weights"),
    "sum": later("sum"),
    "bias": later("bias"),
    "other_maps": later("{count} other maps, together"),
    "other_products": later("{count} other products, together"),
    # the foot
    "about": later(
        "{model}, trained by cnntrain {version}. It runs in this browser: nothing is sent anywhere. "
        "Computed by ONNX Runtime Web {runtime} (MIT licence, © Microsoft Corporation)."
    ),
    "no_script": later("This page runs the network in JavaScript, which is switched off here."),
}


def said() -> dict[str, str]:
    """Return all texts in the language that is spoken."""
    return {name: tr(text) for name, text in TEXTS.items()}
