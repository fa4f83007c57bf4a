"""Name the class of image files with model.onnx, which lies beside this file.

Type: python predict.py FILE_OR_FOLDER...

It needs onnxruntime, Pillow and numpy, and nothing else. The model takes bytes; normalisation and softmax are
inside it. How a file becomes those bytes is said in the model's metadata, and done here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps, UnidentifiedImageError

USAGE = "usage: python predict.py FILE_OR_FOLDER...  (the likeliest class of each image, and its probability)"
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
    """Return height and width of a size as the metadata have it: the side of a square, or both."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def to_size(image: Image.Image, height: int, width: int, resize: str) -> Image.Image:
    """Bring an image to a size: by its middle (crop), with black beside it (pad), or out of proportion."""
    wide, tall = image.size
    if (tall, wide) == (height, width):
        return image
    if resize == "crop":
        scale = min(tall / height, wide / width)
        high, broad = max(1, round(height * scale)), max(1, round(width * scale))
        left, top = (wide - broad) // 2, (tall - high) // 2
        image = image.crop((left, top, left + broad, top + high))
    if resize != "pad":
        return image.resize((width, height), Image.Resampling.BILINEAR)
    scale = min(height / tall, width / wide)
    high, broad = max(1, round(tall * scale)), max(1, round(wide * scale))
    result = Image.new(image.mode, (width, height))
    scaled = image.resize((broad, high), Image.Resampling.BILINEAR)
    result.paste(scaled, ((width - broad) // 2, (height - high) // 2))
    return result


def read(path: str, how: dict[str, Any]) -> np.ndarray:
    """Return an image as the model takes it: uint8 (1, C, H, W)."""
    (tall, wide), (height, width) = sides(how["resize_size"]), sides(how["image_size"])
    if Path(path).exists() and not Path(path).is_file():  # a FIFO would wait for ever
        raise OSError("not a regular file")
    with Image.open(path, formats=FORMATS) as image:
        image.draft(None, (max(tall, wide), max(tall, wide)))  # JPEGs, at a fraction of their size
        image.load()
        deep = image.mode.startswith("I") or image.mode == "F"
        flat = eight_bits(image, how["value_range"]) if deep else on_white(image)
        orientation = image.getexif().get(0x0112, 1)
    flat.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(flat).convert(how["mode"])
    left, top = (wide - width) // 2, (tall - height) // 2
    scaled = to_size(upright, tall, wide, how["resize"])
    pixels = np.asarray(scaled.crop((left, top, left + width, top + height)))
    return np.ascontiguousarray(np.atleast_3d(pixels).transpose(2, 0, 1)[None])


def files_of(word: str) -> list[str]:
    """Return the file that was typed, or all files of a folder with an image extension."""
    if not Path(word).is_dir():
        return [word]
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS}
    images = [path for path in Path(word).rglob("[!.]*") if path.suffix.lower() in known]
    if not images:
        raise OSError("a folder without image files")
    return [str(path) for path in sorted(images)]


def images_of(words: list[str], how: dict[str, Any]) -> Iterator[tuple[str, np.ndarray | str]]:
    """Yield each file and its image as the model takes it, or why it can't be read."""
    for word in words:
        try:
            files = files_of(word)
        except OSError as error:
            yield word, reason(error)
            continue
        for file in files:
            try:
                yield file, read(file, how)
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


def main(words: list[str]) -> int:
    """Print the likeliest class of each file, and its probability. Return 1 if a file could not be read."""
    if not words or {"-h", "--help"} & set(words):
        print(USAGE, file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    try:
        session = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"))
        metadata = session.get_modelmeta().custom_metadata_map
        names, how = json.loads(metadata["class_names"]), json.loads(metadata["preprocessing"])
    except Exception as error:  # onnxruntime has its own kinds
        print(f"model.onnx can't be read: {line(str(error))}", file=sys.stderr)
        return 2
    failed = 0
    for file, image in images_of(words, how):
        if isinstance(image, str):
            print(f"{line(file)}: {line(image)}", file=sys.stderr)
            failed += 1
            continue
        (probabilities,) = session.run(None, {"images": image})[0]
        best = int(probabilities.argmax())
        print(f"{line(file)}\t{line(names[best])}\t{probabilities[best]:.6f}")
    return int(failed > 0)


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has gone, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 1
    sys.exit(code)
