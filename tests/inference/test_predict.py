"""``cnntrain predict``: any image file, preprocessed as in training."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command, is_told
from PIL import Image

from cnntrain.cli import main
from cnntrain.data.sources.builtin import MNISTMini
from cnntrain.image_folder.decode import decode
from cnntrain.image_folder.opening import Decoding, UnreadableImage
from cnntrain.inference.model import load
from cnntrain.inference.predict import Lines, Prediction
from cnntrain.runs.safe_csv import csv_of
from cnntrain.runtime.console import Console
from cnntrain.text import columns

RUN = ("model=mlp", "limit=1000", "epochs=1", "precision=fp32", "report=false", "-q")
BOUND = Decoding(max_megapixels=64)


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict") / "run"
    assert main.run(["train", *RUN, f"out={folder}"]) == 0
    return folder


@pytest.fixture
def run(trained_run: Path, in_empty_folder: Path) -> None:
    """A trained MLP in the folder ``run``."""
    shutil.copytree(trained_run, "run")


def digits(count: int, folder: str = "digits") -> None:
    """Save test digits as PNG files, named by their place and label."""
    Path(folder).mkdir()
    test = MNISTMini(train=False)
    for number in range(count):
        image = Image.fromarray(test.images[number, 0].numpy())
        image.save(f"{folder}/{number:04}_{int(test.labels[number])}.png")


def rows_of(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(name).open()))


def test_the_predictions_are_those_of_eval(cnntrain: Command, run: None) -> None:
    cnntrain("eval", "run")
    digits(1000)
    assert cnntrain("predict", "run", "digits", "--csv", "all.csv").code == 0
    confusion = np.zeros((10, 10), dtype=int)
    for row in rows_of("all.csv"):
        confusion[int(row["file"][-5]), int(row["class"])] += 1
    assert confusion.tolist() == json.loads(Path("run/eval_test.json").read_text())["confusion_matrix"]


def test_what_is_no_image_is_named_and_the_rest_goes_on(cnntrain: Command, run: None) -> None:
    digits(20)
    Path("digits/text.png").write_text("hello")
    whole = Path("digits/0000_7.png").read_bytes()
    Path("digits/truncated.png").write_bytes(whole[: len(whole) // 2])
    Path("digits/.hidden.png").write_text("not looked at")

    outcome = cnntrain("predict", "run", "digits", "--json", "all.json")

    assert outcome.code == 1
    assert "digits/text.png: not an image" in outcome.err
    assert "digits/truncated.png: image file is truncated" in outcome.err
    assert "2 files of 22 could not be read" in outcome.err and "Traceback" not in outcome.err
    assert len(outcome.out.splitlines()) == 23 and outcome.out.startswith("in digits:\n0000_7.png  ")
    assert outcome.out.endswith("written to all.json\n")
    report = json.loads(Path("all.json").read_text())
    assert len(report["predictions"]) == 20
    assert [Path(entry["file"]).name for entry in report["failed"]] == ["text.png", "truncated.png"]


def test_in_a_folder_what_has_no_image_extension_is_skipped(cnntrain: Command, run: None) -> None:
    digits(2)
    for name in ("Thumbs.db", ".DS_Store", "notes.txt", "a.HEIC", "b.heic"):
        Path("digits", name).write_text("no image")
    outcome = cnntrain("predict", "run", "digits", "--csv", "a.csv")
    assert outcome.code == 0 and len(rows_of("a.csv")) == 2
    assert outcome.err.splitlines() == [
        "cnntrain: warning: digits: 3 files skipped: not an image extension: .heic (2), .txt (1); "
        "HEIC is not read here: convert it to JPEG"
    ]
    Path("digits/0000_7.png").rename("digits/without")  # named by itself, a file is tried
    assert cnntrain("predict", "run", "digits/without", "--csv", "a.csv").code == 0
    assert len(rows_of("a.csv")) == 1
    outcome = cnntrain("predict", "run", "digits/notes.txt", "digits/without")
    assert outcome.code == 1 and "digits/notes.txt: not an image" in outcome.err


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a.heic", "HEIC is not read here: convert it to JPEG"),
        ("a.NEF", "NEF is not read here: convert it to JPEG"),
        ("a.svg", "SVG is not read here: convert it to PNG"),
        ("a.mp4", "a video is not read here: save its frames as JPEG"),
        ("renamed.jpg", "HEIC is not read here: convert it to JPEG"),
    ],
)
def test_what_to_convert_is_told(tmp_path: Path, name: str, told: str) -> None:
    head = b"\0\0\0\x18ftypheic" if name == "renamed.jpg" else b"something else"
    (tmp_path / name).write_bytes(head + bytes(100))
    with pytest.raises(UnreadableImage, match=f"^{told}$"):
        decode(tmp_path / name, BOUND)


def test_probabilities_are_those_of_the_model(cnntrain: Command, run: None) -> None:
    digits(3)
    outcome = cnntrain("predict", "run", "digits", "top=99", "--csv", "-")
    rows = list(csv.DictReader(outcome.out.splitlines()))
    assert len(rows[0]) == 1 + 2 * 10 + 1  # file, classes with their probabilities, error
    trained = load("run")
    images = MNISTMini(train=False).images[:3]
    expected = trained.predict(images)
    assert torch.allclose(expected.sum(1), torch.ones(3))
    for row, probabilities in zip(rows, expected, strict=True):
        places = ["", *(f"_{n}" for n in range(2, 11))]
        found = {row[f"class{place}"]: float(row[f"probability{place}"]) for place in places}
        wanted = dict(zip(trained.class_names, probabilities.tolist(), strict=True))
        assert found == pytest.approx(wanted, rel=1e-4, abs=1e-9)


def test_dark_on_white_is_inverted(cnntrain: Command, run: None) -> None:
    digits(5)
    for path in Path("digits").glob("*.png"):
        inverted = 255 - np.asarray(Image.open(path))
        Path("drawn").mkdir(exist_ok=True)
        Image.fromarray(inverted).save(f"drawn/{path.name}")
    cnntrain("predict", "run", "digits", "--csv", "a.csv")
    cnntrain("predict", "run", "drawn", "invert=true", "--csv", "b.csv")
    pairs = zip(rows_of("a.csv"), rows_of("b.csv"), strict=True)
    assert all({**one, "file": ""} == {**other, "file": ""} for one, other in pairs)


def test_every_mode_is_read_as_it_looks(tmp_path: Path) -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    colour = np.stack([grey, 255 - grey, grey // 2], axis=-1)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(colour).save(tmp_path / "colour.png")
    Image.fromarray(colour).convert("P", palette=Image.Palette.ADAPTIVE, colors=16).save(tmp_path / "p.png")
    Image.fromarray(colour).convert("CMYK").save(tmp_path / "cmyk.tif")
    Image.fromarray(grey > 100).save(tmp_path / "bits.png")
    clear = np.concatenate([colour, np.zeros((3, 4, 1), np.uint8)], axis=-1)
    Image.fromarray(clear).save(tmp_path / "clear.png")
    turned = Image.fromarray(colour)
    turned.getexif()[0x0112] = 6  # to be turned by 90 degrees clockwise when shown
    turned.save(tmp_path / "turned.png", exif=turned.getexif())

    def shown(name: str) -> np.ndarray:
        return np.atleast_3d(np.asarray(decode(tmp_path / name, BOUND)[0]))

    assert np.array_equal(shown("grey.png")[..., 0], grey)
    assert np.array_equal(shown("deep.png")[..., 0], grey)
    assert np.array_equal(shown("colour.png"), colour)
    assert np.abs(shown("p.png").astype(int) - colour).max() <= 8
    assert np.abs(shown("cmyk.tif").astype(int) - colour).max() <= 2
    assert np.array_equal(shown("bits.png")[..., 0], (grey > 100) * np.uint8(255))
    assert (shown("clear.png") == 255).all()
    assert np.array_equal(shown("turned.png"), np.rot90(colour, -1))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "predict needs a run and files"),
        (("run",), "predict needs files: cnntrain predict run FILE_OR_FOLDER"),
        (("run", "digit"), "there is no file or folder digit: did you mean digits?"),
        (("run", "empty"), "the folder empty holds no files"),
        (
            ("run", "phone"),
            "the folder phone holds no images: 1 file skipped: not an image extension: .heic (1)",
        ),
        (("rum", "digits"), "there is no run rum"),
        (("run", "digits", "topp=3"), "unknown key topp: did you mean top=3?"),
        (("run", "digits", "top=0"), "top=0 is not possible"),
        (("run", "digits", "epochs=3"), "epochs can't be changed by predict"),
        (("run", "digits", "--cvs", "x"), "predict has no flag --cvs: did you mean --csv?"),
    ],
)
def test_wrong_input_is_told(torchless: Command, arguments: tuple[str, ...], told: str) -> None:
    Path("digits").mkdir()
    Path("digits/1.png").touch()
    Path("empty").mkdir()
    Path("phone").mkdir()
    Path("phone/1.heic").touch()
    is_told(torchless("predict", *arguments), told)


def test_a_file_that_cannot_be_written_is_told(cnntrain: Command, run: None) -> None:
    digits(1)
    is_told(cnntrain("predict", "run", "digits", "--csv", "digits"), "digits can't be written")
    Path("a_file").touch()
    beside = cnntrain("predict", "run", "digits", "--csv", "a_file/digits.csv")
    is_told(beside, "a_file/digits.csv can't be written")
    assert "a_file is not a folder" in beside.err and "digits/" not in beside.out, "before the work"


def test_one_inverted_drawing_is_warned_of_and_a_right_one_is_not(cnntrain: Command, run: None) -> None:
    digits(4)
    Path("drawn").mkdir()
    for path in Path("digits").glob("*.png"):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(f"drawn/{path.name}")
    told = cnntrain("predict", "run", "drawn")
    assert told.code == 0 and told.err.count("invert=true") == 1
    assert "4 images of 4 unlike the training images" in " ".join(told.err.split())
    assert cnntrain("predict", "run", "drawn", "invert=true").err == ""
    assert cnntrain("predict", "run", "digits").err == ""
    assert "leave invert=true out" in " ".join(
        cnntrain("predict", "run", "digits", "invert=true").err.split()
    )


def test_predictions_stand_in_columns_with_the_number_of_each_class(cnntrain: Command) -> None:
    Path("images").mkdir()
    for name, grey in (("été", 30), ("=cmd|'x'!A7", 220)):
        Path("images", name).mkdir()
        for number in range(8):
            noise = np.random.default_rng(number + grey).integers(-20, 20, (16, 16))
            Image.fromarray((grey + noise).clip(0, 255).astype(np.uint8)).save(f"images/{name}/{number}.png")
    data = ("data=folder", "data.root=images", "model=mlp", "epochs=8", "report=false", "out=run")
    assert cnntrain("train", *data).code == 0
    outcome = cnntrain("predict", "run", "images", "--csv", "a.csv", "--json", "a.json")
    heading, *lines, counts = outcome.out.splitlines()[:18]
    assert heading == "in images:" and lines[0].startswith("=cmd|'x'!A7/0.png  ")
    assert counts == "16 images: =cmd|'x'!A7 8, été 8"
    assert len({line.index("%") for line in lines}) == len({line.rindex("%") for line in lines}) == 1
    rows = Path("a.csv").read_text().splitlines()
    assert rows[1].startswith("images/=cmd|'x'!A7/0.png,'=cmd|'x'!A7,0.")
    assert "été" in Path("a.json").read_text()
    assert json.loads(Path("a.json").read_text())["checkpoint"] == "run/checkpoints/best.pt"


class Terminal(io.StringIO):
    """Standard output that is a terminal, of as many columns as COLUMNS says."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("width", "folder", "file", "classes", "shown"),
    [
        (80, "/home/a-person/photographs", "2026-11-25_13.27.jpg", ["cat", "dog", "fox", "owl", "rat"], 3),
        (80, "/home/a-person/photographs", "12.jpg", [f"a class with a name {n}" for n in "abcde"], 2),
        (
            80,
            "/home/a-person/photographs",
            "long" * 30 + ".jpg",
            [f"class of {'x' * 30} {n}" for n in "ab"],
            1,
        ),
        (60, "photos", "\u7f51\u7edc" * 20 + ".jpg", ["\u7f51\u7edc" * 8, "\u7edc"], 1),
    ],
)
def test_on_a_terminal_each_image_has_one_line(
    monkeypatch: pytest.MonkeyPatch, width: int, folder: str, file: str, classes: list[str], shown: int
) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", str(width))
    files = [Path(folder, part, file) for part in ("first", "second")]
    lines = Lines(Console(), files, classes, len(classes), ".2%")
    lines.heading()
    for path in files:
        lines.show(Prediction(path, tuple((name, 0.2) for name in classes)))
    text = re.sub(r"\x1b\[[0-9;]*m", "", sys.stdout.getvalue())  # type: ignore[attr-defined]
    heading, *rows = text.splitlines()
    assert heading == f"in {folder}:" and folder not in "".join(rows)
    assert len(rows) == 2 and all(columns(row) <= width and row.count("20.00%") == shown for row in rows)
    assert all(file[-8:] in row for row in rows)
    assert all(f"{name[-2:]} " in rows[0] for name in classes[:shown])


