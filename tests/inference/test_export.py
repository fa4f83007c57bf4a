"""``cnntrain export``: the model elsewhere, with the same probabilities."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command, is_told
from PIL import Image

from cnntrain.cli import main
from cnntrain.data.sources.builtin import MNISTMini
from cnntrain.inference.model import load

WITHOUT_CNNTRAIN = """\
import json, sys
sys.modules["cnntrain"] = None
import numpy as np
images = np.load("images.npy")
if sys.argv[1] == "onnx":
    import onnxruntime
    session = onnxruntime.InferenceSession("run/export/model.onnx")
    names = session.get_modelmeta().custom_metadata_map["class_names"]
    found = session.run(None, {"images": images})[0]
else:
    import torch
    extra = {"metadata.json": ""}
    found = torch.export.load("run/export/model.pt2", extra_files=extra).module()(torch.from_numpy(images))
    found, names = found.detach().numpy(), json.loads(extra["metadata.json"])["class_names"]
assert json.loads(names)[7] == "7"
np.save("found.npy", found)
"""


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder of a tiny run that is exported to ONNX, and what the export printed."""
    folder, printed = tmp_path_factory.mktemp("exported") / "run", io.StringIO()
    shutil.copytree(trained, folder)
    with redirect_stdout(printed):
        assert main.run(["export", str(folder), "formats=[onnx]"]) == 0
    return folder, printed.getvalue()


