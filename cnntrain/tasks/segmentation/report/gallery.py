"""The images that a report shows: image, truth, prediction and errors side by side."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from cnntrain.annotations.regions import IGNORED
from cnntrain.drawing.masks import css, in_colors, palette, striped
from cnntrain.tasks.report import Evaluated
from cnntrain.tasks.segmentation.boundary import DISTANCE
from cnntrain.tasks.segmentation.metrics import iou_of, pixel_counts
from cnntrain.tasks.segmentation.predictions import MaskScores
from cnntrain.tasks.segmentation.report.borders import near_borders
from cnntrain.text import printable

WORST, BEST = 8, 4
SIDE = 192  # pixels; side of a tile at most
FAR, NEAR = (224, 36, 94), (255, 176, 0)  # colours of errors away from borders, and at them
DIM = 0.4  # brightness of the image below its errors
KEYS = 24  # classes of the legend
STYLE = """
.fours { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(30rem, 100%), 1fr));
         gap: 1rem 1.4rem; }
.four { margin: 0; min-width: 0; }
.four > div { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 4px; }
.four img { display: block; width: 100%; height: auto; border-radius: 3px; image-rendering: pixelated; }
.four span { display: block; font-size: .72rem; color: var(--dim); text-align: center; }
.four .file { text-align: left; user-select: all; }
.fours + h3 { margin-top: 1rem; }
.four figcaption { font-size: .8rem; overflow-wrap: anywhere; margin-top: .2rem; }
.keys { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .8rem; margin: .2rem 0 .8rem; }
.keys i { display: inline-block; width: .9em; height: .9em; margin-right: .35em; border-radius: 2px;
          vertical-align: -.08em; border: 1px solid var(--line); }
