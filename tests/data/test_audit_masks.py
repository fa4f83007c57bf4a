"""``cnntrain data DIR`` on a folder with masks: each planted fault is named by its file, in 80 columns."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import mask_tree
import numpy as np
import pytest
from conftest import Command
from mask_tree import save, scene
from PIL import Image


def faulty(root: Path) -> Path:
    """Write masks, and plant each kind of fault among them."""
    mask_tree.masks(root, range(30))
    ids = scene(3)[1]
    ids[:2] = 7
    save(root / "masks/03.png", ids)
    save(root / "masks/02.png", scene(2)[1][:, :-1])
    (root / "masks/04.png").write_bytes(b"nothing")
    (root / "images/05.png").unlink()
    (root / "masks/06.png").unlink()
    save(root / "masks/07.png", np.zeros((16, 24), np.uint8))
    save(root / "masks/08.png", np.full((16, 24), 255, np.uint8))
    for name in ("images/09_copy.png", "masks/09_copy.png"):
        save(root / name, scene(9)[name.startswith("masks")])
    exif = Image.Exif()
    exif[0x0112] = 6
    (root / "images/10.png").unlink()
    save(root / "images/10.jpg", scene(10)[0], exif=exif, quality=95)
    return root


def test_every_planted_fault_is_named_by_its_file(torchless: Command) -> None:
    faulty(Path("data"))
    done = torchless("data", "data", "--json", "a.json")
    assert done.code == 0, done.err
    for line in (
        "2 images left out, since the image or its mask can't be used",
        "  masks/02.png: 23x16, and images/02.png is 24x16",
        "  masks/04.png: not an image",
        "  masks/03.png: values outside the 3 classes: 7 (48 pixels)",
        "1 image without a mask or an annotation, so not used\n  images/06.png",
        "1 annotation without an image, so not used\n  masks/05.png",
        "1 mask that shows nothing but the first class\n  masks/07.png",
        "1 mask whose pixels are all ignored\n  masks/08.png",
        "1 image turned by EXIF\n  images/10.jpg: its mask is turned alike",
        "  images/09.png  =  images/09_copy.png",
        "to train: cnntrain train data=folder data.root=data data.on_bad_image=skip model=unet",
    ):
        assert line in done.out
    found = json.loads(Path("a.json").read_text())
    assert found["images"]["train"] + found["images"]["test"] == 27
    assert abs(sum(found["pixels"].values()) - 1) < 1e-5
    assert found["counts"]["dust"]["train"] <= found["images"]["train"]


def test_copies_across_parts_are_a_leak(torchless: Command) -> None:
    mask_tree.voc(Path("data"))
    for name, number in (("00", 0), ("10", 0)):
        save(Path(f"data/JPEGImages/{name}.jpg"), scene(number)[0], quality=95)
    done = torchless("data", "data")
    assert "1 image in several parts (leakage: test" in done.out
    assert "JPEGImages/00.jpg  =  JPEGImages/10.jpg" in done.out


@pytest.mark.parametrize("kind", ["voc", "cvat", "coco", "yolo"])
def test_each_format_is_named_and_its_pixels_are_counted(torchless: Command, kind: str) -> None:
    getattr(mask_tree, kind)(Path("data"))
    done = torchless("data", "data", "--json", "-")
    found = json.loads(done.out)
    assert found["format"]["format"].startswith("voc" if kind == "cvat" else kind)
    dust = sum((scene(number)[1] == 2).sum() for number in range(12)) / (12 * 24 * 16)
    assert found["pixels"]["dust"] == pytest.approx(dust / (1 - found["ignored"]), abs=1e-5)
    assert not found["wrong"] and not found["unusable"] and found["command"].endswith("model=unet")


def test_odd_values_are_shown_and_the_map_that_is_suggested_is_accepted(torchless: Command) -> None:
    mask_tree.masks(Path("data"), named=False)
    for path in Path("data/masks").iterdir():
        save(path, scene(int(path.stem))[1] * 38)
    done = torchless("data", "data")
    assert done.code == 0 and "values   0 (8" in done.out
    assert "train refuses this folder: masks hold 3 values" in done.out
    option = "data.label_map={0:0,38:1,76:2}"
    assert option in done.out
    done = torchless("data", "data", option)
    command = next(line for line in done.out.splitlines() if line.startswith("to train: "))
    assert option in shlex.split(command)


def test_two_values_are_said_to_be_read_as_0_and_1(torchless: Command) -> None:
    mask_tree.masks(Path("data"), named=False)
    for path in Path("data/masks").iterdir():
        save(path, (scene(int(path.stem))[1] > 0).astype(np.uint8) * 255)
    assert "masks hold 0 and 255, read as 0 and 1" in torchless("data", "data").out


def test_the_page_shows_masks_over_their_images_with_a_legend(torchless: Command) -> None:
    faulty(Path("data"))
    Path("data/classes.txt").write_text("background\n<b>cell\ndust")
    done = torchless("data", "data", "--html", "a.html")
    assert done.code == 0, done.err
    page = Path("a.html").read_text()
    assert "&lt;b&gt;cell" in page and "<b>cell" not in page
    assert page.count("data:image/jpeg;base64,") == 12
    assert page.count('class="swatch"') == 4 and "masks/04.png: not an image" in page


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["data.format=voc"], "data.format=voc: data.root=data has no JPEGImages/"),
        (["data.label_map={0:x}"], "data.label_map"),
        (["data.channels=3"], "data takes one folder of images"),
    ],
)
def test_wrong_words_end_with_one_line(torchless: Command, words: list[str], told: str) -> None:
    mask_tree.masks(Path("data"), range(3))
    done = torchless("data", "data", *words)
    assert done.code == 2 and told in done.err and "Traceback" not in done.err


def test_masks_without_images_are_refused(torchless: Command) -> None:
    for number in range(3):
        save(Path(f"data/masks/{number}.png"), scene(number)[1])
    for command in (["data", "data"], ["train", "data=folder", "data.root=data"]):
        done = torchless(*command)
        assert done.code == 2 and "holds masks in masks/ and no images" in done.err
