"""What of a folder is a class, a part or an image, and what is not; nothing is left out in silence."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Command, Outcome, is_told
from image_tree import digits
from permissions import held_to_permissions

from cnntrain.image_folder.inventory import inventory
from cnntrain.image_folder.listing import list_folder

RUN = ("data=folder", "data.root=images", "model=mlp", "epochs=1", "report=false")


def messages(outcome: Outcome) -> str:
    """Return all that was said on one line, without the colons and line ends that come before names."""
    return " ".join((outcome.out + outcome.err).replace(":", "").replace(",", "").split())


def told_by_both(cnntrain: Command, *words: str, options: tuple[str, ...] = ()) -> None:
    """Assert that ``data`` and ``train`` end well and say all the words."""
    for arguments in (("data", "images"), ("train", *RUN, *options)):
        inventory.cache_clear()
        done = cnntrain(*arguments)
        assert done.code == 0, done.err
        for word in words:
            bare = word.replace(":", "").replace(",", "")
            assert bare in messages(done), f"{bare!r} is not in {messages(done)}"


def test_runs_inside_the_data_are_no_class(cnntrain: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command twice, where its own outputs/ lies among the classes."""
    digits(Path("images"), 12, (0, 1))
    monkeypatch.chdir("images")
    words = ("data=folder", "data.root=.", "model=mlp", "epochs=1", "report=false")
    assert cnntrain("train", *words).code == 0
    assert cnntrain("train", *words, "out=d0/deep/run").code == 0
    for name in ("d0/deep/run", "d1", next(Path("outputs/train").iterdir())):  # as a report's figures
        Path(name, "plots").mkdir()
        shutil.copy("d0/000.jpg", f"{name}/plots/x.jpg")
    Path("outputs/explain/1").mkdir(parents=True)
    shutil.copy("d0/000.jpg", "outputs/explain/1/x.jpg")
    inventory.cache_clear()
    done = cnntrain("train", *words)
    assert done.code == 0, done.err
    assert "2 classes" in done.out
    told = "2 folders written by cnntrain so no class and no images to train on outputs d0/deep/run"
    assert told in messages(done) and told in messages(cnntrain("data", "."))
    assert len(list_folder(".").files) == 25


def test_a_sweep_is_no_class() -> None:
    digits(Path("images"), 4)
    Path("images/tries/job").mkdir(parents=True)
    Path("images/tries/sweep.yaml").touch()
    shutil.copy("images/d0/000.jpg", "images/tries/job/x.jpg")
    listing = list_folder("images")
    assert listing.classes == ["d0", "d1", "d3"] and listing.found.runs == ["tries"]


def test_a_class_without_readable_files_is_named_with_their_kind(cnntrain: Command) -> None:
    digits(Path("images"), 12)
    Path("images/fox").mkdir()
    for number in range(12):
        Path(f"images/fox/{number}.HEIC").write_text("an image of another kind")
    Path("images/d0/notes.txt").touch()
    Path("images/d0/Thumbs.db").touch()
    shutil.copy("images/d0/000.jpg", "images/loose.jpg")
    told_by_both(
        cnntrain,
        "1 folder without readable images, so no class: fox",
        "13 files skipped: not an image extension: .heic (12), .txt (1)",
        "1 image in no class folder, so not used: loose.jpg",
    )


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("Training", "dev", "Testing"), ("train", "VALID", "eval"), ("TRAIN", "Validation", "evaluation")],
)
def test_parts_are_known_by_their_usual_names(train: str, val: str, test: str) -> None:
    for name, first in ((train, 0), (val, 10), (test, 20)):
        digits(Path("images", name), 4, first=first)
    listing = list_folder("images")
    assert listing.classes == ["d0", "d1", "d3"]
    assert {part: listing.parts.count(part) for part in ("train", "val", "test")} == {
        "train": 12,
        "val": 12,
        "test": 12,
    }


def test_folders_beside_train_that_are_not_used_are_named(cnntrain: Command) -> None:
    digits(Path("images/train"), 12)
    digits(Path("images/holdout"), 3, first=20)
    told_by_both(cnntrain, "1 folder beside train/ not used", "holdout")


