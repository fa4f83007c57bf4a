"""What lies beside an exported model: how image files become its input, in words and as a script."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnntrain.data.resize import side_or_both, sides
from cnntrain.inference.model import Trained
from cnntrain.runs.named_output import save_bytes
from cnntrain.tasks.base import Task
from cnntrain.tasks.portable import script as in_common
from cnntrain.text import encoded, printable, some

README, SCRIPT = "README.md", "predict.py"
RESIZE = {  # to a square, by its side
    "crop": "take the square in the middle, as wide as the shorter side, and scale it to {width} x {height} "
    "pixels",
    "pad": "scale the longer side to {width} pixels, and put black beside it to make a square of {height}",
    "squash": "scale it to {width} x {height} pixels, out of proportion",
}
RESIZE_TO_OBLONG = {  # widths are named before heights
    "crop": "take the largest part in the middle that is in proportion {width}:{height} (width:height), and "
    "scale it to {width} x {height} pixels",
    "pad": "scale it in proportion to fit into {width} x {height} pixels (width x height), and put black "
    "beside it to make an image of that size",
    "squash": "scale it to {width} x {height} pixels (width x height), out of proportion",
}
# Where each pixel gets a class, nothing is cut off.
COVER = "scale it in proportion to cover {width} x {height} pixels (width x height), and keep all of it"
FILES = {
    "onnx": "`model.onnx`: for onnxruntime and other programs.\n  Input `images`, {input};\n  output "
    "`{name}`, {output}.\n  {inside} inside.",
    "pt2": '`model.pt2`: `torch.export.load("model.pt2").module()(images)`, with the same input and output.',
    "safetensors": "`model.safetensors`: the weights alone, by the names of the network's state_dict.\n  Its "
    "input is float32, normalised; its outputs are {raw}.",
}
TEXT = """# {model}, exported by cnntrain {cnntrain}

{files}

Each file holds, in its metadata, the names of the {count} classes, the normalisation and the preprocessing.
The classes: {names}.

## From an image file to the input

The models take bytes of {takes}. None of these steps is inside them:

1. Decode the file. A JPEG is decoded at 1/2, 1/4 or 1/8, as long as its sides keep {at_least} pixels.
2. Images of more than 8 bits: {value_range}.
3. Composite what is transparent on white, and apply the orientation that EXIF says.
4. Convert to {mode}.
5. Resize: {resize}, bilinear with antialiasing (`Image.Resampling.BILINEAR` of Pillow).{central}
6. Arrange the pixels as ({batch}, C, H, W), with values from 0 to 255.
{afterwards}{script}
The metadata have this as `preprocessing`{order}:

```json
{preprocessing}
```
"""
IMPORT = r"(?m)^from cnntrain\.tasks\.portable\.script import (\([^)]*\)|.*)\n"  # on one line or on several
WINDOWS = """\
7. Cut it into windows of {width} x {height} pixels, spread evenly, that overlap by a quarter at least.
   Blend their probabilities: the weight of a window falls off linearly towards its border.
8. Scale the probabilities of the image's part back to the size of the file, bilinearly. The class of a
   pixel is the likeliest one.
"""
RUN = """
`predict.py` does so with Pillow and numpy, and runs `model.onnx` with onnxruntime. It needs nothing of
cnntrain, and {does}, up to the precision that predict computes in
(`precision=fp32` is that of the script). A file that it can't read gets a line on standard error:

```sh
pip install onnxruntime pillow numpy
python predict.py {words}
```
"""


def preprocessing(trained: Trained) -> dict[str, Any]:
    """Return how an image file becomes the input of a model, as plain types."""
    value_range = trained.decoding.value_range
    return {
        "value_range": None if value_range is None else list(value_range),
        "background": "white",
        "exif": "orientation applied",
        "mode": "L" if trained.shape[0] == 1 else "RGB",
        "resize": trained.resize,
        "resize_size": trained.resize_size,
        "filter": "bilinear, antialiased",
        "image_size": side_or_both(trained.shape[1:]),
    }


def sizes_taken(size: Sequence[int], any_size: bool, any_height_as_onnx: bool) -> str:
    """Describe which images exported models take.

    Args:
        size: height and width of the images in training.
        any_size: whether the models take images of any height and width.
        any_height_as_onnx: whether there is an ONNX file that takes images of any height.
    """
    height, width = size
    if any_size:
        return f"images of any size, but they learnt from {width} x {height} pixels (width x height)"
    only = f"images of {width} x {height} pixels (width x height), and no other size"
    if any_height_as_onnx:
        return f"{only}; `model.onnx` takes any height, since each row is a step"
    return only


def describe(
    folder: Path, formats: Sequence[str], facts: Mapping[str, str], task: Task, takes: str
) -> list[str]:
    """Write the README and, for ONNX, the script; return the names of both.

    Args:
        folder: the folder of the exported models.
        formats: those that the model was exported to.
        facts: what the metadata of the files say.
        task: the task of the models.
        takes: which images they take, in words, see :func:`sizes_taken`.

    Raises:
        RunFailed: a file can't be written.
    """
    exported = task.exported()
    script = exported.script if "onnx" in formats else None
    text = readme(formats, facts, task, takes, script is not None)
    save_bytes(folder / README, encoded(text))
    if script is not None:
        save_bytes(folder / SCRIPT, standalone(script).encode())
    return [README] if script is None else [README, SCRIPT]


def standalone(script: Path) -> str:
    """Return a program as one file: ``tasks/portable/script.py`` in place of the line that imports it."""
    begin = "from __future__ import annotations\n"
    module = Path(in_common.__file__).read_text("utf-8").partition(begin)[2].lstrip()
    text, times = re.subn(IMPORT, lambda _: module, script.read_text("utf-8"))
    assert times == 1
    return text


def readme(formats: Sequence[str], facts: Mapping[str, str], task: Task, takes: str, has_script: bool) -> str:
    """Return the README, see :func:`describe`."""
    exported = task.exported()
    how, names = json.loads(facts["preprocessing"]), json.loads(facts["class_names"])
    black, white = how["value_range"] or (0, 65535)
    head = f" and {exported.head} are" if exported.head else " is"
    known = {"name": exported.output, "raw": exported.raw, "inside": f"The normalisation{head}"}
    (tall, wide), (height, width) = sides(how["resize_size"]), sides(how["image_size"])
    resize = (RESIZE if tall == wide else RESIZE_TO_OBLONG)[how["resize"]]
    central = f" Of that take the middle, {width} x {height} pixels."
    if task.labels_pixels:
        resize = COVER if how["resize"] == "crop" else resize
    is_oblong = tall != wide or height != width
    does, words = exported.does
    return TEXT.format(
        **{name: facts[name] for name in ("cnntrain", "model")},
        files="\n".join(f"- {FILES[kind].format(**facts, **known)}" for kind in formats),
        count=len(names),
        names=printable(some(names)),
        batch=1 if exported.one_at_a_time else "N",
        takes=takes,
        at_least=max(tall, wide),
        value_range=f"{black:g} becomes 0 and {white:g} becomes 255, what lies beyond is cut off",
        mode="grey (`L`)" if how["mode"] == "L" else "colour (`RGB`)",
        resize=resize.format(height=tall, width=wide),
        central="" if (tall, wide) == (height, width) or task.labels_pixels else central,
        order=", where sizes are [height, width]" if is_oblong else "",
        afterwards=WINDOWS.format(width=width, height=height) if task.labels_pixels else "",
        script=RUN.format(does=does, words=words) if has_script else "",
        preprocessing=json.dumps(how, indent=2),
    )
