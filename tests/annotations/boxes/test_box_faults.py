"""Planted faults: each is named by its file and its place; training stops at it, or goes on with the rest."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import box_tree
import numpy as np
import pytest
from box_tree import save, xml
from test_box_formats import TREES, inventory, read, truth

from cnntrain.annotations.boxes.inventory import usable_inventory
from cnntrain.annotations.label_scheme import AnnotationOptions
from cnntrain.errors import UserError

GOOD = (4, 5, 20, 25, 1)


def plant(root: Path, kind: str, box: tuple[int, int, int, int, int]) -> str:
    """Give the first image a good box, and then a second one; return where that stands."""
    if kind == "yolo":
        (root / "labels/train/00.txt").write_text(f"{box_tree.row(GOOD)}\n\n{box_tree.row(box)}\n")
        return "labels/train/00.txt, row 3"
    if kind == "voc":
        (root / "Annotations/00.xml").write_text(xml(0, [GOOD, box]))
        return "Annotations/00.xml, object 2"
    if kind == "pascal":
        (root / "Annotation/00.txt").write_text(box_tree.text(0, [GOOD, box]))
        return "Annotation/00.txt, row 12"

    def edit(content: dict[str, Any]) -> None:
        rows = [row for row in content["annotations"] if row["image_id"] != 0]
        for key, (left, top, right, bottom, label) in enumerate((GOOD, box), 1001):
            own = [left, top, right - left, bottom - top]
            category = content["categories"][label]["id"]
            rows.append({"id": key, "image_id": 0, "category_id": category, "bbox": own})
        content["annotations"] = rows

    box_tree.change(root, edit)
    return "annotations/instances_train.json: annotation 1002 of images/train/00.png"


@pytest.mark.parametrize("kind", TREES)
@pytest.mark.parametrize(
    ("box", "finding", "left_of_it"),
    [
        ((20, 10, 12, 18, 0), "inverted_boxes", None),
        ((20, 18, 28, 10, 0), "inverted_boxes", None),
        ((20, 10, 20, 18, 0), "zero_boxes", None),
        ((49, 10, 60, 18, 0), "outside_boxes", None),
        ((-9, -9, 0, 0, 0), "outside_boxes", None),
        ((30, 20, 60, 40, 0), "cut_boxes", [30, 20, 48, 32, 0, 0]),
        ((30, 20, 49, 33, 0), "", [30, 20, 48, 32, 0, 0]),  # a pixel outside is rounding
        (GOOD, "double_boxes", None),
    ],
)
def test_a_wrong_box_is_named_and_the_others_of_its_image_stay(
    kind: str, box: tuple[int, int, int, int, int], finding: str, left_of_it: list[float] | None
) -> None:
    root = TREES[kind](Path("data"))
    place = plant(root, kind, box)
    found = inventory(root)
    rows = found.boxes[0].round(3).tolist()
    assert rows == [[*GOOD, 0], *([left_of_it] if left_of_it else [])]
    assert list(found.kinds) == ([finding] if finding else [])
    if finding:
        line = found.kinds[finding][0]
        assert line.startswith(f"{place}: left ") and line.endswith("in an image of 48x32")
    assert found.readable.all() and all(read(found, index) == truth(found, index) for index in range(1, 20))


@pytest.mark.parametrize("kind", TREES)
def test_training_stops_at_a_wrong_box_or_goes_on_without_it(kind: str) -> None:
    root = TREES[kind](Path("data"))
    place = plant(root, kind, (24, 8, 12, 16, 0))
    with pytest.raises(UserError) as stopped:
        usable_inventory(str(root), AnnotationOptions(), "skip", 64, verbose=0)
    assert str(stopped.value) == (
        f"data/{place}: left 24, top 8, right 12, bottom 16 in an image of 48x32\n"
        "data.on_bad_box=skip leaves such boxes out, and clips those that are partly inside; to list them "
        "all: cnntrain data data"
    )
    found = usable_inventory(str(root), AnnotationOptions(on_bad_box="skip"), "stop", 64, verbose=0)
    assert len(found.boxes[0]) == 1
    assert found.warnings(3)[0].startswith("wrong boxes, 1, left out, or clipped if partly inside: ")


def test_copies_of_boxes_alone_stop_nothing() -> None:
    root = box_tree.voc(Path("data"))
    plant(root, "voc", GOOD)
    found = usable_inventory(str(root), AnnotationOptions(), "stop", 64, verbose=0)
    assert found.warnings(3)[0].startswith("copies of boxes, 1, left out: Annotations/00.xml, object 2: ")


WRONG_ROWS = [
    ("3 0.5 0.5 0.2 0.2", "unknown_classes", "class 3 is outside the 3 classes, 0 to 2"),
    ("-1 0.5 0.5 0.2 0.2", "unknown_classes", "class -1 is outside the 3 classes"),
    ("0 0.5 0.5 0.2", "malformed_boxes", "3 numbers are neither a box"),
    ("0 24 16 10 8", "malformed_boxes", "coordinates from 8 to 24 are not fractions of the sides"),
    ("0 0.5 nan 0.2 0.2", "malformed_boxes", "coordinates from nan"),
    ("cat 0.5 0.5 0.2 0.2", "malformed_boxes", "cat 0.5 0.5 0.2 0.2 is not a class and numbers"),
]


@pytest.mark.parametrize(("row", "finding", "told"), WRONG_ROWS)
def test_a_wrong_row_of_yolo_leaves_the_others(row: str, finding: str, told: str) -> None:
    """A label out of range does not make the whole picture useless: yolov5#4798."""
    root = box_tree.yolo(Path("data"))
    (root / "labels/train/00.txt").write_text(f"{row}\n{box_tree.row(GOOD)}\n")
    found = inventory(root)
    assert found.kinds[finding][0].startswith(f"labels/train/00.txt, row 1: {told}")
    assert found.boxes[0].round(3).tolist() == [[*GOOD, 0]] and len(found.kinds) == 1