def test_what_looks_like_parts_is_not_taken_for_classes(torchless: Command) -> None:
    digits(Path("images/fold1"), 4)
    digits(Path("images/fold2"), 4, first=10)
    is_told(
        torchless("train", *RUN), "fold1, fold2 all have the same subfolders d0, d1, d3", "train, val, test"
    )
    is_told(torchless("data", "images"), "fold1, fold2")
    for old, new in (("fold1", "val"), ("fold2", "test")):
        Path("images", old).rename(Path("images", new))
    is_told(torchless("train", *RUN), "test, val without train/")


def test_parts_inside_the_classes_are_not_mixed(torchless: Command) -> None:
    for name in ("cat", "dog"):
        digits(Path("images", name), 4, (0, 1))
        Path("images", name, "d0").rename(Path("images", name, "train"))
        Path("images", name, "d1").rename(Path("images", name, "test"))
    is_told(torchless("train", *RUN), "test, train lie inside each class folder: move cat/test to test/cat")


def test_a_class_called_train_is_a_class_beside_others(cnntrain: Command) -> None:
    digits(Path("images"), 12)
    Path("images/d0").rename("images/train")
    assert list_folder("images").classes == ["d1", "d3", "train"]
    Path("images/d1").rename("images/test")
    is_told(cnntrain("train", *RUN), "train/ contains no class folders")


def test_the_folder_above_is_told_where_the_classes_are(torchless: Command) -> None:
    digits(Path("images/dataset"), 4)
    is_told(torchless("train", *RUN), "are they in data.root=images/dataset?")


def test_links_in_a_circle_end_and_are_named(cnntrain: Command) -> None:
    digits(Path("images"), 12)
    for name in ("images/d0/self", "images/d0/other", "images/whole"):
        Path(name).symlink_to(".")
    Path("images/d1/deep").mkdir()
    for name in ("x", "y"):
        Path("images/d1/deep", name).symlink_to("..")
    told_by_both(cnntrain, "5 folders left out: a link to a folder that is searched already", "d0/other")
    assert len(list_folder("images").files) == 36


def test_links_that_branch_without_a_circle_multiply_nothing() -> None:
    digits(Path("images"), 4)
    for number in range(30):
        Path(f"chain/{number}").mkdir(parents=True)
        for name in ("x", "y"):
            Path(f"chain/{number}/{name}").symlink_to(f"../{number + 1}")
    Path("chain/30").mkdir()
    shutil.copy("images/d0/001.png", "chain/30/deep.png")
    Path("images/d0/chain").symlink_to(Path("chain/0").absolute())
    assert len(list_folder("images").files) == 13


def test_linked_folders_are_looked_into_and_named(cnntrain: Command) -> None:
    digits(Path("images"), 12)
    digits(Path("elsewhere"), 12, (5, 6))
    Path("images/d5").symlink_to(Path("elsewhere/d5").absolute())
    Path("images/d0/more").symlink_to(Path("elsewhere/d6").absolute())
    listing = list_folder("images")
    assert listing.classes == ["d0", "d1", "d3", "d5"] and len(listing.files) == 60
    assert listing.found.links == ["d0/more", "d5"]
    told_by_both(cnntrain, "2 linked folders looked into: d0/more, d5")


def test_pipes_and_devices_are_no_images_and_hang_nothing(cnntrain: Command) -> None:
    digits(Path("images"), 12)
    os.mkfifo("images/d0/pipe.png")
    Path("images/d0/zero.png").symlink_to("/dev/zero")
    Path("images/d1/nowhere.png").symlink_to("nowhere")
    told_by_both(
        cnntrain,
        "2 files left out: not a regular file, but a pipe, a socket or a device: d0/pipe.png, d0/zero.png",
        "d1/nowhere.png: No such file or directory",
        options=("data.on_bad_image=skip", "out=run"),
    )
    is_told(cnntrain("predict", "run", "images/d0/pipe.png"), "is not a regular file")
    shutil.copytree("images/d1", "seen/d1", symlinks=True)
    os.mkfifo("seen/d1/pipe.png")
    Path("seen/linked").symlink_to(Path("images/d3").absolute())
    Path("seen/self").symlink_to(".")
    done = cnntrain("predict", "run", "seen", "--csv", "-")
    files = [line.partition(",")[0] for line in done.out.splitlines()[1:]]
    assert sum("seen/linked/" in file for file in files) == 12
    assert sum("seen/d1/" in file for file in files) == 13  # with the link to nowhere, without the pipe
    assert "nowhere.png" in done.err and "pipe.png" not in done.out
    assert "a pipe, a socket or a device: d1/pipe.png" in done.err


