"""Folders with boxes in each format are read into one table: classes by name, boxes in the file's pixels."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import box_tree
import mask_tree
import numpy as np
import pytest
from box_tree import NAMES, SIZE, boxes, pixels, save, xml
from conftest import Command, is_told
from PIL import Image, ImageOps

from cnntrain.annotations.boxes import formats
from cnntrain.annotations.boxes.inventory import BoxInventory, box_inventory
from cnntrain.annotations.label_scheme import AnnotationOptions
from cnntrain.errors import UserError

TREES: dict[str, Callable[[Path], Path]] = {
    "coco": box_tree.coco,
    "yolo": box_tree.yolo,
    "voc": box_tree.voc,
    "pascal": box_tree.pascal,
}


def inventory(root: Path, **said: Any) -> BoxInventory:
    box_inventory.cache_clear()  # type: ignore[attr-defined]
    return box_inventory(str(root), AnnotationOptions(**said), 64, verbose=0)


def truth(found: BoxInventory, index: int) -> list[tuple[float, ...]]:
    """Return the boxes that an image was drawn with, classes by their names."""
    number = int(Path(found.table.entries[index].image).stem)
    return [(*box[:4], NAMES[box[4]]) for box in boxes(number)]


def read(found: BoxInventory, index: int) -> list[tuple[Any, ...]]:
    """Return the boxes that were read, classes by their names."""
    names = found.scheme.names
    return [(*row[:4].round(3).tolist(), names[int(row[4])]) for row in found.boxes[index]]


@pytest.mark.parametrize("kind", TREES)
def test_each_format_gives_the_boxes_that_were_drawn(kind: str) -> None:
    root = TREES[kind](Path("data"))
    assert formats.targets_of(root, AnnotationOptions()) == "boxes" and formats.format_of(root) == kind
    found = inventory(root)
    assert found.scheme.names == list(NAMES) and len(found.boxes) == 20 and not found.faults
    assert all(read(found, index) == truth(found, index) for index in range(20))
    assert all(rows.dtype == np.float32 and rows.shape[1] == 6 for rows in found.boxes)
    assert found.in_words()["format"].startswith(f"{kind}, ")
    assert found.in_words()["boxes"] == "24 in 20 images, 4 of them without any"


@pytest.mark.parametrize("folders", [("", ""), ("train", "train"), ("images", "annotations")])
def test_xml_files_lie_beside_images_or_in_a_folder_of_their_own(folders: tuple[str, str]) -> None:
    root = box_tree.voc(Path("data"), folders=folders)
    if folders[0] == "train":
        box_tree.voc(root, range(20, 24), ("valid", "valid"))
    found = inventory(root)
    assert all(read(found, index) == truth(found, index) for index in range(len(found.boxes)))
    parts = {entry.part for entry in found.table.entries}
    assert parts == ({"train", "val"} if folders[0] == "train" else {""})


@pytest.mark.parametrize("parts", [("",), ("train", "valid")])
def test_files_of_yolo_lie_beside_images_if_something_names_the_classes(parts: tuple[str, ...]) -> None:
    """As LabelImg writes them."""
    root = box_tree.yolo(Path("other"))
    for number in range(20):
        folder = Path("data", parts[number % len(parts)])
        folder.mkdir(parents=True, exist_ok=True)
        for file in root.rglob(f"{number:02}.*"):
            file.rename(folder / file.name)
    with pytest.raises(UserError, match="has no boxes"):
        formats.format_of("data")
    Path("data", parts[0], "classes.txt").write_text("\n".join(NAMES))
    assert formats.targets_of("data", AnnotationOptions()) == "boxes"
    found = inventory(Path("data"))
    assert len(found.boxes) == 20 and found.scheme.names == list(NAMES)
    assert all(read(found, index) == truth(found, index) for index in range(20))


def test_lists_of_voc_choose_the_parts() -> None:
    root = box_tree.voc(Path("data"))
    (root / "ImageSets/Main").mkdir(parents=True)
    (root / "ImageSets/Main/train.txt").write_text("00\n01\n02\n03\n")
    (root / "ImageSets/Main/val.txt").write_text("05  1\n06 -1\n")
    (root / "ImageSets/Main/cat_train.txt").write_text("00 1\n09 1\n")
    found = inventory(root)
    assert [entry.part for entry in found.table.entries] == ["train"] * 4 + ["val"] * 2


def test_vocs_own_files_count_from_one() -> None:
    root = box_tree.voc(Path("VOC2007"), range(2))
    (root / "Annotations/00.xml").write_text(xml(0, [(5, 6, 20, 25, 0)]).replace("owl", "bird"))
    (root / "Annotations/01.xml").write_text(xml(1, []))
    found = inventory(root)
    assert found.boxes[0][0].tolist() == [4, 5, 20, 25, found.scheme.names.index("cat"), 0]
    assert len(found.scheme.names) == 20 and "coordinates count from 1" in found.in_words()["read as"]


@pytest.mark.parametrize("ids", [(3, 7, 90), (0, 1, 2), (2, 1, 0), (1, 2, 3)])
def test_categories_of_coco_go_by_name_whatever_their_ids_are(ids: tuple[int, int, int]) -> None:
    """Ids with gaps, from 0, and in another order in the validation part: rf-detr#413, detectron2#1731."""
    root = box_tree.coco(Path("data"), range(10), ids=ids)
    box_tree.coco(root, range(10, 14), "val", ids=(1, 5, 8), names=("owl", "cat", "dog"))
    found = inventory(root)
    assert sorted(found.scheme.names) == sorted(NAMES)
    assert all(read(found, index) == truth(found, index) for index in range(14))
    assert "differ between" in found.in_words()["read as"]


