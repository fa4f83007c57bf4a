"""The images that a detection's report shows: objects dashed, boxes of the network solid."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

from PIL import Image
from torch import Tensor

from cnntrain.annotations.regions import BOX_CLASS, BOX_IGNORED
from cnntrain.drawing.masks import css, palette
from cnntrain.tasks.detection.boxes import SCORE
from cnntrain.tasks.report import Evaluated
from cnntrain.text import printable

SIDE = 240  # pixels at least; a smaller image is drawn larger
STYLE = """
.boxes { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(13rem, 100%), 1fr)); gap: 1rem; }
.boxes figure { margin: 0; min-width: 0; }
.boxes svg { display: block; width: 100%; height: auto; border-radius: 3px; image-rendering: pixelated; }
.boxes figcaption { font-size: .8rem; overflow-wrap: anywhere; margin-top: .2rem; }
"""


def gallery(seen: Evaluated, chosen: Sequence[int], score: float, captions: Sequence[str]) -> str:
    """Return some images as HTML, with their objects and the boxes with at least some score.

    Args:
        seen: the evaluation.
        chosen: indices of the images.
        score: the lowest score of a box that is drawn.
        captions: what is said about each.
    """
    shown = []
    for index, caption in zip(chosen, captions, strict=True):  # one by one: large ones are many bytes
        image = seen.images.load([index])[0]
        name = printable(seen.images.name(index))
        svg = drawn(image, seen.result.truth[index], seen.result.found[index], score, seen.class_names, name)
        file = escape(name).replace("/", "/<wbr>")
        shown.append(
            f"<figure>{svg}<figcaption>{escape(caption)}<br>"
            f'<span class="file">{file}</span></figcaption></figure>'
        )
    return f'<div class="boxes">{"".join(shown)}</div>'


def drawn(image: Tensor, truth: Tensor, found: Tensor, score: float, names: Sequence[str], title: str) -> str:
    """Return an image, uint8 (C, H, W), as SVG with boxes over it.

    Args:
        image: uint8 (C, H, W).
        truth: objects, float32 (M, 6).
        found: boxes, float32 (K, 6).
        score: the lowest score of a box that is drawn.
        names: the names of the classes.
        title: the title of the image, for those who can't see it.
    """
    height, width = image.shape[1:]
    unit = max(height, width) / SIDE  # of lines and letters, in pixels of the image
    parts = [f'<image href="{as_uri(image)}" width="{width}" height="{height}"/>']
    colors = palette()
    for row in truth.tolist():
        if row[BOX_CLASS] >= 0:
            color = "#999" if row[BOX_IGNORED] else css(colors[int(row[BOX_CLASS]) + 1])
            parts.append(rectangle(row, color, unit, f'stroke-dasharray="{4 * unit:.2f} {3 * unit:.2f}"'))
    for row in found.tolist():
        if row[SCORE + 1] < 0 or row[SCORE] < score:
            continue
        color, label = css(colors[int(row[SCORE + 1]) + 1]), names[int(row[SCORE + 1])]
        parts.append(rectangle(row, color, unit))
        x, y = max(0.0, row[0]) + unit, max(9 * unit, row[1] - 2 * unit)
        text = escape(f"{printable(label)} {row[SCORE]:.0%}")
        parts.append(
            f'<text x="{x:.2f}" y="{y:.2f}" font-size="{10 * unit:.2f}" fill="{color}" stroke="#000" '
            f'stroke-width="{2 * unit:.2f}" paint-order="stroke">{text}</text>'
        )
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def rectangle(row: Sequence[float], color: str, unit: float, more: str = "") -> str:
    """Return a box as SVG."""
    left, top, right, bottom = row[:4]
    return (
        f'<rect x="{left:.2f}" y="{top:.2f}" width="{right - left:.2f}" height="{bottom - top:.2f}" '
        f'fill="none" stroke="{color}" stroke-width="{1.5 * unit:.2f}" {more}/>'
    )


def as_uri(image: Tensor) -> str:
    """Return an image, uint8 (C, H, W), as a ``data:`` address."""
    channels = image[: 3 if len(image) >= 3 else 1].permute(1, 2, 0).numpy()
    kind = "JPEG" if max(image.shape[1:]) > SIDE else "PNG"
    buffer = io.BytesIO()
    Image.fromarray(channels.squeeze(2) if channels.shape[2] == 1 else channels).save(buffer, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
