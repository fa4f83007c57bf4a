"""Tiny folders of images with boxes, one for each format, to which faults are added."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (48, 32)  # width and height
NAMES = ("cat", "dog", "owl")
COLORS = ((250, 60, 60), (60, 250, 60), (60, 60, 250))
Box = tuple[int, int, int, int, int]  # left, top, right, bottom, class


def boxes(number: int) -> list[Box]:
    """Return the boxes of an image: none in every fifth one, else one or two."""
    found = [(2 + number % 7, 3 + number % 4, 14 + number % 9, 15 + number % 5, number % 3)]
    if number % 2:
        found.append((28, 12, 44 - number % 4, 28, (number + 1) % 3))
    return found if number % 5 != 4 else []


def pixels(number: int, of: Sequence[Box] | None = None) -> np.ndarray:
    """Return noise with a bright rectangle in each box, of the colour of its class, uint8 (H, W, 3)."""
    width, height = SIZE
    image = np.random.default_rng(number).integers(0, 60, (height, width, 3)).astype(np.uint8)
    for left, top, right, bottom, label in boxes(number) if of is None else of:
        image[top:bottom, left:right] = COLORS[label]
    return image


def save(path: Path, array: np.ndarray, orientation: int = 1) -> None:
    """Write an image file that EXIF says to turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(array).save(path, **({"exif": exif} if orientation != 1 else {}))


def coco(
    root: Path,
    numbers: Iterable[int] = range(20),
    part: str = "train",
    ids: Sequence[int] = (3, 7, 90),
    names: Sequence[str] = NAMES,
) -> Path:
    """Write ``images/PART`` and ``annotations/instances_PART.json``; ids of categories have gaps."""
    content: dict[str, Any] = {"images": [], "annotations": []}
    content["categories"] = [{"id": key, "name": name} for key, name in zip(ids, names, strict=True)]
    key_of = dict(zip(names, ids, strict=True))
    for number in numbers:
        name = f"{number:02}.png"
        save(root / "images" / part / name, pixels(number))
        content["images"].append({"id": number, "file_name": name, "width": SIZE[0], "height": SIZE[1]})
        for left, top, right, bottom, label in boxes(number):
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": number,
                    "category_id": key_of[NAMES[label]],
                    "bbox": [left, top, right - left, bottom - top],
                    "iscrowd": 0,
                }
            )
    file = root / "annotations" / f"instances_{part}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content))
    return root


def change(root: Path, edit: Any, part: str = "train") -> None:
    """Change the content of a file of COCO's."""
    file = root / "annotations" / f"instances_{part}.json"
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def row(box: Box) -> str:
    """Return a box as YOLO's files have it."""
    left, top, right, bottom, label = box
    width, height = SIZE
    shares = (left + right) / 2 / width, (top + bottom) / 2 / height
    return (
        f"{label} {shares[0]:.6f} {shares[1]:.6f} {(right - left) / width:.6f} {(bottom - top) / height:.6f}"
    )


def yolo(root: Path, numbers: Iterable[int] = range(20), part: str = "train") -> Path:
    """Write ``images/PART``, ``labels/PART`` and ``data.yaml``; without boxes there is no file of labels."""
    for number in numbers:
        save(root / "images" / part / f"{number:02}.png", pixels(number))
        lines = "\n".join(map(row, boxes(number)))
        folder = root / "labels" / part
        folder.mkdir(parents=True, exist_ok=True)
        if lines:
            (folder / f"{number:02}.txt").write_text(lines)
    (root / "data.yaml").write_text(f"names: [{', '.join(NAMES)}]\nnc: 3\n")
    return root


def xml(number: int, of: Sequence[Box] | None = None, size: tuple[int, int] = SIZE, extra: str = "") -> str:
    """Return the annotation of an image as VOC's files have it."""
    objects = "".join(
        f"<object><name>{NAMES[label]}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for left, top, right, bottom, label in (boxes(number) if of is None else of)
    )
    return (
        f"<annotation><filename>{number:02}.jpg</filename><size><width>{size[0]}</width>"
        f"<height>{size[1]}</height><depth>3</depth></size>{objects}{extra}</annotation>"
    )


def voc(
    root: Path, numbers: Iterable[int] = range(20), folders: tuple[str, str] = ("JPEGImages", "Annotations")
) -> Path:
    """Write images and an XML file for each, in two folders or beside each other."""
    for number in numbers:
        save(root / folders[0] / f"{number:02}.png", pixels(number))
        (root / folders[1]).mkdir(parents=True, exist_ok=True)
        (root / folders[1] / f"{number:02}.xml").write_text(xml(number))
    return root


def text(number: int, of: Sequence[Box] | None = None) -> str:
    """Return the annotation of an image as Penn-Fudan has it: its last pixel is a part of a box."""
    lines = [
        "# Compatible with PASCAL Annotation Version 1.00",
        f'Image filename : "PennFudanPed/PNGImages/{number:02}.png"',
        f"Image size (X x Y x C) : {SIZE[0]} x {SIZE[1]} x 3",
        'Database : "The Penn-Fudan-Pedestrian Database"',
        "# Top left pixel co-ordinates : (1, 1)",
    ]
    for place, (left, top, right, bottom, label) in enumerate(boxes(number) if of is None else of, 1):
        name, edges = f'object {place} "{NAMES[label]}"', f"({left + 1}, {top + 1}) - ({right}, {bottom})"
        lines.append(f'# Details for pedestrian {place} ("{NAMES[label]}")')
        lines.append(f'Original label for {name} : "PennFudanPed"')
        lines.append(f"Bounding box for {name} (Xmin, Ymin) - (Xmax, Ymax) : {edges}")
        lines.append(f'Pixel mask for {name} : "PennFudanPed/PedMasks/{number:02}_mask.png"')
    return "\r\n".join([*lines, ""])


def pascal(root: Path, numbers: Iterable[int] = range(20)) -> Path:
    """Write ``PNGImages``, ``PedMasks`` and ``Annotation``."""
    for number in numbers:
        save(root / "PNGImages" / f"{number:02}.png", pixels(number))
        save(root / "PedMasks" / f"{number:02}_mask.png", pixels(number)[..., 0])
        (root / "Annotation").mkdir(parents=True, exist_ok=True)
        (root / "Annotation" / f"{number:02}.txt").write_text(text(number))
    return root
