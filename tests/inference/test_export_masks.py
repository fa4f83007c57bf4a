"""``cnntrain export`` of a model that labels pixels: images of any size, and a script that writes masks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import mask_tree
import numpy as np
import pytest
import torch
from conftest import Command
from PIL import Image

from cnntrain.cli import main
from cnntrain.data.resize import to_size
from cnntrain.inference.model import load

pytest.importorskip("onnxruntime")
CANVASES = ("data=mnist_canvas", "data.canvases=60", "data.test_canvases=24", "data.image_size=32")
DIGITS = ("data.digits=[1,2]", "data.digit_size=[16,20]")
UNET = ("model=unet", "model.width=4", "model.depth=2")
RUN = ("epochs=3", "optim.lr=0.02", "batch_size=16", "precision=fp32")
QUIET = ("report=false", "doctor=false", "-q")
SIZES = ((33, 47), (50, 21), (7, 90))  # no multiples of 16


pytestmark = pytest.mark.slow  # torch's exporters


@pytest.fixture(scope="module")
def exported_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "run"
    data = (*CANVASES, *DIGITS, "balance_classes=true")
    assert main.run(["train", *data, *UNET, *RUN, *QUIET, f"out={folder}"]) == 0
    assert main.run(["export", str(folder), "formats=[onnx,pt2]", "-q"]) == 0
    return folder


@pytest.fixture
def run(exported_run: Path, in_empty_folder: Path) -> None:
    shutil.copytree(exported_run, "run")


def test_masks_of_100_images_are_those_of_torch_at_sizes_that_are_no_multiples_of_16(run: None) -> None:
    import onnxruntime

    trained = load("run", ["precision=fp32"])
    noise = torch.randint(0, 256, (100, 1, 9, 9), generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession("run/export/model.onnx")
    program = torch.export.load("run/export/model.pt2").module()
    assert session.get_inputs()[0].shape == ["N", 1, "H", "W"]
    for size in SIZES:
        images = to_size(noise.to(torch.uint8), size, "squash")
        expected = trained.seen(images)
        for found in (torch.from_numpy(session.run(None, {"images": images.numpy()})[0]), program(images)):
            assert tuple(found.shape) == (100, 11, *size)
            assert torch.allclose(found, expected, atol=1e-5)
            assert torch.equal(found.argmax(1), expected.argmax(1))
        assert len(expected.argmax(1).unique()) > 1


def test_the_files_say_what_they_take_and_give(run: None) -> None:
    import onnxruntime

    metadata = onnxruntime.InferenceSession("run/export/model.onnx").get_modelmeta().custom_metadata_map
    assert metadata["input"] == "uint8 (N, 1, H, W), trained with 32×32, pixels from 0 to 255"
    assert metadata["output"] == "float32 (N, classes, H, W), probabilities of each pixel"
    assert json.loads(metadata["class_names"])[0] == "background"
    told = Path("run/export/README.md").read_text()
    assert "writes the masks of `cnntrain predict`" in told and "any size" in told


def script(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the script without torch and cnntrain."""
    only = "import sys, runpy; sys.modules.update(dict.fromkeys(['torch', 'cnntrain', 'torchvision']));"
    code = f"{only} runpy.run_path('run/export/predict.py', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return done


ANY_SIZE = """
import torch
class Net(torch.nn.Module):
    def __init__(self, num_classes: int):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, num_classes, 3, padding=1)
    def forward(self, x):
        return self.layer(x)
"""


@pytest.mark.parametrize("resize", ["crop", "pad"])
def test_the_script_writes_the_masks_of_predict(cnntrain: Command, resize: str) -> None:
    mask_tree.masks(Path("set"))
    Path("net.py").write_text(ANY_SIZE)
    data = ("data=folder", "data.root=set", "data.image_size=16", f"data.resize={resize}", "data.channels=3")
    model = ("model=custom", "model._target_=net.Net")
    outcome = cnntrain("train", *data, *RUN, *model, "epochs=6", *QUIET, "out=run")
    assert outcome.code == 0, outcome.err
    files = []
    for number, size in enumerate([(24, 16), (30, 90), (100, 41)]):
        picture = Image.fromarray(mask_tree.scene(number)[0]).resize(size, Image.Resampling.BILINEAR)
        exif = Image.Exif()
        exif[0x0112] = 6 if number == 2 else 1
        files.append(f"{number}.{'jpg' if number == 2 else 'png'}")
        picture.save(files[-1], exif=exif)
    assert cnntrain("predict", "run", *files, "out=found", "precision=fp32", "trust=[net]").code == 0
    assert cnntrain("export", "run", "formats=[onnx]", "trust=[net]").code == 0
    done = script("masks", *files)
    assert done.returncode == 0 and [row.split("\t")[0] for row in done.stdout.splitlines()] == files
    seen = set()
    for number in range(3):
        expected, found = (Image.open(f"{folder}/{number}.png") for folder in ("found/masks", "masks"))
        assert found.mode == "P" and found.size == expected.size
        assert found.getpalette()[:9] == expected.getpalette()[:9]
        assert (np.asarray(found) != np.asarray(expected)).mean() < 0.01
        seen |= set(np.asarray(expected).ravel().tolist())
    assert len(seen) > 1


def test_a_program_for_colour_images_takes_one_at_a_time(cnntrain: Command) -> None:
    mask_tree.masks(Path("set"))
    data = ("data=folder", "data.root=set", "data.image_size=16")
    assert cnntrain("train", *data, *UNET, "model.depth=1", *RUN, "epochs=1", *QUIET, "out=run").code == 0
    outcome = cnntrain("export", "run", "formats=[pt2]")
    assert outcome.code == 0, outcome.err
    program = torch.export.load("run/export/model.pt2").module()
    assert program(torch.zeros(1, 3, 20, 30, dtype=torch.uint8)).shape == (1, 3, 20, 30)


def test_the_script_goes_on_after_bad_files_and_writes_over_nothing(run: None) -> None:
    Image.new("L", (40, 32)).save("a.png")
    Path("b.png").write_text("no image")
    done = script("masks", "a.png", "b.png", "a.png")
    assert done.returncode == 1 and done.stderr.splitlines() == ["b.png: not an image"]
    assert sorted(path.name for path in Path("masks").iterdir()) == ["a.png", "a_2.png"]
    again = script("masks", "a.png")
    assert again.returncode == 2 and again.stderr == "the folder masks can't be made: File exists\n"
    assert script().returncode == 2 and script("--help").returncode == 0


ONE_SIZE = """
import torch
class Net(torch.nn.Module):
    def __init__(self, num_classes: int, image_size: int):
        super().__init__()
        self.position = torch.nn.Parameter(torch.zeros(image_size, image_size))
        self.layer = torch.nn.Conv2d(1, num_classes, 1)
    def forward(self, x):
        return self.layer(x + self.position)
"""


def test_a_network_of_one_size_is_exported_for_that_and_says_so(cnntrain: Command) -> None:
    Path("net.py").write_text(ONE_SIZE)
    model = ("model=custom", "model._target_=net.Net", "epochs=1", "precision=fp32")
    assert cnntrain("train", *CANVASES, *DIGITS, *model, *QUIET, "out=run").code == 0
    outcome = cnntrain("export", "run", "formats=[onnx]", "trust=[net]")
    assert outcome.code == 0 and "onnx will take images of 32×32 pixels alone" in outcome.err
    assert "on 24 test images\n" in outcome.out
    assert "uint8 (N, 1, 32, 32), pixels" in Path("run/export/README.md").read_text()
    Image.new("L", (70, 32)).save("a.png")
    assert script("masks", "a.png").returncode == 0
