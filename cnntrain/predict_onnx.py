"""Name the class of image files with model.onnx, which lies beside this file: python predict.py FILE...

It needs onnxruntime, Pillow and numpy, and nothing else. The model takes bytes; normalisation and softmax are
inside it. How a file becomes those bytes is said in the model's metadata, and done here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

# Pillow would start Ghostscript for EPS.
FORMATS = [
    "AVIF",
    "BMP",
    "GIF",
    "ICO",
    "JPEG",
    "JPEG2000",
    "PCX",
    "PNG",
    "PPM",
    "QOI",
    "SGI",
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


def square(image: Image.Image, side: int, resize: str) -> Image.Image:
    """Make a square of an image: its middle (crop), with black beside it (pad), or out of proportion."""
    width, height = image.size
    if width == height == side:
        return image
    if resize == "crop":
        short = min(width, height)
        left, top = (width - short) // 2, (height - short) // 2
        image = image.crop((left, top, left + short, top + short))
    if resize != "pad":
        return image.resize((side, side), Image.Resampling.BILINEAR)
    scale = side / max(width, height)
    wide, tall = max(1, round(width * scale)), max(1, round(height * scale))
    result = Image.new(image.mode, (side, side))
    result.paste(
        image.resize((wide, tall), Image.Resampling.BILINEAR), ((side - wide) // 2, (side - tall) // 2)
    )
    return result


def read(path: str, how: dict[str, Any]) -> np.ndarray:
    """Return an image as the model takes it: uint8 (1, C, H, W)."""
    with Image.open(path, formats=FORMATS) as image:
        image.draft(None, (how["resize_size"], how["resize_size"]))  # JPEGs, at a fraction of their size
        image.load()
        deep = image.mode.startswith("I") or image.mode == "F"
        flat = eight_bits(image, how["value_range"]) if deep else on_white(image)
        orientation = image.getexif().get(0x0112, 1)
    flat.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(flat).convert(how["mode"])
    scaled = square(upright, how["resize_size"], how["resize"])
    first = (how["resize_size"] - how["image_size"]) // 2
    last = first + how["image_size"]
    pixels = np.asarray(scaled.crop((first, first, last, last)))
    return np.ascontiguousarray(np.atleast_3d(pixels).transpose(2, 0, 1)[None])


def main(files: list[str]) -> None:
    """Print the likeliest class of each file, and its probability."""
    session = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"))
    metadata = session.get_modelmeta().custom_metadata_map
    names, how = json.loads(metadata["class_names"]), json.loads(metadata["preprocessing"])
    for file in files:
        (probabilities,) = session.run(None, {"images": read(file, how)})[0]
        best = int(probabilities.argmax())
        print(f"{file}\t{names[best]}\t{probabilities[best]:.6f}")


if __name__ == "__main__":
    main(sys.argv[1:])