@media (max-width: 40rem) { .four > div { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
"""


class Gallery:
    """The worst and the best images of an evaluation, segmented once more.

    Args:
        seen: the evaluation.
    """

    def __init__(self, seen: Evaluated) -> None:
        mask_scores: MaskScores = seen.kept
        order = mask_scores.worst_first()
        self.worst = order[:WORST]
        self.best = order[WORST:][::-1][:BEST]
        self.seen = seen
        self.labels: set[int] = set()
        self.has_ignored = False

    def shown(self, chosen: Sequence[int]) -> str:
        """Return some images as HTML, each with its truth, prediction and errors."""
        if not chosen:
            return ""
        rows = []
        for index in chosen:  # one by one: large ones are many bytes
            images, labels = self.seen.images.load_both([index])
            y = labels.long()
            predicted = self.seen.outputs(images).argmax(dim=1).cpu()
            rows.append(self.four(index, images, y, predicted))
        return f'<div class="fours">{"".join(rows)}</div>'

    def four(self, index: int, images: Tensor, y: Tensor, predicted: Tensor) -> str:
        """Return an image, uint8 (1, C, H, W), with its true and predicted classes, int64 (1, H, W)."""
        name = printable(self.seen.images.name(index))
        self.labels |= {*y.unique().tolist(), *predicted.where(y != IGNORED, y).unique().tolist()}
        caption = self.caption(index, y, predicted)
        tiles = "".join(
            f'<div><img src="{uri}" alt="{escape(f"{what} of {name}")}"><span>{what}</span></div>'
            for what, uri in drawn(images, y, predicted).items()
        )
        shown = escape(name).replace("/", "/<wbr>")
        return (
            f'<figure class="four"><div>{tiles}</div><figcaption>{escape(caption)}<br>'
            f'<span class="file">{shown}</span></figcaption></figure>'
        )

    def caption(self, index: int, y: Tensor, predicted: Tensor) -> str:
        """Return the IoU of an image, and of the class that it is worst in unless all are perfect."""
        mask_scores, names = self.seen.kept, self.seen.class_names
        iou = iou_of(pixel_counts(predicted, y, len(names)))[0]
        there = iou.isfinite().nonzero().flatten().tolist()
        text = f"mIoU {float(mask_scores.iou[index]):.1%}"
        text += (
            f", pixel accuracy {int(mask_scores.right[index]) / max(1, int(mask_scores.counted[index])):.1%}"
        )
        worst = min(there, key=lambda label: float(iou[label]), default=0)
        if len(there) < 2 or float(iou[worst]) == 1:
            return text
        return f"{text}; worst in {printable(names[worst])}: {float(iou[worst]):.1%}"

    def legend(self) -> str:
        """Return the colours of the classes that were shown, and of errors."""
        names, colors = self.seen.class_names, palette()
        labels = sorted(self.labels - {IGNORED})
        keys = [(css(colors[label]), printable(names[label])) for label in labels[:KEYS]]
        if len(labels) > KEYS:
            keys.append(("none", f"and {len(labels) - KEYS} more classes"))
        keys += [
            (css(NEAR), f"wrong, up to {DISTANCE} pixels from a true border"),
            (css(FAR), "wrong, farther away"),
        ]
        if IGNORED in self.labels:
            stripes = "repeating-linear-gradient(135deg, #606060 0 3px, #a0a0a0 3px 6px)"
            keys.append((stripes, "ignored"))
        inside = "".join(
            f'<span><i style="background:{color}"></i>{escape(name)}</span>' for color, name in keys
        )
        return f'<div class="keys">{inside}</div>'


def drawn(images: Tensor, y: Tensor, predicted: Tensor) -> dict[str, str]:
    """Return image, truth, prediction and errors as ``data:`` addresses, by what they are.

    Args:
        images: uint8 (1, C, H, W).
        y: true classes, int64 (1, H, W).
        predicted: classes, int64 (1, H, W).
    """
    wrong = (predicted != y) & (y != IGNORED)
    near = near_borders(y, DISTANCE)
    errors = wrong.long() + (wrong & near)  # 1 far from a border, 2 near one
    picture = sized(images[:, : 3 if images.shape[1] >= 3 else 1], smooth=True)[0].permute(1, 2, 0)
    colors = picture.expand(-1, -1, 3).numpy()
    truth, said, error = (
        sized(some[:, None].to(torch.uint8))[0, 0].numpy() for some in (y, predicted, errors)
    )
    below = (DIM * colors.mean(axis=2, keepdims=True)).repeat(3, axis=2).astype(np.uint8)
    marks = np.array([(0, 0, 0), FAR, NEAR], np.uint8)
    over = np.where(error[..., None] > 0, marks[error], below)
    none = truth == IGNORED
    tiles = {"truth": in_colors(truth), "prediction": in_colors(said), "errors": over}
    return {"image": data_uri(colors, "JPEG" if max(images.shape[2:]) > SIDE else "PNG")} | {
        what: data_uri(striped(tile, none), "PNG") for what, tile in tiles.items()
    }


def sized(images: Tensor, smooth: bool = False) -> Tensor:
    """Return images, uint8 (N, C, H, W), of a good size: enlarged by a whole number, or made smaller.

    Args:
        images: images of colours, or of class numbers.
        smooth: whether a pixel of a smaller image is the mean of its pixels; else it is one of them.
    """
    larger = SIDE // max(images.shape[2:])
    if larger >= 1:
        return images.repeat_interleave(larger, 2).repeat_interleave(larger, 3)
    scale = SIDE / max(images.shape[2:])
    size = [max(1, round(scale * side)) for side in images.shape[2:]]
    how = "area" if smooth else "nearest-exact"
    return F.interpolate(images.float(), size, mode=how).round().to(torch.uint8)


def data_uri(pixels: np.ndarray, kind: str) -> str:
    """Return an image, uint8 (H, W, 3), as a ``data:`` address of a PNG or a JPEG file."""
    image, buffer = Image.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
    if kind == "JPEG":
        image.save(buffer, kind, quality=85)
    else:
        colors = image.convert("P", palette=Image.Palette.ADAPTIVE) if image.getcolors(256) else image
        colors.save(buffer, kind, optimize=True)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