@pytest.mark.slow
def test_what_is_exported_gives_the_same_probabilities_without_cnntrain(cnntrain: Command) -> None:
    pytest.importorskip("onnxruntime")
    cnntrain("train", "model=cnn", "limit=300", "epochs=1", "batch_size=64", "report=false", "out=run")
    outcome = cnntrain("export", "run", "formats=[onnx,pt2]")
    assert outcome.code == 0, outcome.err
    assert outcome.err == "" and len(re.findall("on 1,000 test images", outcome.out)) == 2

    images = MNISTMini(train=False).images
    expected = load("run", ["precision=fp32"]).predict(images).numpy()
    np.save("images.npy", images.numpy())
    for kind in ("onnx", "pt2"):
        done = subprocess.run([sys.executable, "-c", WITHOUT_CNNTRAIN, kind], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found = np.load("found.npy")
        assert np.abs(found - expected).max() < 1e-4
        assert (found.argmax(1) == expected.argmax(1)).all()


def test_safetensors_hold_the_weights_and_what_they_are(cnntrain: Command, run: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    assert cnntrain("export", "run", "formats=[safetensors]").code == 0
    assert sorted(path.name for path in Path("run/export").iterdir()) == ["README.md", "model.safetensors"]
    with safetensors.safe_open("run/export/model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["class_names"])[3] == "3"
        weights = torch.load("run/checkpoints/best.pt", weights_only=True)["model"]
        assert set(file.keys()) == set(weights)
        assert all(torch.equal(file.get_tensor(name), weights[name]) for name in weights)


def odd_images() -> None:
    """Write images of every kind that is preprocessed, of two classes."""
    generator = np.random.default_rng(0)
    for name, middle in (("dark", 70), ("light", 190)):
        Path("images", name).mkdir(parents=True)
        for number in range(12):
            shape = ((40, 31), (24, 60), (26, 26), (90, 200))[number % 4]
            coarse = generator.integers(-60, 60, (5, 6, 3)) + middle
            image = Image.fromarray(coarse.clip(0, 255).astype(np.uint8)).resize(shape[::-1], 2)
            path = f"images/{name}/{number}"
            exif = Image.Exif()
            exif[0x0112] = number % 8 + 1
            if number % 3 == 0:
                image.save(f"{path}.jpg", exif=exif, quality=95)
            elif number % 3 == 1:
                image.putalpha(Image.linear_gradient("L").resize(image.size))
                image.save(f"{path}.png", exif=exif)
            else:
                deep = np.asarray(image.convert("L")).astype(np.uint16) * 16
                Image.fromarray(deep).save(f"{path}.png")


FAST = ("report=false", "doctor=false", "precision=fp32")
SQUARE, OBLONG = ("image_size=20", "resize_size=25"), ("image_size=[20,28]", "resize_size=[25,30]")


@pytest.mark.parametrize(
    ("channels", "resize", "size", "told"),
    [
        (
            3,
            "crop",
            SQUARE,
            "take the square in the middle, as wide as the shorter side, and scale it to 25 x 25",
        ),
        (
            1,
            "pad",
            SQUARE[:1],
            "scale the longer side to 20 pixels, and put black beside it to make a square",
        ),
        (3, "squash", SQUARE, "Of that take the middle, 20 x 20 pixels."),
        (3, "crop", OBLONG, "in proportion 30:25 (width:height), and scale it to 30 x 25 pixels"),
        (1, "pad", OBLONG[:1], "to fit into 28 x 20 pixels (width x height), and put black"),
    ],
)
def test_the_script_beside_the_model_gives_the_probabilities_of_predict(
    cnntrain: Command, channels: int, resize: str, size: tuple[str, ...], told: str
) -> None:
    """With onnxruntime, Pillow and numpy alone."""
    pytest.importorskip("onnxruntime")
    odd_images()
    words = (
        "data=folder",
        "data.root=images",
        f"data.channels={channels}",
        f"data.resize={resize}",
        "out=run",
    )
    sizes = [f"data.{word}" for word in size]
    outcome = cnntrain("train", *words, *sizes, "model=mlp", "epochs=6", *FAST)
    assert outcome.code == 0, outcome.err
    assert cnntrain("predict", "run", "images", "--csv", "a.csv", "precision=fp32").code == 0
    with Path("a.csv").open() as file:
        expected = {row["file"]: (row["class"], float(row["probability"])) for row in csv.DictReader(file)}
    outcome = cnntrain("export", "run", "formats=[onnx]")
    assert outcome.code == 0 and "run/export/README.md" in outcome.out
    only = "import sys, runpy; sys.modules.update(dict.fromkeys(['torch', 'cnntrain', 'torchvision']));"
    code = f"{only} runpy.run_path('run/export/predict.py', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code, *expected], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {
        file: (name, float(p)) for file, name, p in (line.split("\t") for line in done.stdout.splitlines())
    }
    assert found.keys() == expected.keys() and len(found) == 24
    for file, (name, probability) in expected.items():
        assert found[file][0] == name and found[file][1] == pytest.approx(probability, abs=2e-3), file
    readme = Path("run/export/README.md").read_text()
    assert "0 becomes 0 and 4095 becomes 255" in readme
    assert "up to the precision that predict computes in" in readme
    assert told in readme


def test_the_script_beside_the_model_goes_on_after_bad_files(exported: tuple[Path, str]) -> None:
    pytest.importorskip("onnxruntime")
    shutil.copytree(exported[0], "run")

    def script(*words: str) -> tuple[int, list[str], list[str]]:
        done = subprocess.run(
            [sys.executable, "run/export/predict.py", *words], capture_output=True, text=True
        )
        assert "Traceback" not in done.stderr, done.stderr
        return (
            done.returncode,
            [row.split("\t")[0] for row in done.stdout.splitlines()],
            done.stderr.splitlines(),
        )

    Path("digits/empty").mkdir(parents=True)
    good = Image.fromarray(MNISTMini(train=False).images[0, 0].numpy())
    for name in ("a.png", "b.png"):
        good.save(f"digits/{name}")
    whole = Path("digits/a.png").read_bytes()
    Path("digits/cut.png").write_bytes(whole[: len(whole) // 2])
    Path("digits/notes.txt").write_text("no image")

    usage = "usage: python predict.py FILE_OR_FOLDER..."
    code, out, err = script("--help")
    assert code == 0 and out[0].startswith(usage) and not err
    code, out, err = script()
    assert code == 2 and err[0].startswith(usage) and len(err) == 1 and not out
    words = ("gone.png", "digits/notes.txt", "digits", "digits/empty", "digits/b.png")
    code, out, err = script(*words)
    assert code == 1 and out == ["digits/a.png", "digits/b.png", "digits/b.png"]
    assert err[:2] == ["gone.png: No such file or directory", "digits/notes.txt: not an image"]
    assert err[2].startswith("digits/cut.png: image file is truncated") and len(err) == 4
    assert err[3] == "digits/empty: a folder without image files"
    assert script("digits/a.png") == (0, ["digits/a.png"], [])


def test_the_readme_names_the_images_that_are_taken_and_the_screen_what_is_older(
    cnntrain: Command, exported: tuple[Path, str]
) -> None:
    pytest.importorskip("onnxruntime")
    shutil.copytree(exported[0], "run")
    assert "and a script that does it" in exported[1] and "earlier export" not in exported[1]
    assert "images of 28 x 28 pixels (width x height), and no other size" in (
        Path("run/export/README.md").read_text()
    )
    outcome = cnntrain("export", "run", "formats=[safetensors]")
    assert "script" not in outcome.out
    assert "left from an earlier export, and not described: model.onnx, predict.py" in outcome.out


STATEFUL = """
import torch
class Net(torch.nn.Module):
    def __init__(self, num_classes: int):
        super().__init__()
        self.layer = torch.nn.Linear(784, num_classes)
    def forward(self, x):
        return self.layer(x.flatten(1))
    def get_extra_state(self):
        return {"version": 3}
    def set_extra_state(self, state):
        pass
"""


def test_extra_state_is_left_out_of_safetensors_and_named(cnntrain: Command) -> None:
    pytest.importorskip("safetensors")
    Path("net.py").write_text(STATEFUL)
    cnntrain(
        "train", "model=custom", "model._target_=net.Net", "limit=100", "epochs=1", "report=false", "out=run"
    )
    outcome = cnntrain("export", "run", "formats=[safetensors]", "trust=[net]")
    assert outcome.code == 0 and "left out of model.safetensors" in outcome.err
    assert "_extra_state" in outcome.err


def test_weights_that_are_nan_are_refused_by_name() -> None:
    from cnntrain.errors import UserError
    from cnntrain.inference.export import check_weights

    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    check_weights(model)
    model[1].bias.data[1] = float("nan")
    with pytest.raises(UserError, match=r"1\.bias holds values that are NaN or infinite"):
        check_weights(model)


def test_without_the_data_it_is_compared_on_noise(cnntrain: Command) -> None:
    raw = Path("data/MNIST/raw")
    raw.mkdir(parents=True)
    for is_train, part in ((True, "train"), (False, "t10k")):
        for file, kind in zip(MNISTMini.files(is_train), ("images-idx3", "labels-idx1"), strict=True):
            shutil.copy(file, raw / f"{part}-{kind}-ubyte.gz")
    cnntrain("train", "model=mlp", "data=mnist", "limit=100", "epochs=1", "report=false", "out=run")
    shutil.rmtree("data")
    outcome = cnntrain("export", "run", "formats=[pt2]")
    assert outcome.code == 0 and "on 64 images of noise" in outcome.out
    assert "compared on noise" in outcome.err and not Path("data").exists()
    for command in ("export", "demo"):
        for words in (["data.root=nowhere"], ["data=folder", "data.root=nowhere"]):
            is_told(cnntrain(command, "run", *words), "nowhere")
    assert not Path("nowhere").exists() and not Path("run/demo.html").exists()


@pytest.mark.parametrize("command", ["eval", "export", "demo", "report", "resume"])
def test_a_key_that_the_data_have_no_use_for_is_refused(cnntrain: Command, run: Path, command: str) -> None:
    is_told(
        cnntrain(command, "run", "data.root=x"), "data.root=x: the data are MNISTMini, which takes no root"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "export needs a run"),
        (("rum",), "there is no run rum"),
        (("run", "formats=[onx]"), "formats=[onx] is not possible"),
        (("run", "epochs=2"), "epochs can't be changed by export"),
    ],
)
def test_wrong_input_is_told(torchless: Command, arguments: tuple[str, ...], told: str) -> None:
    is_told(torchless("export", *arguments), told)


def test_a_missing_package_names_what_brings_it(torchless: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    is_told(torchless("export", "run"), "format onnx needs onnx", "pip install 'onnx>=")
