"""What YOLO's data.yaml says of train, val and test is followed, or refused in a line."""

from __future__ import annotations

import shutil
from pathlib import Path

import box_tree
import mask_tree
import pytest
from conftest import Command

from cnntrain.annotations import formats as of_masks
from cnntrain.annotations.boxes import formats
from cnntrain.annotations.table import Table
from cnntrain.errors import UserError

NAMES = f"names: [{', '.join(box_tree.NAMES)}]\n"


def table(root: Path, text: str) -> Table:
    """Return the table of a folder whose ``data.yaml`` says something."""
    (root / "data.yaml").write_text(NAMES + text)
    return formats.read(root, formats.format_of(root))


def parts(found: Table) -> dict[str, int]:
    """Return how many images each part has."""
    own = [entry.part for entry in found.entries]
    return {part: own.count(part) for part in dict.fromkeys(own)}


@pytest.fixture
def root() -> Path:
    """Return a folder whose parts have names of their own: all, held and extra."""
    root = box_tree.yolo(Path("data"), range(6), "all")
    box_tree.yolo(root, range(6, 9), "held")
    return box_tree.yolo(root, range(9, 11), "extra")


@pytest.mark.parametrize(
    "text",
    [
        "train: images/all\nval: images/held",
        "train: ./images/all/\nval: [images/held]",
        "path: .\ntrain: images/all\nval: images/held\ntest:",
        "path: ../data\ntrain: images/all\nval: images/held",
        "path: datasets/digits\ntrain: images/all\nval: images/held",
        "path: ~nobody/digits\ntrain: images/all\nval: images/held",
        "path: {here}\ntrain: images/all\nval: images/held",
        "train: {here}/images/all\nval: {here}/images/held",
        "train: ../images/all\nval: ../images/held",  # as Roboflow writes it
        "train: /content/digits/images/all\nval: /content/digits/images/held",  # as it was on Colab
    ],
)
def test_folders_are_found_however_they_are_named(root: Path, text: str) -> None:
    found = table(root, text.format(here=root.absolute()))
    assert parts(found) == {"train": 6, "val": 3}
    assert "the parts are those of data.yaml" in found.notes
    assert not any("extra" in entry.image for entry in found.entries)


def test_a_single_class_is_one(root: Path, cnntrain: Command) -> None:
    (root / "data.yaml").write_text("names: [thing]\ntrain: images/all\nval: images/held")
    for file in root.rglob("*.txt"):
        file.write_text("0 0.5 0.5 0.5 0.5\n")
    run = ("data=folder", "data.root=data", "model=yolo", "model.width=4", "epochs=1", "precision=fp32")
    done = cnntrain("train", *run, "channels_last=false", "threads=1", "report=false", "doctor=false")
    assert done.code == 0 and ", 1 class\n" in done.out, done.err


def test_a_part_may_have_several_folders(root: Path) -> None:
    assert parts(table(root, "train: [images/all, images/extra]\nval: images/held")) == {"train": 8, "val": 3}


@pytest.mark.parametrize("store", ["data/store", "elsewhere"])
def test_a_part_may_be_a_link(root: Path, store: str) -> None:
    (root / "images/all").rename(store)
    (root / "images/all").symlink_to(Path(store).absolute())
    Path("link").symlink_to(root)
    text = "train: images/all\nval: images/held"
    for path in ("", f"path: {root.absolute()}\n"):
        for folder in (root, Path("link")):
            found = table(folder, path + text)
            assert parts(found) == {"train": 6, "val": 3}
            assert sum(len(entry.boxes) > 0 for entry in found.entries) == 8  # all but 04.png


def test_parts_may_be_lists_of_images(root: Path) -> None:
    (root / "train.txt").write_text("./images/all/00.png\nimages/all/01.png\n\n/content/images/all/02.png\n")
    (root / "lists").mkdir()
    (root / "lists/val.txt").write_text(
        f"../images/held/06.png\n{root.absolute()}/images/held/07.png\nno.png\n"
    )
    found = table(root, "train: train.txt\nval: lists/val.txt")
    assert parts(found) == {"train": 3, "val": 2}
    assert found.orphan_masks == ["lists/val.txt: no.png"]
    assert "6 images in no part of data.yaml, left out" in found.notes


def test_labels_lie_beside_images_where_no_folder_is_called_images(root: Path) -> None:
    for name in ("a", "b"):
        box_tree.yolo(Path("other", name), range(4), "x")
        for kind in ("images", "labels"):
            shutil.copytree(f"other/{name}/{kind}/x", f"flat/{name}", dirs_exist_ok=True)
    found = table(Path("flat"), "train: a\nval: b")
    assert parts(found) == {"train": 4, "val": 4} and sum(len(entry.boxes) for entry in found.entries) > 4


def test_masks_are_in_the_parts_that_it_names() -> None:
    root = mask_tree.yolo(Path("data"))
    images = sorted((root / "images").rglob("*.*"))
    (root / "val.txt").write_text("\n".join(str(path.relative_to(root)) for path in images[:3]))
    (root / "train.txt").write_text("\n".join(str(path.relative_to(root)) for path in images[3:]))
    text = (root / "data.yaml").read_text()
    (root / "data.yaml").write_text(f"{text}\ntrain: train.txt\nval: val.txt\n")
    found = of_masks.read(root, of_masks.format_of(root))
    assert parts(found) == {"train": len(images) - 3, "val": 3}


def test_the_usual_names_are_not_worth_a_word() -> None:
    root = box_tree.yolo(box_tree.yolo(Path("data"), range(6)), range(6, 8), "val")
    without = table(root, "")
    named = table(root, "train: images/train\nval: images/val\ntest: ../test/images")
    assert named.entries[0].image == without.entries[0].image and parts(named) == parts(without)
    assert named.notes == ["data.yaml names ../test/images for test, which is not there"]


def test_a_folder_without_a_usual_name_that_is_not_there_is_named(root: Path) -> None:
    root.joinpath("images").rename(root / "pictures")
    with pytest.raises(UserError, match=r"data\.yaml: train: images/all is not in this folder"):
        table(root, "train: images/all\nval: images/held")


def test_images_that_train_and_validate_are_split() -> None:
    root = box_tree.yolo(Path("data"), range(6), "all")
    found = table(root, "train: images/all\nval: images/all")
    assert parts(found) == {"": 6}
    assert found.notes == ["data.yaml names images/all for train and val: some are held out"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("train: images/all\nval: images/nope", r"data\.yaml: val: images/nope is not in this folder"),
        ("train: /data/other/images\nval: images/held", "train: /data/other/images is not in this folder"),
        ("train: https://example.org/a.zip", "train: https://example.org/a.zip is not in this folder"),
        ("train: images/all\nval: 3", "val: 3 is neither a folder, a .txt file nor a list"),
        ("train: [images/all, images/held]\nval: images/held", "06.png is in train and in val"),
        ('train: "a\\0b"\nval: images/held', r"train: a\\x00b is not in this folder"),
        (f"train: {'a' * 300}\nval: images/held", r"train: a+\.\.\. is not in this folder"),
        ("train: train.txt", "train: train.txt is not in this folder"),
    ],
)
def test_what_can_not_be_followed_is_refused_in_a_line(root: Path, text: str, told: str) -> None:
    with pytest.raises(UserError, match=told) as error:
        table(root, text)
    assert "\n" not in str(error.value)
