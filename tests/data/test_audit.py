"""``cnntrain data DIR``: faults come first, and the command that it suggests runs as it is printed."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from browser import needs_browser, seen_by
from conftest import Command, is_told
from image_tree import digits, faulty
from PIL import Image

from cnntrain.data.audit.page import thumbnail
from cnntrain.image_folder.inventory import inventory, suggest_image_size


def photos(
    root: str, per_class: int, size: tuple[int, int], classes: tuple[str, ...] = ("dark", "light")
) -> None:
    """Write colour images of noise, each class of another brightness."""
    for label, name in enumerate(classes):
        Path(root, name).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            noise = np.random.default_rng([label, number]).integers(0, 100, (*size[::-1], 3))
            Image.fromarray((noise + 100 * label).astype(np.uint8)).save(f"{root}/{name}/{number}.png")


def suggested(out: str) -> list[str]:
    """Return the words of the command that was suggested, without the program's name."""
    words = shlex.split(
        next(line for line in out.splitlines() if line.startswith("to train: "))[len("to train: ") :]
    )
    assert words[0] == "cnntrain"
    return words[1:]


@pytest.mark.parametrize("root", ["images", "my images, [of] $HOME = it's"])
def test_the_suggested_command_runs_as_it_is_printed(cnntrain: Command, root: str) -> None:
    photos(root, 12, (100, 90))
    Path(root, "dark/bad.png").write_text("not an image")
    words = suggested(cnntrain("data", root).out)
    assert "data.image_size=48" in words and "model.batch_norm=true" in words and "augment=photos" in words
    assert "data.on_bad_image=skip" in words and "model=torchvision" not in words
    done = cnntrain(*words, "report=false", "epochs=2")
    assert done.code == 0, done.err
    assert "3×48×48, 2 classes" in done.out


@pytest.mark.parametrize(
    ("size", "model"), [((28, 28), "model=cnn"), ((3, 3), "model=mlp"), ((1, 1), "model=mlp")]
)
def test_the_suggestion_fits_images_of_any_size(cnntrain: Command, size: tuple[int, int], model: str) -> None:
    photos("images", 6, size)
    words = suggested(cnntrain("data", "images").out)
    assert model in words
    done = cnntrain(*words, "report=false", "epochs=1")
    assert done.code == 0, done.err


