"""``cnntrain predict`` with a model that labels pixels: masks, overlays and shares, of files of any size."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command, is_told
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from cnntrain.cli import main
from cnntrain.inference.model import load
from cnntrain.inference.windows import blended, upsampled_labels

RUN = (
    "data=mnist_canvas",
    "data.canvases=60",
    "data.test_canvases=12",
    "data.image_size=64",
    "model=unet",
    "model.width=4",
    "model.depth=2",
    "balance_classes=true",  # else so short a training finds the background alone
    "optim.lr=0.02",
    "batch_size=8",
    "epochs=2",
    "report=false",
    "-q",
)


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segment") / "run"
    assert main.run(["train", *RUN, "precision=fp32", "doctor=false", f"out={folder}"]) == 0
    return folder


@pytest.fixture
def run(trained_run: Path, in_empty_folder: Path) -> None:
    shutil.copytree(trained_run, "run")


def noise(height: int, width: int, name: str, exif: Image.Exif | None = None) -> np.ndarray:
    """Save coarse noise as an image, and return its pixels."""
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8 + 1, width // 8 + 1)).astype(np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    image.save(name, exif=exif or Image.Exif())
    return np.asarray(image)


def mask_of(name: str) -> np.ndarray:
    image = Image.open(name)
    assert image.mode == "P"
    return np.asarray(image)


@pytest.mark.parametrize(
    ("shape", "size"), [((100, 200), (32, 48)), ((33, 49), (32, 48)), ((5, 7), (16, 16)), ((1, 90), (16, 16))]
)
def test_blended_windows_of_what_changes_nothing_are_the_image(
    shape: tuple[int, int], size: tuple[int, int]
) -> None:
    image = torch.randint(0, 256, (2, *shape), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    seen = torch.zeros(shape, dtype=torch.int)
    result = torch.zeros(2, *shape)

    def network(x: Tensor) -> Tensor:
        assert tuple(x.shape[2:]) == size
        return x.float()

    for top, left, block in blended(image, size, network):
        part = (slice(top, top + block.shape[1]), slice(left, left + block.shape[2]))
        seen[part] += 1
        result[:, part[0], part[1]] = block
    assert bool((seen == 1).all())
    assert torch.allclose(result, image.float(), atol=1e-3)


def test_windows_that_differ_are_blended_without_a_step() -> None:
    numbers = iter(range(100))
    blocks = blended(
        torch.zeros(1, 64, 200, dtype=torch.uint8),
        (64, 64),
        lambda x: torch.stack([torch.full((1, 64, 64), float(next(numbers))) for _ in x]),
    )
    row = torch.cat([block[0, 32] for _, _, block in blocks])
    assert row.max() > 2 and float(row.diff().abs().max()) < 0.1


@pytest.mark.parametrize("size", [(50, 70), (4, 5), (9, 30), (9, 13)])
def test_outputs_are_scaled_as_torch_scales_them(size: tuple[int, int]) -> None:
    outputs = torch.rand(5, 9, 13, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(outputs[None], size=size, mode="bilinear")[0].argmax(0)
    assert torch.equal(upsampled_labels(outputs, size).long(), expected)


def test_masks_have_the_size_of_their_files_and_are_those_of_the_model(cnntrain: Command, run: None) -> None:
    pixels = noise(64, 64, "images/a/own.png")
    noise(64, 64, "images/b/own.png")
    noise(150, 90, "images/tall.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    noise(60, 100, "images/turned.jpg", turned)
    Path("images/text.png").write_text("no image")
    done = cnntrain("predict", "run", "images", "out=found", "top=11", "--csv", "a.csv", "--json", "a.json")
    assert done.code == 1 and "images/text.png: not an image" in done.err
    expected = load("run").predict(torch.from_numpy(pixels.copy())[None, None]).argmax(1)[0].numpy()
    assert len(np.unique(expected)) > 1, "a mask of one class proves little"
    assert np.array_equal(mask_of("found/masks/a/own.png"), expected)
    assert mask_of("found/masks/tall.png").shape == (150, 90)
    assert mask_of("found/masks/turned.png").shape == (100, 60)
    with Path("a.csv").open() as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    row = rows["images/a/own.png"]
    assert row["mask"] == "found/masks/a/own.png" and Path(row["overlay"]).exists()
    assert rows["images/text.png"]["error"] == "not an image"
    names = Path("found/classes.txt").read_text().splitlines()
    share = (expected == names.index(row["class"])).mean()
    assert float(row["share"]) == pytest.approx(share, rel=1e-4)
    (found,) = [p for p in json.loads(Path("a.json").read_text())["predictions"] if "a/own" in p["file"]]
    assert sum(entry["share"] for entry in found["classes"]) == pytest.approx(1)


def test_names_that_differ_in_their_extension_get_a_mask_each(cnntrain: Command, run: None) -> None:
    for name in ("x.png", "x.jpg", "x.bmp"):
        noise(20, 20, f"images/{name}")
    assert cnntrain("predict", "run", "images", "out=found").code == 0
    assert sorted(p.name for p in Path("found/masks").iterdir()) == ["x.jpg.png", "x.png", "x.png.png"]


def test_tiles_keep_the_resolution_of_the_file(cnntrain: Command, run: None) -> None:
    noise(64, 64, "own.png")
    noise(200, 170, "large.png")
    assert cnntrain("predict", "run", "own.png", "out=whole").code == 0
    assert cnntrain("predict", "run", "own.png", "tile=64", "out=tiles").code == 0
    assert np.array_equal(mask_of("whole/masks/own.png"), mask_of("tiles/masks/own.png"))
    assert cnntrain("predict", "run", "large.png", "tile=64", "out=large").code == 0
    assert mask_of("large/masks/large.png").shape == (200, 170)


def test_a_folder_of_the_user_is_not_written_over(cnntrain: Command, run: None) -> None:
    noise(20, 20, "a.png")
    Path("mine/masks").mkdir(parents=True)
    is_told(cnntrain("predict", "run", "a.png", "out=mine"), "out=mine holds masks already")
    assert list(Path("mine").iterdir()) == [Path("mine/masks")]
    Path("bad.png").write_text("no image")
    assert cnntrain("predict", "run", "bad.png").code == 1 and not Path("outputs/predict").exists()


def test_masks_are_not_asked_of_a_model_that_classifies(cnntrain: Command) -> None:
    cnntrain("train", "model=mlp", "limit=100", "epochs=1", "report=false", "out=run")
    noise(28, 28, "a.png")
    is_told(cnntrain("predict", "run", "a.png", "tile=64"), "tile=64 is for models that label pixels")
