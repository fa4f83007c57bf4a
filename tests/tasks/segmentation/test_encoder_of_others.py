"""``init_from`` for segmentation: the encoder of a classifier, and runs on other classes."""

from __future__ import annotations

import shutil
from pathlib import Path

import mask_tree
import pytest
import torch
from conftest import Command, is_told

from cnntrain.cli import main
from cnntrain.models import Torchvision, UNet, UNetEncoder
from cnntrain.runs import checkpoint
from cnntrain.training.init_from import encoder_of

DATA = ("data=mnist_canvas", "data.canvases=24", "data.test_canvases=8", "data.image_size=24")
DIGITS = ("data.digits=[1,1]", "data.digit_size=[20,24]")
SMALL = ("model.width=4", "model.depth=2", "epochs=1", "batch_size=8", "precision=fp32")
QUIET = ("report=false", "doctor=false")
STILL = "optim.lr=1e-30"


def weights(run: str) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = checkpoint.load(Path(run, "checkpoints", "best.pt"))["model"]
    return found


@pytest.fixture(scope="module")
def trained_classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder") / "run"
    model = ("data=mnist_mini", "limit=64", "model=unet_encoder")
    assert main.run(["train", *model, *SMALL, *QUIET, f"out={folder}", "-q"]) == 0
    return folder


@pytest.fixture
def classifier(trained_classifier: Path, in_empty_folder: Path) -> str:
    shutil.copytree(trained_classifier, "classifier")
    return "classifier"


def test_a_unet_starts_from_the_encoder_of_a_classifier_and_says_so(
    cnntrain: Command, classifier: str
) -> None:
    frozen = (f"init_from={classifier}", "freeze=[first,down]", "optim.lr=0.01", "out=run")
    done = cnntrain("train", *DATA, *DIGITS, "model=unet", *SMALL, *QUIET, *frozen)
    assert done.code == 0, done.err
    assert "the encoder of classifier/checkpoints/best.pt, epoch 1; the rest is new" in done.out
    before, after = weights(classifier), weights("run")
    taken = {name for name in after if name.startswith(("first.", "down."))}
    assert len(taken) == 36 and all(torch.equal(before[name], after[name]) for name in taken)
    whole = cnntrain("resume", "run", "epochs=2")
    assert whole.code == 0, whole.err


def test_an_encoder_that_does_not_fit_is_told(cnntrain: Command, classifier: str) -> None:
    wider = ("model=unet", *SMALL, "model.width=6", f"init_from={classifier}", "out=run")
    is_told(cnntrain("train", *DATA, *DIGITS, *wider), "its weights do not fit UNet")
    cnntrain("train", "data=mnist_mini", "limit=64", "model=mlp", "epochs=1", *QUIET, "out=mlp")
    other = ("model=unet", *SMALL, "init_from=mlp", "out=run")
    is_told(cnntrain("train", *DATA, *DIGITS, *other), "its weights do not fit UNet")


def test_a_run_on_other_classes_gives_all_but_the_head(cnntrain: Command) -> None:
    first = cnntrain("train", *DATA, *DIGITS, "model=unet", *SMALL, *QUIET, "out=digits")
    assert first.code == 0, first.err
    mask_tree.masks(Path("set"))
    folder = (
        "data=folder",
        "data.root=set",
        "data.image_size=24",
        "data.channels=1",
        "data.val_fraction=0.3",
    )
    rest = ("init_from=digits", STILL, "out=run")
    done = cnntrain("train", *folder, "model=unet", *SMALL, *QUIET, *rest)
    assert done.code == 0, done.err
    assert "with a new head (classifier) for 3 classes in place of 11" in done.out
    before, after = weights("digits"), weights("run")
    for name in before:
        if not name.startswith("classifier.") and "running" not in name and "num_batches" not in name:
            assert torch.allclose(before[name], after[name]), name
    assert after["classifier.weight"].shape[0] == 3


@pytest.mark.parametrize(
    ("name", "classifier"),
    [("lraspp_mobilenet_v3_large", "mobilenet_v3_large"), ("fcn_resnet50", "resnet50")],
)
def test_the_backbone_of_torchvision_is_found_in_its_classifier(name: str, classifier: str) -> None:
    with torch.device("meta"):
        network = Torchvision(name, None, False, 1, 64, 11)
        other = Torchvision(classifier, None, False, 1, 64, 5)
    found = encoder_of(network, dict(network.state_dict()), dict(other.state_dict()))
    backbone = {key for key in network.state_dict() if key.startswith("network.backbone.")}
    assert found is not None and found.keys() == backbone and len(backbone) > 100
    assert encoder_of(other, dict(other.state_dict()), dict(network.state_dict())) is None


def test_the_encoder_of_a_unet_is_that_of_the_classifier() -> None:
    unet, classifier = UNet(1, 11, 4, 2), UNetEncoder(1, 10, 4, 2)
    assert classifier(torch.zeros(2, 1, 7, 13)).shape == (2, 10)
    found = encoder_of(unet, dict(unet.state_dict()), dict(classifier.state_dict()))
    assert found is not None
    assert found.keys() == {key for key in classifier.state_dict() if not key.startswith("classifier.")}