# Files that the user names


def test_named_files_are_written_through_links_and_into_fifos(cnntrain: Command, run: None) -> None:
    digits(1)
    Path("real.csv").write_text("old")
    Path("real.csv").chmod(0o640)
    Path("link.csv").symlink_to("real.csv")
    assert cnntrain("predict", "run", "digits", "--csv", "link.csv").code == 0
    assert Path("link.csv").is_symlink() and len(rows_of("real.csv")) == 1
    assert Path("real.csv").stat().st_mode & 0o777 == 0o640
    Path("dangling.csv").symlink_to("new.csv")
    assert cnntrain("predict", "run", "digits", "--csv", "dangling.csv").code == 0
    assert Path("dangling.csv").is_symlink() and len(rows_of("new.csv")) == 1
    assert cnntrain("predict", "run", "digits", "--csv", "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()
    os.mkfifo("pipe")
    with subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        assert cnntrain("predict", "run", "digits", "--json", "pipe").code == 0
        assert len(json.loads(reader.communicate(timeout=120)[0])["predictions"]) == 1
    assert Path("pipe").is_fifo()


def test_process_substitution_works(process: Command, run: None) -> None:
    digits(1)
    command = f"{sys.executable} -m cnntrain predict run digits --csv >(cat > caught.csv)"
    assert subprocess.run(["bash", "-c", f"{command}; sleep 0.3"], capture_output=True).returncode == 0
    assert len(rows_of("caught.csv")) == 1


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}", "link.csv", "/dev/stderr"])
def test_what_the_shell_has_opened_is_not_emptied(cnntrain: Command, run: None, name: str) -> None:
    digits(1)
    Path("precious.csv").write_text("old\n")
    opened = os.open("precious.csv", os.O_WRONLY | os.O_APPEND)
    Path("link.csv").symlink_to(f"/dev/fd/{opened}")
    stderr = os.dup(2)
    try:
        if name == "/dev/stderr":
            os.dup2(opened, 2)
        code = cnntrain("predict", "run", "digits", "--csv", name.format(opened)).code
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(opened)
    assert code == 0
    old, header, *rows = Path("precious.csv").read_text().splitlines()
    assert old == "old" and header.startswith("file,class,") and len(rows) == 1