def edited(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["annotations"][0].update(changes)


@pytest.mark.parametrize(
    ("edit", "finding", "told"),
    [
        (edited(category_id=8), "unknown_classes", "there is no category 8"),
        (edited(image_id=77), "malformed_boxes", "there is no image 77"),
        (edited(bbox=[1, 2, 3]), "malformed_boxes", "[1, 2, 3] is not a box, [LEFT, TOP, WIDTH, HEIGHT]"),
        (edited(bbox=["a", 2, 3, 4]), "malformed_boxes", "is not a box"),
        (edited(bbox=[1, 2, 3, float("nan")]), "malformed_boxes", "a number is not finite"),
        (edited(bbox=None), "malformed_boxes", "no box"),
    ],
)
def test_a_wrong_annotation_of_coco_is_named(edit: Any, finding: str, told: str) -> None:
    root = box_tree.coco(Path("data"))
    box_tree.change(root, edit)
    found = inventory(root)
    line = found.kinds[finding][0]
    assert line.startswith("annotations/instances_train.json: annotation 1") and told in line
    assert len(found.kinds) == 1 and sum(map(len, found.boxes)) == 23


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("<object><name>cat</name></object>", "no box"),
        ("<object><bndbox><xmin>1</xmin></bndbox></object>", "no name"),
        (
            "<object><name>cat</name><bndbox><xmin>x</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox>"
            "</object>",
            "no box: x, 1, 5, 5",
        ),
    ],
)
def test_a_wrong_object_of_voc_is_named(extra: str, told: str) -> None:
    root = box_tree.voc(Path("data"))
    (root / "Annotations/00.xml").write_text(xml(0, [GOOD], extra=extra))
    found = inventory(root)
    assert found.kinds["malformed_boxes"][0].startswith(f"Annotations/00.xml, object 2: {told}")
    assert len(found.boxes[0]) == 1


@pytest.mark.parametrize("edges", ["(5, 6)", f"(5, 6) - (20, {'9' * 400})", f"(5, 6) - (20, {'9' * 5000})"])
def test_a_wrong_row_of_pascal_is_named(edges: str) -> None:
    root = box_tree.pascal(Path("data"))
    (root / "Annotation/00.txt").write_text(box_tree.text(0, [GOOD]).replace("(5, 6) - (20, 25)", edges))
    (told,) = inventory(root).kinds["malformed_boxes"]
    assert re.fullmatch(r"Annotation/00.txt, row 8: \(5, 6\).* is not a box, \(LEFT, TOP\) - .*", told)