@pytest.fixture
def closed(in_empty_folder: Path) -> Iterator[Path]:
    """A class whose folder nobody may read; pytest could not remove it."""
    folder = digits(in_empty_folder / "images", 12) / "d3"
    folder.chmod(0)
    yield folder
    folder.parent.chmod(0o755)
    folder.chmod(0o755)


def test_a_folder_that_may_not_be_read_stops_the_run_or_is_named(cnntrain: Command, closed: Path) -> None:
    def bound(*arguments: str) -> Outcome:
        inventory.cache_clear()
        with held_to_permissions():
            return cnntrain(*arguments)

    skipped = bound("train", *RUN, "data.on_bad_image=skip")
    assert skipped.code == 0, skipped.err
    assert "1 folder that may not be read: d3" in skipped.err
    audited = bound("data", "images")
    assert audited.code == 0 and "may not be read" in audited.out, audited.err
    for told in ("1 folder that may not be read: d3", "data.root=images may not be read"):
        done = bound("train", *RUN)
        assert done.code == 2 and "Traceback" not in done.err and told in done.err, done.err
        closed.parent.chmod(0)
    done = bound("predict", "last", "images")
    assert done.code == 2 and "the folder images may not be read" in done.err, done.err


@pytest.mark.parametrize(
    ("name", "other", "words"),
    [("caf\u00e9", "cafe\u0301", "NFC"), ("cat", "cat ", "blanks"), ("cat", "Cat", "upper and lower case")],
)
def test_what_differs_between_names_that_look_the_same_is_said(
    torchless: Command, name: str, other: str, words: str
) -> None:
    for part, class_name, first in (("train", name, 0), ("test", other, 10)):
        digits(Path("images", part), 4, (1,), first)
        digits(Path("images", part), 4, (0,), first)
        Path("images", part, "d0").rename(Path("images", part, class_name))
    is_told(torchless("train", *RUN), words)


def test_copies_between_train_and_val_are_warned_of(cnntrain: Command) -> None:
    digits(Path("images/train"), 12)
    shutil.copytree("images/train", "images/val")
    done = cnntrain("train", *RUN)
    assert "of the training part also in the validation part" in done.err


def test_odd_names_reach_no_screen_raw_and_end_nothing(cnntrain: Command) -> None:
    """Of classes and files: control characters, and bytes that are not UTF-8."""
    digits(Path("images"), 10, (0, 1, 3, 5))
    names = [os.fsdecode(name) for name in (b"new\nline", b"\x1b]0;owned\x07\x1b[2J", b"caf\xe9")]
    for digit, name in zip((0, 1, 3), names, strict=True):
        shutil.copy("images/d5/001.png", f"images/d{digit}/{name}.png")
        Path(f"images/d{digit}/{name}.txt").touch()
        Path(f"images/d{digit}/{name}.jpg").write_text("not an image")
        Path(f"images/d{digit}").rename(f"images/{name}")
        Path(f"images/{name}2").mkdir()
    commands = {
        ("data", "images", "--json", "a.json", "--html", "a.html"): 0,
        ("data", "images", "--json", "-"): 0,
        ("train", *RUN, "report=true", "data.on_bad_image=skip", "out=run", "verbose=2"): 0,
        ("eval", "run"): 0,
        ("data", "images", "--augmented", "a.png", "augment=digits"): 0,
        ("train", *RUN): 2,
    }
    for arguments, code in commands.items():
        done = cnntrain(*arguments)
        assert done.code == code and "Traceback" not in done.err, done
        for raw in ("\x1b", "new\nline", "caf\udce9", "caf\ufffd"):
            assert raw not in done.out + done.err, (raw, arguments)
    for file in ("a.json", "a.html", "run/report.html", "run/config.yaml", "run/summary.json"):
        assert "\x1b" not in Path(file).read_text(encoding="utf-8"), file
