"""``cnntrain export``: the model elsewhere, with the same probabilities."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import Command, is_told

from cnntrain.data.sources import MNISTMini
from cnntrain.trained import load

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


def test_what_is_exported_gives_the_same_probabilities_without_cnntrain(cnntrain: Command) -> None:
    pytest.importorskip("onnxruntime")
    import numpy as np

    cnntrain("train", "model=cnn", "limit=1000", "epochs=1", "batch_size=64", "report=false", "out=run")
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


def test_safetensors_hold_the_weights_and_what_they_are(cnntrain: Command) -> None:
    safetensors = pytest.importorskip("safetensors")
    cnntrain("train", "model=mlp", "limit=100", "epochs=1", "report=false", "out=run")
    assert cnntrain("export", "run", "formats=[safetensors]").code == 0
    assert [path.name for path in Path("run/export").iterdir()] == ["model.safetensors"]
    with safetensors.safe_open("run/export/model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["class_names"])[3] == "3"
        weights = torch.load("run/checkpoints/best.pt", weights_only=True)["model"]
        assert set(file.keys()) == set(weights)
        assert all(torch.equal(file.get_tensor(name), weights[name]) for name in weights)


def test_without_the_data_it_is_compared_on_noise(cnntrain: Command) -> None:
    cnntrain("train", "model=mlp", "limit=100", "epochs=1", "report=false", "out=run")
    outcome = cnntrain("export", "run", "formats=[pt2]", "data=mnist", "data.root=nowhere")
    assert outcome.code == 0 and "on 64 images of noise" in outcome.out
    assert "compared on noise" in outcome.err and not Path("nowhere").exists()


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
    is_told(torchless("export", "run"), "format onnx needs onnx", "pip install 'cnntrain[export]'")