def test_a_class_that_the_list_of_names_lacks_is_named() -> None:
    root = box_tree.voc(Path("data"))
    (root / "classes.txt").write_text("owl\ndog\n")
    found = inventory(root)
    told = found.kinds["unknown_classes"][0]
    assert found.scheme.names == ["owl", "dog"]
    assert told == "Annotations/00.xml, object 1: class cat is outside the 2 classes"


def test_images_whose_annotation_cannot_be_used_are_named_and_left_out() -> None:
    root = box_tree.voc(Path("data"))
    (root / "Annotations/00.xml").write_text("<annotation>")
    (root / "Annotations/01.xml").write_text(xml(1, size=(100, 80)))
    (root / "Annotations/02.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]><annotation/>')
    (root / "JPEGImages/03.png").write_bytes(b"not an image")
    (root / "JPEGImages/05.png").unlink()
    (root / "Annotations/06.xml").unlink()
    found = inventory(root)
    bad = found.bad
    assert bad[0].startswith("Annotations/00.xml: not XML") and len(bad) == 4
    assert bad[1] == "annotation of JPEGImages/01.png: 100x80, and JPEGImages/01.png is 48x32"
    assert bad[2] == "Annotations/02.xml: it declares entities"
    assert bad[3].startswith("JPEGImages/03.png: ")
    assert found.table.orphan_images == ["JPEGImages/06.png"]
    assert found.table.orphan_masks == ["Annotations/05.xml"]
    with pytest.raises(UserError, match=r"4 faults, the first is data/Annotations/00\.xml: not XML"):
        usable_inventory(str(root), AnnotationOptions(), "stop", 64, verbose=0)
    assert int(usable_inventory(str(root), AnnotationOptions(), "skip", 64, verbose=0).readable.sum()) == 14


def test_names_in_another_order_are_told() -> None:
    """The file of names beside the labels disagrees with data.yaml: ultralytics#20248."""
    root = box_tree.yolo(Path("data"))
    (root / "labels/classes.txt").write_text("owl\ncat\ndog\n")
    found = inventory(root)
    assert found.scheme.names == ["cat", "dog", "owl"]
    assert found.table.orders == [
        "labels/classes.txt names owl, cat, dog, and data.yaml cat, dog, owl: data.yaml counts"
    ]
    assert found.warnings(3)[0].startswith(
        "the files name the classes in different orders: labels/classes.txt"
    )


def test_names_lie_beside_the_labels_as_labelimg_writes_them() -> None:
    root = box_tree.yolo(Path("data"))
    (root / "data.yaml").rename(root / "other.txt")
    (root / "labels/train/classes.txt").write_text("cat\ndog\nowl\n")
    assert inventory(root).scheme.names == ["cat", "dog", "owl"]
    (root / "labels/train/classes.txt").unlink()
    with pytest.raises(UserError, match="must name the classes 0, 1, "):
        inventory(root)


def test_a_category_of_validation_alone_is_refused() -> None:
    root = box_tree.coco(Path("data"), range(10))
    box_tree.coco(root, range(10, 11), "val")
    box_tree.change(root, lambda content: content["categories"].append({"id": 91, "name": "elk"}), "val")
    with pytest.raises(UserError, match=r"instances_val\.json has the category elk, which annotations"):
        inventory(root)


@pytest.mark.parametrize("kind", TREES)
def test_a_digest_tells_boxes_apart(kind: str) -> None:
    root = TREES[kind](Path("data"))
    every = np.arange(20)
    before = inventory(root).digest(every)
    assert inventory(root).digest(every) == before
    plant(root, kind, (30, 5, 40, 9, 2))
    assert inventory(root).digest(every) != before


def test_an_image_without_annotation_is_background_in_coco_and_yolo() -> None:
    """They are trained on as they are, never dropped: vision#1598."""
    for kind in ("coco", "yolo"):
        found = inventory(TREES[kind](Path(kind)))
        empty = [index for index in range(20) if not len(found.boxes[index])]
        assert empty == [4, 9, 14, 19] and found.readable.all()
    save(Path("coco/images/train/99.png"), box_tree.pixels(1))
    assert inventory(Path("coco")).table.orphan_images == ["images/train/99.png"]