def test_a_category_that_only_groups_the_others_is_no_class() -> None:
    """As Roboflow writes one."""
    root = box_tree.coco(Path("data"))

    def grouped(content: dict[str, Any]) -> None:
        for row in content["categories"]:
            row["supercategory"] = "animals"
        content["categories"].insert(0, {"id": 0, "name": "animals", "supercategory": "none"})

    box_tree.change(root, grouped)
    assert inventory(root).scheme.names == list(NAMES)


def test_crowds_and_difficult_objects_are_ignored_and_not_lost() -> None:
    root = box_tree.coco(Path("coco"))
    box_tree.change(root, lambda content: content["annotations"][0].update(iscrowd=1))
    assert inventory(root).boxes[0][0, 5] == 1
    root = box_tree.voc(Path("voc"))
    text = xml(0).replace("</name>", "</name><difficult>1</difficult>")
    (root / "Annotations/00.xml").write_text(text)
    found = inventory(root)
    assert found.boxes[0][:, 5].tolist() == [1] and "1 ignored" in found.in_words()["boxes"]


def test_outlines_become_boxes_where_a_box_is_wanted() -> None:
    """Rows of polygons in YOLO's files, and annotations of COCO without a box."""
    root = box_tree.yolo(Path("yolo"))
    (root / "labels/train/00.txt").write_text("1 0.25 0.5 0.75 0.5 0.5 0.75\n")
    assert (
        formats.targets_of(root, AnnotationOptions()) == "masks"
        and formats.targets_of(root, AnnotationOptions(targets="boxes")) == "boxes"
    )
    assert inventory(root, targets="boxes").boxes[0].tolist() == [[12, 16, 36, 24, 1, 0]]
    root = box_tree.coco(Path("coco"))

    def outlined(content: dict[str, Any]) -> None:
        del content["annotations"][0]["bbox"]
        content["annotations"][0]["segmentation"] = [[4, 5, 20, 5, 20, 30]]

    box_tree.change(root, outlined)
    assert formats.targets_of(root, AnnotationOptions()) == "masks"
    assert inventory(root, targets="boxes").boxes[0][0, :4].tolist() == [4, 5, 20, 30]


def test_other_folders_are_not_taken_for_folders_with_boxes() -> None:
    assert formats.targets_of(mask_tree.masks(Path("masks")), AnnotationOptions()) == "masks"
    for name in ("a", "b"):
        save(Path("classes") / name / "1.png", pixels(1))
    assert formats.targets_of("classes", AnnotationOptions()) == "classes"
    with pytest.raises(UserError, match=r"data\.root=classes has no boxes: annotations"):
        formats.format_of("classes")


@pytest.mark.parametrize("parts", [("",), ("train", "val")])
def test_a_single_file_of_coco_beside_images_is_read(parts: tuple[str, ...]) -> None:
    root = box_tree.coco(Path("data"), range(6), parts[0] or "all")
    if len(parts) > 1:
        box_tree.coco(root, range(6), parts[1])  # whose files have the same names
    (root / f"annotations/instances_{parts[0] or 'all'}.json").rename(root / f"result_{parts[0]}.json")
    shutil.rmtree(root / "annotations")
    assert formats.targets_of(root, AnnotationOptions()) == "boxes"
    found = inventory(root)
    assert "one *.json beside images/" in found.in_words()["format"]
    assert [entry.part for entry in found.table.entries] == [parts[0]] * 6
    assert all(read(found, index) == truth(found, index) for index in range(6))


