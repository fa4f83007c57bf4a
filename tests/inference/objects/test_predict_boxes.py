"""``cnntrain predict`` with a model that finds objects: boxes, labels and overlays, of files of any size."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Command, is_told
from PIL import Image

from cnntrain.cli import main
from cnntrain.inference.model import load

# A model without an error: its only cell has the box of all that is bright.
MODEL = """
import torch
from torch import nn

class Bright(nn.Module):
    def __init__(self, num_classes, fixed=False):
        super().__init__()
        self.logits = nn.Parameter(torch.full((num_classes,), -5.0))
        self.fixed = fixed
        with torch.no_grad():
            self.logits[7] = 3.0

    def forward(self, x):
        if self.fixed and x.shape[2:] != (32, 32):
            raise RuntimeError("another size")
        rows = []
        for image in x:
            bright = image[0] > (image.amax() + image.amin()) / 2
            y, x_ = torch.where(bright)
            sides = [x_.min(), y.min(), x_.max() + 1, y.max() + 1] if len(y) else [0, 0, 0, 0]
            box = torch.tensor([float(side) for side in sides])
            rows.append(torch.cat([(box[:2] + box[2:]) / 2, box, self.logits]))
        return torch.stack(rows)[:, None]
"""
DATA = ("data=mnist_canvas", "data.canvases=16", "data.test_canvases=2", "data.image_size=32")
RUN = (*DATA, "data.digits=[1,1]", "data.digit_size=[20,28]", "epochs=1")
QUICK = ("report=false", "doctor=false", "precision=fp32", "threads=1", "batch_size=8", "optim.lr=1e-9", "-q")
SQUARE = (0.25, 0.125, 0.625, 0.5)  # left, top, right and bottom, as shares of a file
FILES = {"own": (32, 32), "large": (256, 256), "wide": (120, 60), "tall": (50, 90), "long": (400, 20)}


def square_in(width: int, height: int) -> Image.Image:
    """Return a white rectangle on grey."""
    pixels = np.full((height, width), 20, np.uint8)
    left, top, right, bottom = (round(a * b) for a, b in zip(SQUARE, (width, height) * 2, strict=True))
    pixels[top:bottom, left:right] = 255
    return Image.fromarray(pixels)


def draw_files() -> None:
    Path("images").mkdir()
    for name, size in FILES.items():
        square_in(*size).save(f"images/{name}.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: a person sees the file turned by 90 degrees to the right
    square_in(120, 60).transpose(Image.Transpose.ROTATE_90).save("images/turned.jpg", exif=exif, quality=95)
    Image.new("L", (40, 40)).save("images/black.png")


def trained(resize: str = "pad", *more: str) -> None:
    Path("bright.py").write_text(MODEL)
    model = (
        "model._target_=bright.Bright",
        "criterion=detection",
        "data.targets=boxes",
        f"data.resize={resize}",
        *more,
    )
    assert main.run(["train", *RUN, *QUICK, *model, "out=run"]) == 0


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("resize", "more"),
    [("pad", ()), ("squash", ()), ("crop", ()), ("crop", ("model.fixed=true",))],
    ids=["pad", "squash", "crop", "fixed"],
)
def test_boxes_lie_in_the_files_own_pixels(
    cnntrain: Command, in_empty_folder: Path, resize: str, more: tuple[str, ...]
) -> None:
    trained(resize, *more)
    draw_files()
    done = cnntrain("predict", "run", "images", "out=found", "--csv", "a.csv", "--json", "a.json")
    assert done.code == 0, done.err
    table = {row["file"]: row for row in rows("a.csv")}
    results = {row["file"]: row for row in json.loads(Path("a.json").read_text())}
    for name, size in {**FILES, "turned": (120, 60)}.items():
        file = f"images/{name}.{'jpg' if name == 'turned' else 'png'}"
        row, both = table[file], (*size, *size)
        found = [float(row[side]) for side in ("left", "top", "right", "bottom")]
        wanted = [share * side for share, side in zip(SQUARE, both, strict=True)]
        pixel = max(1.0, max(size) / 32)  # of the network, in those of the file
        assert found == pytest.approx(wanted, abs=1.6 * pixel), file
        assert row["class"] == "7" and float(row["score"]) == pytest.approx(0.9526, abs=1e-3)
        x, y, wide, high = results[file]["bbox"]
        assert [x, y, x + wide, y + high] == pytest.approx(found, abs=0.02)
        label, *shares = Path(f"found/labels/{name}.txt").read_text().split()
        cx, cy, w, h = (float(share) for share in shares)
        edges = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
        assert label == "7"
        assert [e * s for e, s in zip(edges, both, strict=True)] == pytest.approx(found, abs=0.02)
        overlay = Image.open(f"found/overlays/{name}.png")
        assert overlay.width / overlay.height == pytest.approx(size[0] / size[1], rel=0.02)
        assert (np.ptp(np.asarray(overlay), axis=2) > 0).any()  # a box in colour
    assert table["images/black.png"]["class"] == "" and "images/black.png" not in results
    assert Path("found/labels/black.txt").read_text() == ""
    assert Path("found/classes.txt").read_text().split() == [str(digit) for digit in range(10)]
    assert "0 objects" in done.out and "6 objects: 7 6" in done.out


def test_the_number_of_images_at_a_time_changes_nothing(cnntrain: Command, in_empty_folder: Path) -> None:
    trained("crop")
    draw_files()
    Path("images/bad.png").write_text("no image")
    for size in (1, 3, 16):
        done = cnntrain("predict", "run", "images", f"eval_batch_size={size}", "--csv", f"{size}.csv")
        assert done.code == 1 and "bad.png" in done.err
    assert Path("1.csv").read_text() == Path("3.csv").read_text() == Path("16.csv").read_text()
    (bad,) = [row for row in rows("1.csv") if row["error"]]
    assert bad["file"] == "images/bad.png" and bad["class"] == ""


def test_json_on_standard_output_is_what_coco_reads(cnntrain: Command, in_empty_folder: Path) -> None:
    trained()
    for number in (139, 285):
        square_in(64, 64).save(f"{number:012d}.png")
    done = cnntrain("predict", "run", "000000000139.png", "000000000285.png", "--json", "-")
    found: list[dict[str, Any]] = json.loads(done.out)
    assert [row["image_id"] for row in found] == [139, 285]
    assert found[0]["category_id"] == 7 and found[0]["category"] == "7"
    coco = pytest.importorskip("faster_coco_eval")
    images = [{"id": number, "width": 64, "height": 64} for number in (139, 285)]
    truth = coco.COCO({"images": images, "annotations": [], "categories": [{"id": 7, "name": "7"}]})
    assert len(truth.loadRes(found).anns) == 2


def test_boxes_are_few_and_sure_if_that_is_asked(cnntrain: Command, in_empty_folder: Path) -> None:
    run = ("model=yolo", "model.width=4", "out=run")
    assert main.run(["train", *RUN, *QUICK, *run]) == 0
    square_in(40, 40).save("a.png")

    def number(*keys: str) -> int:
        table = cnntrain("predict", "run", "a.png", *keys, "--csv", "-").out
        return sum(bool(row["class"]) for row in csv.DictReader(table.splitlines()))

    everything = number("score=0", "nms=1", "most=300")
    assert number("score=0", "nms=1", "most=5") == 5 < everything
    assert number("score=0", "nms=0", "most=300") < everything
    assert number() == 0  # an untrained network is sure of nothing

    line = cnntrain("predict", "run", "a.png", "score=0", "nms=1", "most=40", "top=10").out.splitlines()[0]
    (total,) = re.findall(r"(\d+) objects", line)
    classes = re.findall(r"(\d) +×(\d+) +(\d+\.\d+)%", line)  # name, number, highest score
    scores = [float(score) for _, _, score in classes]
    assert sum(int(times) for _, times, _ in classes) == int(total) == 40
    assert 1 < len(classes) == len({name for name, _, _ in classes}) and scores == sorted(scores)[::-1]


def test_the_score_of_a_box_is_that_which_validation_chose(cnntrain: Command, in_empty_folder: Path) -> None:
    """Each image has a box that is sure and, of the same class, one that lies wrong and is less sure."""
    wrong = "return torch.stack([torch.cat([rows, wrong(rows)]) for rows in torch.stack(rows)[:, None]])"
    Path("two.py").write_text(
        MODEL.replace("return torch.stack(rows)[:, None]", wrong)
        + """
