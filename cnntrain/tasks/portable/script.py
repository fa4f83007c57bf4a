"""What the programs beside exported models have in common: image files become the input of ``model.onnx``.

It becomes a part of each ``predict.py``, see ``inference/portable/description.py``, and needs onnxruntime,
Pillow and numpy alone.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

T = TypeVar("T")
HELP = {"-h", "--help"}
# Pillow would start Ghostscript for EPS.
FORMATS = [
    "AVIF",
    "BMP",
    "DIB",
    "GIF",
    "ICO",
    "JPEG",
    "JPEG2000",
    "PCX",
    "PNG",
    "PPM",
    "QOI",
    "SGI",
    "SUN",
    "TGA",
    "TIFF",
    "WEBP",
]


@dataclass
class Model:
    """A model and its metadata.

    Args:
        session: onnxruntime's.
        names: the names of the classes.
        how: an image file becomes the input.
        metadata: all of them.
    """

    session: Any
    names: list[str]
    how: dict[str, Any]
    metadata: dict[str, str]

    @classmethod
    def load(cls, file: Path) -> Model:
        """Read a model.

        Raises:
            Exception: it can't be read; onnxruntime has its own kinds.
        """
        import onnxruntime  # which cnntrain can do without

        session = onnxruntime.InferenceSession(file)
        metadata = session.get_modelmeta().custom_metadata_map
        names, how = json.loads(metadata["class_names"]), json.loads(metadata["preprocessing"])
        return cls(session, names, how, metadata)

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Return what the model gives for images, uint8 (N, C, H, W)."""
        outputs: np.ndarray = self.session.run(None, {"images": images})[0]
        return outputs


def eight_bits(image: Image.Image, value_range: list[float] | None) -> Image.Image:
    """Scale an image of 16 or 32 bits a value to 8."""
    black, white = value_range or [0, 65535]
    values = np.asarray(image, dtype=np.float64)
    grey = ((values - black) / (white - black) * 255).round().clip(0, 255).astype(np.uint8)
    if isinstance(image.info.get("transparency"), int):
        grey[values == image.info["transparency"]] = 255
    return Image.fromarray(grey)


def on_white(image: Image.Image) -> Image.Image:
    """Composite what is transparent on white."""
    if image.mode not in ("LA", "La", "PA", "RGBA", "RGBa") and "transparency" not in image.info:
        return image
    is_grey = image.mode in ("1", "L", "LA", "La")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("L" if is_grey else "RGB")


def sides(size: int | list[int]) -> tuple[int, int]:
    """Return height and width of a size: the side of a square, or both."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def fitted(image: Image.Image, size: tuple[int, int], resize: str) -> Image.Image:
    """Scale an image to a height and width: its middle (crop), with black beside it (pad), or distorted."""
    (width, height), (tall, wide) = image.size, size
    if (height, width) == size:
        return image
    if resize == "squash" or height * wide == width * tall:
        return image.resize((wide, tall), Image.Resampling.BILINEAR)
    if resize == "crop":
        scale = min(height / tall, width / wide)
        high, broad = max(1, round(tall * scale)), max(1, round(wide * scale))
        left, top = (width - broad) // 2, (height - high) // 2
        part = image.crop((left, top, left + broad, top + high))
        return part.resize((wide, tall), Image.Resampling.BILINEAR)
    scale = min(tall / height, wide / width)
    broad, high = max(1, round(width * scale)), max(1, round(height * scale))
    result = Image.new(image.mode, (wide, tall))
    small = image.resize((broad, high), Image.Resampling.BILINEAR)
    result.paste(small, ((wide - broad) // 2, (tall - high) // 2))
    return result


def upright(path: str, how: dict[str, Any]) -> tuple[Image.Image, tuple[int, int]]:
    """Return an image in the model's colours as a viewer shows it, and height and width of the file."""
    if Path(path).exists() and not Path(path).is_file():  # a FIFO would wait for ever
        raise OSError("not a regular file")
    with Image.open(path, formats=FORMATS) as image:
        width, height = image.size
        at_least = max(sides(how["resize_size"]))
        image.draft(None, (at_least, at_least))  # JPEGs, at a fraction of their size
        image.load()
        deep = image.mode.startswith("I") or image.mode == "F"
        flat = eight_bits(image, how["value_range"]) if deep else on_white(image)
        orientation = image.getexif().get(0x0112, 1)
    flat.getexif()[0x0112] = orientation
    is_turned = orientation in (5, 6, 7, 8)
    size = (width, height) if is_turned else (height, width)
    return ImageOps.exif_transpose(flat).convert(how["mode"]), size


def pixels_of(image: Image.Image) -> np.ndarray:
    """Return an image as a model takes it: uint8 (1, C, H, W)."""
    return np.ascontiguousarray(np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)[None])


def middle(path: str, how: dict[str, Any]) -> tuple[np.ndarray, tuple[int, int]]:
    """Return an image file as a model of one size takes it, uint8 (1, C, H, W), and its height and width."""
    image, size = upright(path, how)
    large, (height, width) = sides(how["resize_size"]), sides(how["image_size"])
    top, left = (large[0] - height) // 2, (large[1] - width) // 2
    whole = fitted(image, large, how["resize"])
    return pixels_of(whole.crop((left, top, left + width, top + height))), size


def files_of(word: str) -> list[str]:
    """Return the file that was typed, or all files of a folder with an image extension."""
    if not Path(word).is_dir():
        return [word]
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS}
    images = [path for path in Path(word).rglob("[!.]*") if path.suffix.lower() in known]
    if not images:
        raise OSError("a folder without image files")
    return [str(path) for path in sorted(images)]


def read_all(words: list[str], read: Callable[[str], T]) -> Iterator[tuple[str, T | str]]:
    """Yield each file and what is read of it, or why it can't be."""
    for word in words:
        try:
            files = files_of(word)
        except OSError as error:
            yield word, reason(error)
            continue
        for file in files:
            try:
                yield file, read(file)
            except Exception as error:  # Pillow raises nearly anything for a damaged file
                yield file, reason(error)


def reason(error: Exception) -> str:
    """Return why a file can't be read."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def line(text: str) -> str:
    """Return text without newlines and what else a terminal obeys."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def report_each(words: list[str], read: Callable[[str], T], show: Callable[[str, T], None]) -> int:
    """Report each file: pass what was read to ``show``, or print why not; return 1 if any file failed."""
    failed = 0
    for file, found in read_all(words, read):
        if isinstance(found, str):
            print(f"{line(file)}: {line(found)}", file=sys.stderr)
            failed = 1
        else:
            show(file, found)
    return failed


def program(usage: str, least: int, work: Callable[[list[str], Model], int]) -> int:
    """Run a program on what was typed and the model beside it, and return its exit code.

    Args:
        usage: how it is called.
        least: words that must be typed.
        work: is given the words and the model, and returns the exit code.
    """
    words = sys.argv[1:]
    if len(words) < least or HELP & set(words):
        is_wrong = not HELP & set(words)
        print(usage, file=sys.stderr if is_wrong else sys.stdout)
        return 2 if is_wrong else 0
    try:  # this file is predict.py by then
        model = Model.load(Path(__file__).with_name("model.onnx"))
    except Exception as error:
        print(f"model.onnx can't be read: {line(str(error))}", file=sys.stderr)
        return 2
    return ended(lambda: work(words, model))


def ended(code: Callable[[], int]) -> int:
    """Run a program and return its exit code, in silence if the reader of its output has gone."""
    try:
        result = code()
        sys.stdout.flush()
    except BrokenPipeError:  # as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    return result
