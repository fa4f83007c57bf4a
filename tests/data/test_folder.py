"""``data=folder``: a folder of images trains, evaluates and resumes, and its faults are named."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Command, is_told, run_folders
from image_tree import digits, faulty
from PIL import Image

from cnntrain.data.sources.folder import Folder
from cnntrain.image_folder.decode import decode, read_pixels
from cnntrain.image_folder.inventory import inventory
from cnntrain.image_folder.opening import Decoding, UnreadableImage

RUN = ("data=folder", "data.root=images", "model=mlp", "epochs=1", "report=false")
BOUND = Decoding(max_megapixels=64)


def summary() -> dict:
    return json.loads((run_folders()[-1] / "summary.json").read_text())


def test_a_folder_trains_evaluates_and_resumes(cnntrain: Command) -> None:
    digits(Path("images"))
    done = cnntrain("train", *RUN)
    assert done.code == 0, done.err
    assert "1×28×28, 3 classes" in done.out
    told = re.search(r"(\d+) held out for testing, by a hash of each file", done.out)
    assert told and 3 <= int(told[1]) <= 18 and summary()["test"]["examples"] == int(told[1])
    assert summary()["skipped_images"] == []
    assert cnntrain("eval", "last", "split=val").code == 0
    assert cnntrain("resume", "last", "epochs=2").code == 0


def test_a_file_that_cannot_be_read_stops_a_run_before_torch_is_imported(torchless: Command) -> None:
    faulty(Path("images"))
    told = torchless("train", *RUN)
    is_told(told, "images/d0/truncated.jpg", "data.on_bad_image=skip")
    assert not run_folders()


def test_skip_trains_without_the_files_and_names_them(cnntrain: Command) -> None:
    faulty(Path("images"))
    done = cnntrain("train", *RUN, "data.on_bad_image=skip")
    assert done.code == 0, done.err
    assert "skipped 2 files that can't be read: d0/truncated.jpg: " in done.err
    assert "; d1/text.png: not an image" in done.err
    assert [line.partition(":")[0] for line in summary()["skipped_images"]] == [
        "d0/truncated.jpg",
        "d1/text.png",
    ]


def test_the_audit_names_every_fault(torchless: Command) -> None:
    faulty(Path("images"))
    done = torchless("data", "images", "--json", "a.json", "--html", "a.html")
    assert done.code == 0, done.err
    found = json.loads(Path("a.json").read_text())
    assert "written to a.json" in done.out
    assert json.loads(torchless("data", "images", "--json", "-").out) == found
    is_told(
        torchless("data", "images", "--html", "images"),
        "images can't be written: it is a folder, name a file",
    )
    assert {line.partition(":")[0] for line in found["unreadable"]} == {"d0/truncated.jpg", "d1/text.png"}
    assert found["others"] == ["d1/notes.txt"]
    assert found["empty"] == ["empty"]
    assert found["hidden"] == [".hidden"]
    assert found["converted"] == [
        "d0/cmyk.jpg: CMYK, becomes RGB",
        "d3/deep.png: 16 bits, become 8",
        "d3/turned.jpg: EXIF orientation applied",
    ]
    assert found["across_classes"] == [["d1/copy.png", "d3/003.png"]]
    assert found["modes"] == {"L": 61, "CMYK": 1, "I;16": 1, "RGB": 1}
    assert found["sizes"]["40x60"] == 1  # upright
    assert list(found["counts"]) == ["d0", "d1", "d3"]
    for name in (
        "d0/truncated.jpg",
        "d1/text.png",
        "d1/copy.png",
        "empty",
        ".hidden",
        "d3/turned.jpg",
        "skip",
    ):
        assert name in done.out
    page = Path("a.html").read_text()
    assert page.count("<img") >= 60
    assert all(
        name in page for name in ("notes.txt", "CMYK, becomes RGB", ".hidden", "data.on_bad_image=skip")
    )


def test_leaks_between_parts_are_named_and_warned_of(cnntrain: Command) -> None:
    for part, first in (("train", 0), ("valid", 20), ("test", 30)):
        digits(Path("images", part), 10, first=first)
    image = Image.open("images/train/d0/001.png")
    image.resize((56, 56), Image.Resampling.BICUBIC).save("images/test/d0/larger.jpg")
    assert cnntrain("data", "images", "--json", "a.json").code == 0
    found = json.loads(Path("a.json").read_text())
    assert found["leaks"] == [["train/d0/001.png", "test/d0/larger.jpg"]]
    assert found["counts"]["d0"] == {"train": 10, "val": 10, "test": 11}
    done = cnntrain("train", *RUN)
    assert "30 train, 30 val, 31 test" in done.out
    assert "1 image of the training part" in done.err


def test_copies_stay_on_one_side(cnntrain: Command) -> None:
    digits(Path("images"), 20, (0, 1))
    for number in range(0, 20, 2):
        shutil.copy(f"images/d0/{number:03}.jpg", f"images/d0/copy{number}.jpg")
    train, test = (Folder("images", is_train, 1, 28) for is_train in (True, False))
    indices, val = train.split(0.2, 0)
    sides = [set(train.groups[indices].tolist()), set(train.groups[val].tolist()), set(test.groups.tolist())]
    assert all(sides)
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
    assert len(train) + len(test) == 50


def test_different_digits_are_not_taken_for_copies() -> None:
    digits(Path("images"), 300, (1, 7))
    assert len(set(inventory("images", 64).groups.tolist())) >= 595


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("L", 100, (100,)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("LA", (10, 255), (10,)),
        ("CMYK", (0, 255, 255, 0), (254, 0, 0)),
        ("1", 1, (255,)),
        ("I;16", 257 * 100, (100,)),
    ],
)
def test_every_mode_becomes_the_colour_that_a_person_sees(
    mode: str, value: object, expected: tuple[int, ...]
) -> None:
    kind = "tif" if mode == "CMYK" else "png"
    Image.new(mode, (8, 8), value).save(f"a.{kind}")  # type: ignore[arg-type]
    image, found, _, is_turned, *_ = decode(Path(f"a.{kind}"), BOUND)
    pixel = np.atleast_1d(np.asarray(image)[0, 0])
    assert found == mode and not is_turned
    assert len(pixel) == len(expected) and np.allclose(pixel, expected, atol=1)


def photograph(width: int, height: int) -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"progressive": True},
        {"subsampling": "4:4:4"},
        {"subsampling": "4:2:2"},
        {"keep_rgb": True},
        {"restart_marker_rows": 1},
        {"mode": "L"},
        {"mode": "CMYK"},
        {"orientation": 6},
        {"tail": b"rubbish"},
    ],
)
@pytest.mark.parametrize("at_least", [None, 40, 20])
def test_every_jpeg_has_the_pixels_that_pillow_gives(options: dict[str, Any], at_least: int | None) -> None:
    options, exif = dict(options), Image.Exif()
    exif[0x0112] = options.pop("orientation", 1)
    tail = options.pop("tail", b"")
    photograph(61, 45).convert(options.pop("mode", "RGB")).save("a.jpg", exif=exif, **options)
    path = Path("a.jpg")
    path.write_bytes(path.read_bytes() + tail)
    for mode in ("L", "RGB"):
        expected = np.asarray(decode(path, BOUND, at_least).image.convert(mode)).reshape(-1)
        assert np.array_equal(read_pixels(path, mode, BOUND, at_least).reshape(-1), expected)


def test_a_truncated_jpeg_is_told() -> None:
    photograph(61, 45).save("a.jpg")
    path = Path("a.jpg")
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UnreadableImage, match="truncated"):
        read_pixels(path, "RGB", BOUND, 40)


def test_a_turned_photograph_is_upright() -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30] = 255  # white on the left, which is the top once it is turned
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save("a.jpg", exif=exif)
    image, _, size, is_turned, *_ = decode(Path("a.jpg"), BOUND)
    assert image.size == size == (40, 60) and is_turned
    assert np.asarray(image)[5].mean() > 200 > 50 > np.asarray(image)[55].mean()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("data=folder",), ("data.root= is empty",)),
        (("data=folder", "data.root=nowhere"), ("data.root=nowhere is not there",)),
        (("data=folder", "data.root=."), ("two classes", "DIR/CLASS")),
        (("data.channels=auto",), ("data.channels=auto is for data=folder",)),
        (
            ("data=folder", "data.root=images", "data.on_bad_image=skpi"),
            ("did you mean data.on_bad_image=skip?",),
        ),
    ],
)
def test_a_wrong_folder_is_told_in_one_line(
    torchless: Command, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    is_told(torchless("train", *arguments), *parts)


def test_a_class_that_only_the_test_part_has_is_named(torchless: Command) -> None:
    digits(Path("images/train"), 4)
    digits(Path("images/test"), 4, (0, 5))
    is_told(torchless("train", *RUN), "images/test/d5", "d0, d1, d3")


def test_eval_on_other_images_goes_by_the_names_of_the_classes(cnntrain: Command) -> None:
    digits(Path("images"), 100)
    digits(Path("others"), 100, (1, 3), first=100)
    assert cnntrain("train", *RUN, "epochs=6").code == 0
    done = cnntrain("eval", "last", "data=folder", "data.root=others")
    assert done.code == 0, done.err
    report = json.loads((run_folders()[-1] / "eval_test.json").read_text())
    nothing, *some = [row["support"] for row in report["per_class"]]
    assert nothing == 0 and all(5 <= number <= 30 for number in some)
    assert report["accuracy"] > 0.8
    Path("others/d1").rename("others/d9")
    inventory.cache_clear()
    is_told(cnntrain("eval", "last", "data=folder", "data.root=others"), "a class d9", "d0, d1, d3")


def test_a_second_look_reads_only_what_has_changed(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cnntrain.image_folder import scan

    digits(Path("images"))
    first = inventory("images", 64).records
    inventory.cache_clear()
    Path("images/d0/001.png").write_text("damaged since")
    read = []
    measured = scan.scan_file
    monkeypatch.setattr(scan, "scan_file", lambda path, how: read.append(path.name) or measured(path, how))
    second = inventory("images", 64)
    assert read == ["001.png"]
    assert second.bad == ["d0/001.png: not an image"]
    assert (second.records["pixels"] == first["pixels"]).sum() == 59


def test_long_images_are_told_of_and_keep_their_proportions_in_training_and_in_use(
    cnntrain: Command,
) -> None:
    """Two classes that differ in the middle alone."""
    generator = np.random.default_rng(0)
    for name, colour in (("dark", 40), ("light", 215)):
        Path("images", name).mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 256, (40, 120, 3), dtype=np.uint8)
            pixels[10:30, 50:70] = colour
            Image.fromarray(pixels).save(f"images/{name}/{number}.png")
    audited = cnntrain("data", "images")
    assert "the center crop discards 67% of the median image" in audited.out
    assert "data.resize=pad" in audited.out
    words = ("data.resize=crop", "data.image_size=16", "data.resize_size=20", "augment.crop=0.5", "epochs=8")
    assert cnntrain("train", *RUN[:3], "report=false", *words, "out=run", "precision=fp32").code == 0
    assert cnntrain("eval", "run", "data=folder", "data.root=images").code == 0
    evaluated = json.loads(Path("run/eval_test.json").read_text())
    assert evaluated["accuracy"] == json.loads(Path("run/summary.json").read_text())["test"]["accuracy"] == 1
    assert cnntrain("predict", "run", "images", "--csv", "a.csv").code == 0
    rows = [line.split(",")[:2] for line in Path("a.csv").read_text().splitlines()[1:]]
    assert sum(Path(file).parent.name == said for file, said in rows) >= 38


def test_a_image_that_was_changed_is_decoded_anew() -> None:
    """Even if its thumbnail, by which copies are found, stays the same."""
    rough = np.random.default_rng(0).integers(0, 256, (512, 512), dtype=np.uint8)
    for name, pixels in (("grey", np.full((512, 512), 128, np.uint8)), ("noise", rough)):
        Path("images", name).mkdir(parents=True)
        Image.fromarray(pixels).save(f"images/{name}/0.jpg")
    before = inventory("images", 64).digest
    chequered = np.indices((512, 512)).sum(0) % 2 * 80 + 88  # whose mean is the same
    Image.fromarray(chequered.astype(np.uint8)).save("images/grey/0.jpg", quality=95)
    inventory.cache_clear()
    assert inventory("images", 64).digest != before


def test_a_folders_own_validation_part_validates_whatever_the_fraction_is(cnntrain: Command) -> None:
    for part in ("train", "val", "test"):
        for name in ("a", "b"):
            Path("images", part, name).mkdir(parents=True)
            for number in range(6):
                colour = (20 * number, 100 * (name == "b"), 50 * len(part))
                Image.new("RGB", (8, 8), colour).save(f"images/{part}/{name}/{number}.png")
    own = ("data=folder", "data.root=images", "data.val_fraction=0", "model=mlp", "epochs=1", "report=false")
    plateau = "schedule._target_=torch.optim.lr_scheduler.ReduceLROnPlateau"
    done = cnntrain("train", *own, plateau, "early_stopping=1", "out=run")
    assert done.code == 0, done.err
    search = ("-m", "sweeper=random", "sweeper.n_trials=1", "optim.lr=interval(1e-3,1e-2)")
    done = cnntrain("train", *own, *search, "out=tries")
    assert done.code == 0, done.err
    shutil.rmtree("images/val")
    for words in ((plateau,), ("early_stopping=1",), search):
        inventory.cache_clear()
        is_told(cnntrain("train", *own, *words), "needs a validation set")
