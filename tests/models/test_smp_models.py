"""``model=smp``: networks of segmentation_models_pytorch, on images of any size."""

from __future__ import annotations

import sys

import pytest
import torch

from cnntrain.errors import UserError
from cnntrain.models import SMP


def test_how_it_is_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    monkeypatch.setattr("cnntrain.runtime.imports.find_spec", lambda package: None)
    with pytest.raises(UserError, match="model=smp needs segmentation_models_pytorch, which is not"):
        SMP("unet", "resnet18", None, in_channels=1, num_classes=3)


@pytest.mark.parametrize("name", ["unet", "fpn", "deeplabv3plus"])
def test_networks_take_grey_images_of_any_size(name: str) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    model = SMP(name, "resnet18", None, in_channels=1, num_classes=3).eval()
    for size in [(1, 1), (37, 64)]:
        assert model(torch.zeros(2, 1, *size)).shape == (2, 3, *size)


@pytest.mark.parametrize(
    ("name", "encoder", "weights", "told"),
    [
        ("unett", "resnet18", None, "no such network: did you mean unet"),
        ("unet", "resnet19", None, "no such encoder: did you mean resnet1"),
        ("unet", "resnet18", "imagenett", "model.weights=imagenett is not possible"),
    ],
)
def test_unknown_names_are_told(name: str, encoder: str, weights: str | None, told: str) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    with pytest.raises(UserError, match=told):
        SMP(name, encoder, weights, in_channels=1, num_classes=3)