@pytest.mark.parametrize("words", [(), ("model=yolo",)])
def test_several_files_beside_images_or_one_that_names_none_of_them_are_explained(
    torchless: Command, words: tuple[str, ...]
) -> None:
    root = box_tree.coco(Path("data"), range(6))
    file = root / "annotations/instances_train.json"
    shutil.copy(file, root / "val.json")
    file.rename(root / "train.json")
    file.parent.rmdir()
    train = ("train", "data=folder", "data.root=data", *words)
    told = "data holds train.json, val.json beside images/: only a single file is read there"
    is_told(torchless(*train), told, "into data/annotations/")
    (root / "val.json").unlink()
    (root / "train.json").write_text((root / "train.json").read_text().replace(".png", ".jpg"))
    is_told(torchless(*train), "holds train.json beside images/: it names none of the images in images/")


def test_a_folder_that_has_several_formats_says_so_and_is_read_as_asked() -> None:
    root = box_tree.yolo(box_tree.coco(Path("data")))
    found = inventory(root)
    assert found.table.format == "coco" and "data.format=yolo reads that" in found.in_words()["read as"]
    assert inventory(root, format="yolo").table.format == "yolo"
    with pytest.raises(UserError, match=r"data\.format=voc: .*data has no JPEGImages.*data\.format=coco"):
        formats.format_of(root, "voc")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["coco", "voc", "yolo"])
def test_boxes_lie_on_what_they_hold_in_images_that_exif_turns(orientation: int, kind: str) -> None:
    """Made on the image as it is stored, or as it is seen, which stated sizes tell: labelImg#376.

    Where a turn leaves the size as it is, another image tells it, that EXIF turns by a quarter.
    """
    stored = pixels(1, [(4, 6, 18, 22, 0)])
    for made_on in ("stored", "seen"):
        root = Path(made_on)
        found = inventory(turned_tree(root, kind, stored, orientation, made_on))
        record = found.records[0]
        assert len(found.boxes[0]) == 1 and not found.wrong
        left, top, right, bottom = found.boxes[0][0, :4].round().astype(int).tolist()
        upright = np.asarray(opened(root, record))
        assert (upright[top:bottom, left:right, 0] == 250).all() and (upright[..., 0] == 250).sum() == 14 * 16


def turned_tree(root: Path, kind: str, stored: np.ndarray, orientation: int, made_on: str) -> Path:
    """Write one image that EXIF turns, with a box around what is red in it, and others.

    The second one is turned by a quarter, and its box was made alike.
    """
    tree = TREES[kind](root, range(4))
    annotate(root, kind, 0, stored, orientation, made_on)
    annotate(root, kind, 1, stored, 6, made_on)
    return tree


def annotate(root: Path, kind: str, number: int, stored: np.ndarray, orientation: int, made_on: str) -> None:
    """Write an image that EXIF turns, with a box around what is red in it; YOLO's are always as seen."""
    image = Image.fromarray(stored)
    image.getexif()[0x0112] = orientation
    seen = stored if made_on == "stored" and kind != "yolo" else np.asarray(ImageOps.exif_transpose(image))
    rows, columns = np.nonzero(seen[..., 0] == 250)
    left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    wide, tall = seen.shape[1], seen.shape[0]
    save(root / ("JPEGImages" if kind == "voc" else "images/train") / f"{number:02}.png", stored, orientation)
    if kind == "coco":

        def stated(content: dict[str, Any]) -> None:
            content["images"][number].update(width=wide, height=tall)
            content["annotations"] = [row for row in content["annotations"] if row["image_id"] != number]
            box = [int(left), int(top), int(right - left), int(bottom - top)]
            content["annotations"].append({"id": 99, "image_id": number, "category_id": 3, "bbox": box})

        box_tree.change(root, stated)
    elif kind == "voc":
        of = [(int(left), int(top), int(right), int(bottom), 0)]
        (root / f"Annotations/{number:02}.xml").write_text(xml(number, of, (wide, tall)))
    else:
        shares = (
            (left + right) / 2 / wide,
            (top + bottom) / 2 / tall,
            (right - left) / wide,
            (bottom - top) / tall,
        )
        (root / f"labels/train/{number:02}.txt").write_text(f"0 {' '.join(map(str, shares))}")


def opened(root: Path, record: np.ndarray) -> Any:
    """Return the first image as it is seen."""
    path = next(path for path in root.rglob("00.png"))
    image = ImageOps.exif_transpose(Image.open(path))
    assert image.size == (int(record["width"]), int(record["height"])) and sorted(image.size) == sorted(SIZE)
    return image
