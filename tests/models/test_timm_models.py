"""``model=timm``: any of timm's networks, on small grey images."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from conftest import Command, is_told
from torch import nn

from cnntrain.models import Timm

FAKE = ("data=fake", "data.source.size=40", "data.channels=1", "data.image_size=28")
TINY = (*FAKE, "model=timm", "limit=8", "batch_size=8", "epochs=1", "precision=fp32", "report=false")


def test_how_timm_is_installed_is_told(cnntrain: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    is_told(cnntrain("train", *TINY), "model=timm needs timm", "pip install 'timm>=")


def test_networks_take_small_grey_images() -> None:
    pytest.importorskip("timm")
    found = {}
    # The last one's stem has branches that have to agree, so that it is left as it was.
    for name in ("test_resnet", "test_convnext", "test_vit", "repvgg_a0"):
        with torch.device("meta"):
            model = Timm(name, None, "auto", in_channels=1, image_size=28, num_classes=7)
            assert model.eval()(torch.zeros(2, 1, 28, 28)).shape == (2, 7), name
        first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
        found[name] = (first.in_channels, first.kernel_size, first.stride)
    plain = (1, (3, 3), (1, 1))
    assert found["test_resnet"] == found["test_convnext"] == plain
    assert found["test_vit"] == (1, (4, 4), (4, 4))
    assert found["repvgg_a0"][2] == (2, 2)


@pytest.mark.slow
def test_a_network_trains_from_weights_in_the_cache_resumes_and_evaluates(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    timm = pytest.importorskip("timm")
    hub = pytest.importorskip("huggingface_hub")
    from safetensors.torch import save_file

    folder = Path("hub/models--timm--test_resnet.r160_in1k/snapshots/0123")
    folder.mkdir(parents=True)
    (folder.parents[1] / "refs").mkdir()
    (folder.parents[1] / "refs" / "main").write_text("0123")
    learnt = timm.create_model("test_resnet", num_classes=1000)
    save_file(learnt.state_dict(), folder / "model.safetensors")
    cached = hub.try_to_load_from_cache
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *of: cached(*of, cache_dir="hub"))
    run = (*TINY, "model.name=test_resnet", "model.weights=DEFAULT", "optim.lr=1e-30")
    outcome = cnntrain("train", *run, "out=run")
    assert outcome.code == 0 and "downloading" not in outcome.err, outcome.err
    state = torch.load("run/checkpoints/last.pt", weights_only=True)["model"]
    theirs = learnt.state_dict()
    assert torch.equal(state["network.layer1.0.conv1.weight"], theirs["layer1.0.conv1.weight"])
    grey = theirs["conv1.0.weight"].sum(1, keepdim=True)
    assert torch.allclose(state["network.conv1.0.weight"], grey, atol=1e-6)
    # The stem of pretrained weights stays, also where only the checkpoint tells of them.
    assert cnntrain("resume", "run", "epochs=2").code == 0
    assert cnntrain("eval", "run").code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("model.name=resnet81",), "model.name=resnet81: timm has no such network: did you mean resnet"),
        (("model.name=hf-hub:some/one",), "timm has no such network"),
        (("model.name=xcit_nano_12_p8_224",), "it was made for 224: data.image_size=224"),
        (
            ("model.name=resnet18", "model.weights=a9_in1k"),
            "unknown weights 'a9_in1k' for resnet18: did you mean model.weights=a",
        ),
        (("model.name=mixer_s32_224", "model.weights=DEFAULT"), "timm has none for mixer_s32_224"),
    ],
)
def test_wrong_names_are_told(cnntrain: Command, arguments: tuple[str, ...], told: str) -> None:
    pytest.importorskip("timm")
    is_told(cnntrain("train", *TINY, *arguments), told)
    assert not Path("outputs/train").exists()


def test_weights_that_cannot_be_downloaded_are_told(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("timm")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nobody answers
    outcome = cnntrain("train", *TINY, "model.name=test_vit", "model.weights=DEFAULT")
    assert outcome.code == 2 and "Traceback" not in outcome.err, outcome.err
    assert "downloading the weights of test_vit" in outcome.err and "can't be downloaded" in outcome.err
    assert "or train without: model.weights=null" in outcome.err