def test_a_descriptor_that_is_not_open_is_told(cnntrain: Command, run: None) -> None:
    digits(1)
    is_told(cnntrain("predict", "run", "digits", "--csv", "/dev/fd/977"), "/dev/fd/977 can't be written")


@pytest.mark.parametrize("name", ["/dev/fd/1", "/proc/self/fd/1"])
def test_other_names_of_standard_output_hold_nothing_else(cnntrain: Command, run: None, name: str) -> None:
    digits(2)
    outcome = cnntrain("predict", "run", "digits", "--csv", name)
    assert outcome.out == cnntrain("predict", "run", "digits", "--csv", "-").out != ""


def test_a_file_in_memory_is_replaced_whole(cnntrain: Command, run: None) -> None:
    folder = Path("/dev/shm")
    if not os.access(folder, os.W_OK):
        pytest.skip("needs /dev/shm, which Linux has")
    digits(1)
    file = folder / f"cnntrain-{os.getpid()}.csv"
    file.write_text("old")
    before = file.open()  # which still reads what was there
    try:
        assert cnntrain("predict", "run", "digits", "--csv", str(file)).code == 0
        assert len(rows_of(str(file))) == 1 and before.read() == "old"
    finally:
        before.close()
        file.unlink()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+cmd", "'+cmd"),
        ("-cmd", "'-cmd"),
        ("\tx", "'\tx"),
        ("-1.5e-3", "-1.5e-3"),
        ("+2", "+2"),
        (-3, "-3"),
        (None, ""),
        ("a=b", "a=b"),
        ("été", "été"),
    ],
)
def test_formulas_are_made_harmless_and_numbers_stay(text: object, written: str) -> None:
    assert csv_of([[text, 1]]) == f"{written},1\n"