def wrong(rows):
    other = rows.clone()
    other[:, 2:6] = torch.tensor([0.0, 0, 2, 2])
    other[:, 13] = -0.4  # 40 %
    return other
"""
    )
    model = ("model._target_=two.Bright", "criterion=detection", "data.targets=boxes", "data.canvases=200")
    for name, val in (("run", 0.2), ("unchosen", 0)):
        words = (*RUN, *QUICK, *model, f"data.val_fraction={val}", f"out={name}")
        assert cnntrain("train", *words).code == 0
    square_in(32, 32).save("a.png")

    def number(run: str, *words: str) -> str:
        found = re.search(r"\d+ objects?", cnntrain("predict", run, "a.png", *words).out)
        return found[0] if found else ""

    assert number("run") == "1 object" and number("run", "score=0.25") == "2 objects"
    assert number("unchosen") == "2 objects" and number("unchosen", "score=0.5") == "1 object"
    assert (load("run").predict(torch.zeros(1, 1, 32, 32, dtype=torch.uint8))[0, :, 5] >= 0).sum() == 1


def test_python_gets_boxes_in_pixels_of_the_images_that_it_gives(in_empty_folder: Path) -> None:
    trained()
    pixels = torch.from_numpy(np.asarray(square_in(128, 64)).copy())[None, None]
    found = load("run").predict(pixels)[0]
    assert found[0, :4].tolist() == pytest.approx([32, 8, 80, 32], abs=6)
    assert found[0, 5] == 7 and found[1, 5] == -1


@pytest.mark.parametrize("key", ["score=0.5", "nms=0.5", "most=3"])
def test_boxes_are_not_asked_of_a_model_that_classifies(
    cnntrain: Command, classifier: None, key: str
) -> None:
    is_told(cnntrain("predict", "run", "a.png", key), f"{key} is for models that find objects")


@pytest.fixture(scope="module")
def classifier_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier") / "run"
    small = ("model=mlp", "limit=100", "epochs=1", "report=false", "-q", f"out={folder}")
    assert main.run(["train", *small]) == 0
    return folder


@pytest.fixture
def classifier(classifier_run: Path, in_empty_folder: Path) -> None:
    shutil.copytree(classifier_run, "run")
    square_in(28, 28).save("a.png")


def test_what_does_not_go_with_boxes_is_one_line(cnntrain: Command, in_empty_folder: Path) -> None:
    trained()
    square_in(40, 40).save("a.png")
    is_told(cnntrain("predict", "run", "a.png", "tile=64"), "tile=64 is for models that label pixels")
    is_told(cnntrain("predict", "run", "a.png", "tta=[flip]"), "tta=[flip] is not possible")
    is_told(cnntrain("predict", "run", "a.png", "score=2"), "score=2 is not possible")
    Path("mine/labels").mkdir(parents=True)
    is_told(cnntrain("predict", "run", "a.png", "out=mine"), "out=mine holds labels already")
