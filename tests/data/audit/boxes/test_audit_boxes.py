"""``cnntrain data DIR`` on a folder with boxes: each planted fault is named by its file and place."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import box_tree
import numpy as np
import pytest
from box_tree import row, save, xml
from conftest import Command, is_told

GOOD = (4, 5, 20, 25, 1)


def faulty(root: Path) -> Path:
    """Write boxes in YOLO's manner, and plant each kind of fault among them."""
    box_tree.yolo(root, range(30))
    wrong = {
        "00": "0 0.5 0.5 -0.2 0.2",
        "01": "0 0.5 0.5 0 0.2",
        "02": "0 1.5 0.5 0.2 0.2",
        "03": "0 0.9 0.9 0.8 0.8",
        "05": f"{row(GOOD)}\n{row(GOOD)}",
        "06": "7 0.5 0.5 0.2 0.2",
        "07": "0 0.5 0.5",
        "08": "2 0.5 0.5 0.02 0.02",
    }
    for name, lines in wrong.items():
        file = root / f"labels/train/{name}.txt"
        file.write_text(f"{file.read_text()}\n{lines}\n")
    (root / "images/train/10.png").write_bytes(b"nothing")
    (root / "images/train/11.png").unlink()
    (root / "labels/classes.txt").write_text("owl\ncat\ndog\n")
    save(root / "images/train/12_copy.png", box_tree.pixels(12))
    return root


def test_every_planted_fault_is_named_by_its_file(torchless: Command) -> None:
    faulty(Path("data"))
    done = torchless("data", "data", "--json", "a.json")
    assert done.code == 0, done.err
    for line in (
        "1 image left out, since it or its annotation can't be used\n  images/train/10.png: not an image",
        "1 box whose right or lower edge comes before the other one\n  labels/train/00.txt, row 2: left 28.8",
        "1 box without width or height\n  labels/train/01.txt, row 3: left 24",
        "1 box outside the image\n  labels/train/02.txt, row 2: ",
        "1 box partly outside the image, by more than a pixel",
        "labels/train/03.txt, row 3: ",
        "1 box that is listed twice; one of them is used\n  labels/train/05.txt, row 4: left 4",
        "1 annotation of a class without a name\n  labels/train/06.txt, row 2: class 7 is outside",
        "1 annotation without a box that can be read\n  labels/train/07.txt, row 3: 2 numbers are neither "
        "a box",
        "1 file that names the classes in another order\n  labels/classes.txt names owl, cat, dog",
        "1 annotation without an image, so not used\n  labels/train/11.txt",
        "owl: 1 of ",
        "  images/train/12.png  =  images/train/12_copy.png",
        "data.on_bad_image=skip data.on_bad_box=skip",
    ):
        assert line in re.sub(r" +\n", "\n", done.out), line
    found = json.loads(Path("a.json").read_text())
    assert sum(found["images"].values()) == 29 and len(found["faults"]) == 7
    assert found["classes"]["cat"]["boxes"]["train"] > 0 and 0 < found["classes"]["owl"]["small"] < 0.2


@pytest.mark.parametrize("kind", ["coco", "yolo", "voc"])
def test_a_clean_folder_has_no_findings_and_the_printed_command_trains(cnntrain: Command, kind: str) -> None:
    getattr(box_tree, kind)(Path("my data"), range(30))
    done = cnntrain("data", "my data", "--json", "a.json")
    found = json.loads(Path("a.json").read_text())
    kinds = ("unusable_images", "orders", "orphan_masks", "small_objects", "absent_boxes", "turned", "copies")
    assert done.code == 0 and not any(found[name] for name in kinds) and not found["faults"]
    assert found["per_image"] == [1.0, 2] and len(found["backgrounds"]) == 6
    assert f"to train: {found['command']}" in " ".join(done.out.split())
    program, *words = shlex.split(found["command"])
    assert program == "cnntrain" and words[-1] == "model=yolo"
    if kind == "voc":
        trained = cnntrain(*words, "epochs=1", "report=false", "doctor=false", "model.width=4")
        assert trained.code == 0, trained.err


def test_sizes_are_those_at_the_training_size(torchless: Command) -> None:
    """Objects below a stride are told, and larger images recommended: py-faster-rcnn#433."""
    root = Path("data")
    for number in range(20):
        box = (60 + number, 50, 84 + number, 60, number % 2)
        pixels = np.random.default_rng(number).integers(0, 255, (240, 320, 3), np.uint8)
        save(root / f"images/{number:02}.png", pixels)
        (root / "annotations").mkdir(parents=True, exist_ok=True)
        (root / f"annotations/{number:02}.xml").write_text(xml(number, [box], (320, 240)))
    done = torchless("data", "data", "--json", "a.json")
    assert done.code == 0, done.err
    found = json.loads(Path("a.json").read_text())
    assert found["side"] == 320 and "data.image_size=320" in found["command"]
    cat = found["classes"]["cat"]
    assert (cat["width"], cat["height"], cat["shortest"], cat["small"]) == (24.0, 10.0, 10.0, 0.0)


def test_images_whose_boxes_fit_the_unturned_image_alone_are_named(torchless: Command) -> None:
    root = box_tree.voc(Path("data"), range(12))
    save(root / "JPEGImages/00.png", box_tree.pixels(0), orientation=6)
    done = torchless("data", "data")
    assert (
        "1 image turned by EXIF\n  JPEGImages/00.png: its boxes were made on the unturned image" in done.out
    )


def test_a_folder_of_one_image_is_refused_and_audited_all_the_same(torchless: Command) -> None:
    box_tree.voc(Path("data"), range(1))
    done = torchless("data", "data")
    assert done.code == 0 and "train refuses this folder" in done.out and "cat" in done.out


def test_the_page_shows_each_class_with_its_boxes_drawn(torchless: Command) -> None:
    faulty(Path("data"))
    assert torchless("data", "data", "--html", "a.html").code == 0
    text = Path("a.html").read_text()
    assert all(name in text for name in ("cat", "dog", "owl", "labels/train/01.txt, row 3"))
    assert text.count("data:image/jpeg;base64,") >= 12 and "http" not in text.split("<body")[1]


def test_what_a_folder_has_is_chosen_by_a_key(torchless: Command) -> None:
    root = box_tree.yolo(Path("data"), range(20))
    (root / "labels/train/00.txt").write_text("0 0.1 0.1 0.6 0.1 0.6 0.6 0.1 0.6\n")
    assert "boxes of" not in torchless("data", "data").out
    assert "boxes of" in torchless("data", "data", "data.targets=boxes").out
    told = "data.format=voc: data.root=data has no JPEGImages/"
    is_told(torchless("data", "data", "data.targets=boxes", "data.format=voc"), told)
