"""``experiment=imagenet_resnet50``: the reference recipe, on a folder in ImageNet's layout."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from conftest import Command, is_told
from image_tree import digits


@pytest.mark.slow
def test_the_recipe_for_imagenet_trains_on_a_folder_of_that_layout(cnntrain: Command) -> None:
    digits(Path("net/train"), 4)
    digits(Path("net/test"), 2)
    small = ("model.name=resnet18", "data.image_size=32", "data.resize_size=40", "data.num_classes=3")
    small += ("epochs=1", "workers=0", "precision=fp32", "threads=1", "channels_last=false", "report=false")
    outcome = cnntrain("train", "experiment=imagenet_resnet50", "data.root=net", *small, "out=run")
    assert outcome.code == 0, outcome.err
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    assert (config["optim"]["lr"], config["schedule"]["every"], config["augment"]["crop"]) == (0.1, 30, 0.08)
    assert config["data"]["mean"] == [0.485, 0.456, 0.406]
    is_told(
        cnntrain("train", "experiment=imagenet_resnet50", "data.root=net", "workers=0"), "data.num_classes=3"
    )


def test_the_summary_of_the_recipe_needs_no_data(cnntrain: Command) -> None:
    outcome = cnntrain("summary", "experiment=imagenet_resnet50")
    assert outcome.code == 0, outcome.err
    assert "25,557,032" in outcome.out
    shape = ("data.num_classes=3", "data.channels=3", "data.image_size=32")
    assert cnntrain("summary", "data=folder", *shape).code == 0
    is_told(cnntrain("summary", "data=folder", *shape[1:]), "data.root= is empty")