def test_few_images_get_pretrained_weights_if_they_are_there(
    torchless: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos("images", 5, (100, 90))
    weights = Path("torch/hub/checkpoints/resnet18-f37072fd.pth")
    weights.parent.mkdir(parents=True)
    weights.touch()
    monkeypatch.setenv("TORCH_HOME", str(Path("torch").absolute()))
    words = suggested(torchless("data", "images").out)
    assert {"model=torchvision", "model.name=resnet18", "model.weights=DEFAULT", "freeze=backbone"} <= set(
        words
    )
    weights.unlink()
    assert "model=torchvision" not in suggested(torchless("data", "images").out)


def test_a_file_named_like_weights_is_what_torchvision_looks_for() -> None:
    from cnntrain.data.audit.recommended import PRETRAINED

    models = pytest.importorskip("torchvision.models")
    for name, file in PRETRAINED.items():
        assert models.get_model_weights(name).DEFAULT.url.rpartition("/")[2] == file


def test_no_command_is_suggested_for_a_folder_that_train_refuses(torchless: Command) -> None:
    photos("images", 1, (20, 20))
    done = torchless("data", "images")
    assert done.code == 0 and "train refuses this folder: no image is left to test with" in done.out
    assert "to train:" not in done.out
    is_told(torchless("train", "data=folder", "data.root=images"), "no image is left to test with")


def test_faults_come_before_conversions_and_long_lists_are_folded(torchless: Command) -> None:
    faulty(Path("images"))
    for number in range(30):
        Image.new("RGBA", (28, 28), (number, 0, 0, 100)).save(f"images/d0/clear{number}.png")
    Image.new("L", (1, 1)).save("images/d1/dot.png")
    done = torchless("data", "images", "--html", "a.html", "--json", "a.json")
    order = [
        "2 files that can't be read",
        "2 images in several classes",
        "1 folder without readable images",
        "1 file skipped: not an image extension: .txt (1)",
        "1 image far smaller than the others",
        "3 classes with few test images",
        "1 folder hidden by its name",
        "33 images converted: transparent, composited on white (30)",
    ]
    places = [done.out.find(line.replace("2 images in", "1 image in")) for line in order]
    assert -1 not in places, [line for line, place in zip(order, places, strict=True) if place < 0]
    assert places == sorted(places)
    assert done.out.count(": transparent, composited on white") == 3 + 1  # in the heading
    page = Path("a.html").read_text()
    assert '<meta name="viewport"' in page and "<details>" in page
    found = json.loads(Path("a.json").read_text())
    assert found["tiny"] == ["d1/dot.png: 1x1"] and len(found["converted"]) == 33
    assert [line.partition(":")[0] for line in found["few_tested"]] == ["d0", "d1", "d3"]


@needs_browser
def test_odd_names_are_text_on_the_page_and_long_ones_stay_on_a_narrow_screen(torchless: Command) -> None:
    digits(Path("images"), 4)
    name = "<img src=x onerror=alert(1)> & " + 200 * "w"
    Path("images/d0").rename(f"images/{name}")
    Path(f"images/{name}/<script>alert(1)<.txt").touch()
    assert torchless("data", "images", "--html", "a.html").code == 0
    probe = """<script>document.body.dataset.probe = JSON.stringify({
        heading: document.querySelector("h2").firstChild.textContent.trim(),
        images: document.querySelectorAll("img").length,
        beyond: document.documentElement.scrollWidth - innerWidth})</script>"""
    seen = seen_by(probe, Path("a.html").read_text(), "--window-size=500,800", milliseconds=1000)
    assert seen["heading"].startswith(name[:100]) and seen["images"] == 12 and seen["beyond"] <= 0


def test_what_is_said_of_the_split_is_true(torchless: Command) -> None:
    digits(Path("images"), 20)
    assert (
        "test 15% and val 10% of each class held out by a hash of each file"
        in torchless("data", "images").out
    )
    for part in ("train", "val", "test"):
        shutil.copytree("images", f"parts/{part}")
    done = torchless("data", "parts")
    assert "train/, val/, test/ as they are\n" in done.out and "kept in the same split" not in done.out
    assert "60 images in several parts (leakage: test scores will be inflated)" in done.out


@pytest.mark.parametrize(
    ("side", "size"), [(1, 1), (28, 28), (64, 64), (70, 64), (100, 96), (153, 160), (300, 224)]
)
def test_images_larger_than_64_are_seen_at_a_multiple_of_32(side: int, size: int) -> None:
    assert suggest_image_size(side) == size


def test_the_train_message_says_how_many_files_are_bad_and_where_they_are_listed(torchless: Command) -> None:
    faulty(Path("images"))
    told = torchless("train", "data=folder", "data.root=images")
    is_told(
        told,
        "2 of 66 images can't be read, the first is images/d0/truncated.jpg",
        "to list them all: cnntrain data images",
    )


def test_a_drawing_of_augmentation_needs_no_bad_file(cnntrain: Command) -> None:
    faulty(Path("images"))
    done = cnntrain("data", "images", "--augmented", "a.png", "augment=digits")
    assert done.code == 0, done.err
    assert Path("a.png").is_file()
    inventory.cache_clear()
    is_told(
        cnntrain("data", "images", "--augmented", "b.png", "augment=digits", "data.on_bad_image=stop"),
        "can't be read",
    )


def test_a_transparent_colour_is_named_like_an_alpha_channel(torchless: Command) -> None:
    for name in ("a", "b"):
        Path("images", name).mkdir(parents=True)
        for number in range(12):
            image = Image.new("RGB", (9, 9), (20 * number, 100 * (name == "b"), 7))
            image.putpixel((0, 0), (1, 2, 3))
            image.save(f"images/{name}/{number}.png", transparency=(1, 2, 3))
        for number in range(2):
            Image.new("RGBA", (9, 9), (50 * number, 9, 200 * (name == "b"), 90)).save(
                f"images/{name}/c{number}.png"
            )
    assert "28 images converted: transparent, composited on white (28)" in torchless("data", "images").out


def test_an_image_above_the_bound_is_not_decoded_and_named(torchless: Command) -> None:
    digits(Path("images"), 4)
    Image.new("1", (9000, 9000)).save("images/d0/bomb.png")
    done = torchless("data", "images", "--json", "-")
    wrong = "d0/bomb.png: 81 megapixels, more than data.max_megapixels=64"
    assert json.loads(done.out)["unreadable"] == [wrong]


def test_an_image_that_grew_above_the_bound_is_not_drawn_on_the_page(torchless: Command) -> None:
    digits(Path("images"), 4)
    Image.new("1", (20, 20)).save("images/d0/grows.png")
    found = inventory("images", 64)
    assert thumbnail(found, "d0/grows.png").startswith("data:image/png")
    Image.new("1", (9000, 9000)).save("images/d0/grows.png")
    assert thumbnail(found, "d0/grows.png") == "data:,"
