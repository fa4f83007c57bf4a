"""Tiny folders of annotated images, one for each format, to which faults are added."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (24, 16)  # width and height
NAMES = ("background", "cell", "dust")
COLORS = ((0, 0, 0), (250, 50, 60), (50, 90, 240))


def scene(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noise with a bright cell and a speck of dust, uint8 (H, W, 3), and its ids, uint8 (H, W)."""
    random = np.random.default_rng(number)
    width, height = SIZE
    ids = np.zeros((height, width), np.uint8)
    left, top, wide, tall = box(number)
    ids[top : top + tall, left : left + wide] = 1
    ids[13:15, 20:23] = 2
    image = random.integers(0, 90, (height, width, 3)) + np.array([0, 100, 160])[ids][..., None]
    return image.astype(np.uint8), ids


def box(number: int) -> tuple[int, int, int, int]:
    """Return left, top, width and height of the cell of an image."""
    return 2 + number % 7, 1 + number % 4, 6 + number % 3, 5 + number % 2


def save(path: Path, array: np.ndarray, **options: object) -> None:
    """Write an image file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def masks(root: Path, numbers: Iterable[int] = range(12), part: str = "", named: bool = True) -> Path:
    """Write ``images/`` and ``masks/``: one-channel PNG files of ids."""
    for number in numbers:
        image, ids = scene(number)
        save(root / "images" / part / f"{number:02}.png", image)
        save(root / "masks" / part / f"{number:02}.png", ids)
    if named:
        (root / "classes.txt").write_text("\n".join(NAMES))
    return root


def palette(ids: np.ndarray) -> Image.Image:
    """Return ids as an image with a palette."""
    image = Image.fromarray(ids).convert("P")
    image.putdata(ids.ravel().tolist())
    image.putpalette([part for color in COLORS for part in color] + [0] * (765 - 9) + [224, 224, 192])
    return image


def voc(root: Path, numbers: Iterable[int] = range(12)) -> Path:
    """Write Pascal VOC's folders, with palettes, lists of the parts, and a border that is ignored."""
    numbers = list(numbers)
    for number in numbers:
        image, ids = scene(number)
        ids[0] = 255
        save(root / "JPEGImages" / f"{number:02}.jpg", image, quality=95)
        (root / "SegmentationClass").mkdir(exist_ok=True)
        palette(ids).save(root / "SegmentationClass" / f"{number:02}.png")
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for part, some in (("train", numbers[:6]), ("val", numbers[6:9]), ("test", numbers[9:])):
        (lists / f"{part}.txt").write_text("".join(f"{number:02}\n" for number in some))
    (root / "class_names.txt").write_text("__ignore__\n" + "\n".join(NAMES))
    return root


def cvat(root: Path, numbers: Iterable[int] = range(12)) -> Path:
    """Write CVAT's "Segmentation mask 1.1": coloured masks and ``labelmap.txt``."""
    for number in numbers:
        image, ids = scene(number)
        save(root / "JPEGImages" / f"{number:02}.png", image)
        save(root / "SegmentationClass" / f"{number:02}.png", np.array(COLORS, np.uint8)[ids])
    lines = [f"{name}:{','.join(map(str, color))}::" for name, color in zip(NAMES, COLORS, strict=True)]
    (root / "labelmap.txt").write_text("\n".join(["# label:color_rgb:parts:actions", *lines]))
    return root


def corners(number: int) -> list[float]:
    """Return the outline of the cell of an image: ``[x, y, x, y, ...]``."""
    left, top, wide, tall = box(number)
    right, bottom = left + wide, top + tall
    return [left, top, right, top, right, bottom, left, bottom]


DUST = [20, 13, 23, 13, 23, 15, 20, 15]


def coco(root: Path, numbers: Iterable[int] = range(12), ids: tuple[int, int] = (7, 90)) -> Path:
    """Write COCO's files: ``images/`` and ``annotations/instances_default.json``."""
    rows, annotations = [], []
    for number in numbers:
        image, _ = scene(number)
        save(root / "images" / f"{number:02}.png", image)
        rows.append({"id": 100 + number, "file_name": f"{number:02}.png", "width": 24, "height": 16})
        for category, outline in zip(ids, (corners(number), DUST), strict=True):
            of = {"id": len(annotations), "image_id": 100 + number, "category_id": category, "iscrowd": 0}
            annotations.append({**of, "segmentation": [outline]})
    content = {"images": rows, "annotations": annotations, "categories": categories(ids)}
    write_json(root / "annotations/instances_default.json", content)
    return root


def categories(ids: tuple[int, int]) -> list[dict[str, object]]:
    """Return COCO's categories, with ids of choice."""
    return [{"id": key, "name": name} for key, name in zip(ids, NAMES[1:], strict=True)]


def write_json(path: Path, content: object) -> None:
    """Write a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def yolo(root: Path, numbers: Iterable[int] = range(12)) -> Path:
    """Write YOLO's files: ``images/``, ``labels/*.txt`` and ``data.yaml``."""
    for number in numbers:
        image, _ = scene(number)
        save(root / "images" / f"{number:02}.png", image)
        rows = [shares(0, corners(number)), shares(1, DUST)]
        (root / "labels").mkdir(exist_ok=True)
        (root / "labels" / f"{number:02}.txt").write_text("\n".join(rows))
    (root / "data.yaml").write_text(f"names: [{', '.join(NAMES[1:])}]\n")
    return root


def shares(label: int, outline: list[float]) -> str:
    """Return a row of YOLO's: the class, and the outline in shares of the sides."""
    return " ".join([str(label), *(str(value / SIZE[place % 2]) for place, value in enumerate(outline))])
