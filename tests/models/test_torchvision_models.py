"""``model=torchvision``: any of torchvision's networks, on digits."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from conftest import Command, is_told
from torch import nn

from cnntrain.models import Torchvision
from cnntrain.models.torchvision import of_segmentation

FAKE = ("data=fake", "data.source.size=40", "data.channels=1", "data.image_size=28")
TINY = (*FAKE, "model=torchvision", "limit=16", "epochs=1", "batch_size=16", "precision=fp32", "report=false")


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5"])
def test_a_network_trains_resumes_and_evaluates(cnntrain: Command, name: str) -> None:
    assert cnntrain("train", *TINY, f"model.name={name}", "out=run").code == 0
    assert cnntrain("resume", "run", "epochs=2").code == 0
    assert cnntrain("eval", "run").code == 0
    assert json.loads(Path("run/eval_test.json").read_text())["examples"] == 10


def test_small_images_stay_large_behind_the_stem() -> None:
    sizes = {}
    for small in (True, False):
        model = Torchvision("resnet18", None, small, in_channels=1, image_size=28, num_classes=10)
        model.network.layer1.register_forward_hook(
            lambda module, inputs, output, small=small: sizes.update({small: tuple(output.shape[2:])})
        )
        assert model.eval()(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert sizes == {True: (28, 28), False: (7, 7)}


def test_auto_looks_at_the_size_of_the_images() -> None:
    for size, kernel in ((28, 3), (64, 3), (65, 7)):
        model = Torchvision("resnet18", None, "auto", in_channels=3, image_size=size, num_classes=10)
        first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
        assert first.kernel_size == (kernel, kernel), size


def test_a_grey_stem_sees_what_a_colour_stem_sees_of_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    colour = Torchvision("shufflenet_v2_x0_5", None, False, 3, 64, 10).eval()
    monkeypatch.setattr("cnntrain.models.torchvision.new", lambda *of: copy.deepcopy(colour.network))
    grey = Torchvision("shufflenet_v2_x0_5", None, False, 1, 64, 10).eval()
    x = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        assert torch.allclose(grey(x), colour(x.expand(-1, 3, -1, -1)), atol=1e-5)


FAMILIES = (
    *("resnet18", "vgg11", "densenet121", "mobilenet_v3_small", "efficientnet_b0", "shufflenet_v2_x0_5"),
    *("squeezenet1_1", "mnasnet0_5", "regnet_y_400mf", "convnext_tiny", "vit_b_16", "swin_t", "googlenet"),
)


def test_every_family_takes_small_grey_images() -> None:
    """On the meta device, where nothing is computed; scripts/check_families.py trains and exports them."""
    for name in FAMILIES:
        with torch.device("meta"):
            model = Torchvision(name, None, "auto", in_channels=1, image_size=28, num_classes=7)
            assert model.eval()(torch.zeros(2, 1, 28, 28)).shape == (2, 7), name


def test_networks_of_segmentation_give_a_class_for_each_pixel() -> None:
    for name in of_segmentation():
        with torch.device("meta"):
            model = Torchvision(name, None, "auto", in_channels=1, image_size=48, num_classes=7)
            assert model.eval()(torch.zeros(2, 1, 48, 33)).shape == (2, 7, 48, 33), name


def test_pretrained_networks_of_segmentation_lose_their_head_and_their_auxiliary_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from torchvision import models

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    name = "lraspp_mobilenet_v3_large"
    learnt = models.get_model(name, weights_backbone=None).state_dict()
    file = models.get_model_weights(name)["DEFAULT"].url.rpartition("/")[2]
    torch.save(learnt, tmp_path / "hub/checkpoints" / file)
    model = Torchvision(name, "DEFAULT", "auto", in_channels=1, image_size=64, num_classes=4)
    assert model.eval()(torch.rand(1, 1, 64, 50)).shape == (1, 4, 64, 50)
    stem = learnt["backbone.0.0.weight"].sum(1, keepdim=True)
    assert torch.allclose(model.state_dict()["network.backbone.0.0.weight"], stem, atol=1e-6)


def test_pretrained_weights_keep_their_stem_in_later_commands(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import models

    monkeypatch.setenv("TORCH_HOME", str(Path("hub").absolute()))
    folder = Path("hub/hub/checkpoints")
    folder.mkdir(parents=True)
    learnt = models.squeezenet1_1().state_dict()
    torch.save(learnt, folder / "squeezenet1_1-b8a52dc0.pth")
    own = ("model.name=squeezenet1_1", "model.weights=DEFAULT", "optim.lr=1e-30", "data.image_size=40")
    outcome = cnntrain("train", *TINY, *own, "out=run")
    assert outcome.code == 0 and "downloading" not in outcome.err, outcome.err
    weights = torch.load("run/checkpoints/last.pt", weights_only=True)["model"]
    stem = learnt["features.0.weight"].sum(1, keepdim=True)
    assert torch.allclose(weights["network.features.0.weight"], stem, atol=1e-6)
    assert cnntrain("resume", "run", "epochs=2").code == 0
    # A stem with stride and one without have the same weights here, so the logits have to tell them apart.
    from cnntrain.inference.model import load

    assert load("run").model.network.features[0].stride == (2, 2)


def test_its_layers_are_shown(cnntrain: Command) -> None:
    outcome = cnntrain("summary", "model=torchvision", "model.weights=DEFAULT")  # which are not looked for
    assert outcome.code == 0 and "11,175,370" in outcome.out
    outcome = cnntrain("summary", "model=torchvision", "model.name=regnet_y_400mf")
    assert "3,906,978 parameters" in outcome.out, outcome.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("model.name=resnet81",),
            "model.name=resnet81: torchvision has no such network: did you mean resnet",
        ),
        (
            ("model.weights=IMAGENET1K_V9",),
            "unknown weights 'IMAGENET1K_V9' for resnet18: did you mean model.weights=IMAGENET1K_V",
        ),
        (("model.name=vit_b_16", "model.small=false"), "vit_b_16 can't take images of 28 pixels"),
        (("model.name=1",), "model.name=1 is not possible"),
    ],
)
def test_wrong_names_are_told(cnntrain: Command, arguments: tuple[str, ...], told: str) -> None:
    is_told(cnntrain("train", *TINY, *arguments), told)
    assert not Path("outputs/train").exists()


def test_weights_that_cannot_be_downloaded_are_told(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(Path("hub").absolute()))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nobody answers
    outcome = cnntrain("train", *TINY, "model.weights=DEFAULT", "model.name=squeezenet1_1")
    assert outcome.code == 2 and "Traceback" not in outcome.err
    assert "can't be downloaded" in outcome.err and "or train without: model.weights=null" in outcome.err
    assert "downloading the weights of squeezenet1_1: https://download.pytorch.org" in outcome.err
