"""``experiment=pennfudan`` and ``coco_fasterrcnn``: reference settings, on folders of that layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import box_tree
import pytest
import torch
import yaml
from conftest import Command
from torchvision import models

SMALL = ("data.image_size=32", "epochs=1", "workers=0", "precision=fp32", "threads=1", "channels_last=false")
QUICK = (*SMALL, "report=false", "doctor=false", "out=run", "batch_size=2", "limit=4", "optim.lr=1e-4")
COCO = "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth"
IMAGENET = "resnet50-0676ba61.pth"


@pytest.mark.parametrize("name", ["pennfudan", "coco_fasterrcnn"])
def test_the_summary_of_a_recipe_needs_no_data_and_no_weights(cnntrain: Command, name: str) -> None:
    outcome = cnntrain("summary", f"experiment={name}", "data.image_size=32")
    assert outcome.code == 0, outcome.err
    assert "parameters are trained" in outcome.out


def test_the_settings_are_those_of_the_reference(cnntrain: Command) -> None:
    """Of pytorch/vision, references/detection, and of the tutorial on fine-tuning."""
    fudan, coco = (
        yaml.safe_load(cnntrain("train", f"experiment={name}", "data.root=.", "--cfg", "job").out)
        for name in ("pennfudan", "coco_fasterrcnn")
    )
    optim, schedule = coco["optim"], coco["schedule"]
    assert (coco["epochs"], coco["batch_size"], coco["augment"]["flip"]) == (26, 16, 0.5)
    assert (optim["lr"], optim["momentum"], optim["weight_decay"]) == (0.02, 0.9, 1e-4)
    assert (schedule["milestones"], schedule["gamma"]) == ([16, 22], 0.1)
    assert schedule["warmup"] * 117_266 / 16 == pytest.approx(1000, rel=0.05)  # images of train2017
    optim, schedule = fudan["optim"], fudan["schedule"]
    assert (fudan["epochs"], fudan["batch_size"], fudan["augment"]["flip"]) == (10, 2, 0.5)
    assert (optim["lr"], optim["momentum"], optim["weight_decay"]) == (0.005, 0.9, 5e-4)
    assert (schedule["every"], schedule["gamma"]) == (3, 0.1)
    assert round(170 * fudan["data"]["source"]["test_fraction"]) == 50


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pennfudan", "coco_fasterrcnn"])
def test_a_recipe_trains_on_a_folder_of_its_layout(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The weights are random here, but in files such as are downloaded: what is frozen stays as they are."""
    monkeypatch.setenv("TORCH_HOME", str(Path("hub").absolute()))
    weights = write_weights(name)
    data: tuple[str, ...] = ("data.root=data", "data.num_classes=3")
    if name == "pennfudan":
        box_tree.pascal(Path("data"), range(34))
    else:
        as_coco(Path("data"))
    done = cnntrain("train", f"experiment={name}", *data, *QUICK)
    assert done.code == 0, done.err
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    learnt = torch.load("run/checkpoints/last.pt", weights_only=True)["model"]
    kept = {
        key.removeprefix("backbone."): value for key, value in learnt.items() if key.startswith("backbone.")
    }
    frozen = ("body.conv1", "body.layer1", "body.bn1")
    for key, value in weights.items():
        is_norm = "bn" in key or "downsample.1" in key
        if is_norm or key.startswith(frozen):
            assert torch.equal(kept[key], value), key
    assert not torch.equal(kept["body.layer2.0.conv1.weight"], weights["body.layer2.0.conv1.weight"])
    assert config["data"]["mean"] == [0.485, 0.456, 0.406]
    if name == "coco_fasterrcnn":
        assert json.loads(Path("run/summary.json").read_text())["test"]["examples"] == 4


def write_weights(name: str) -> dict[str, torch.Tensor]:
    """Write the file of weights that a recipe would download, and return those of the backbone by name."""
    folder = Path("hub/hub/checkpoints")
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    if name == "pennfudan":
        network: Any = models.get_model("fasterrcnn_resnet50_fpn", weights=None, weights_backbone=None)
        torch.save(network.state_dict(), folder / COCO)
        body = network.backbone.body.state_dict()
    else:
        network = models.resnet50()
        torch.save(network.state_dict(), folder / IMAGENET)
        body = {key: value for key, value in network.state_dict().items() if not key.startswith("fc.")}
    return {f"body.{key}": value for key, value in body.items() if "num_batches" not in key}


def as_coco(root: Path) -> None:
    """Write COCO's layout: train2017, val2017, and files of other tasks beside those of objects."""
    for part, numbers in (("train", range(30)), ("test", range(30, 34))):
        box_tree.coco(root, numbers, part, ids=(1, 2, 90))
    (root / "images/train").rename(root / "train2017")
    (root / "images/test").rename(root / "val2017")
    (root / "images").rmdir()
    for part in ("train", "test"):
        file = root / f"annotations/instances_{part}.json"
        file.rename(file.with_name(f"instances_{part}2017.json"))
        file.with_name(f"captions_{part}2017.json").write_text("{}")
