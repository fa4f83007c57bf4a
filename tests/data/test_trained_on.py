"""No image that weights were trained on validates them: in ``eval`` with another split, and ``init_from``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from conftest import Command, is_told
from test_folder_split import noise, recorded, two_classes

from cnntrain.data.splits import limited, stratified_split
from cnntrain.data.trained_on import previous_run
from cnntrain.image_folder.inventory import inventory
from cnntrain.runs import checkpoint

SMALL = ("model=mlp", "model.hidden=[8]", "epochs=1", "report=false", "doctor=false")
FAKE = ("data=fake", "data.source.size=400", *SMALL)
FOLDER = ("data=folder", "data.root=images", *SMALL)


def trained(cnntrain: Command, *words: str, out: str = "run") -> str:
    inventory.cache_clear()
    done = cnntrain("train", *words, f"out={out}")
    assert done.code == 0, done.err
    return done.out + done.err


def data_of(run: str) -> dict:
    return checkpoint.load(Path(run, "checkpoints/best.pt"))["config"]["data"]


@pytest.mark.parametrize("limit", ["null", "100"])
def test_another_split_is_evaluated_without_the_images_that_the_run_was_trained_on(
    cnntrain: Command, limit: str
) -> None:
    trained(cnntrain, *FAKE, f"limit={limit}", "data.val_fraction=0.2")
    labels = cnntrain_labels()
    first = limited(stratified_split(labels, 0.2, 0)[0], None if limit == "null" else int(limit), 0)
    second = stratified_split(labels, 0.5, 7)[1]
    common = len(set(first.tolist()) & set(second.tolist()))
    done = cnntrain("eval", "run", "split=val", "data.split_seed=7", "data.val_fraction=0.5")
    assert done.code == 0, done.err
    assert f"{common} images of the val part left out: the model was trained on them" in done.err
    assert json.loads(Path("run/eval_val.json").read_text())["examples"] == len(second) - common
    assert "left out" not in cnntrain("eval", "run", "split=val").err
    assert "left out" not in cnntrain("eval", "run", "data.split_seed=7").err


def cnntrain_labels() -> torch.Tensor:
    from cnntrain.data.sources import builtin

    return builtin.Fake(train=True, channels=1, image_size=28, num_classes=10, size=400).labels


def test_a_run_without_validation_has_no_other_split_to_evaluate(cnntrain: Command) -> None:
    trained(cnntrain, *FAKE, "data.val_fraction=0")
    is_told(cnntrain("eval", "run", "split=val", "data.val_fraction=0.2"), "the model was trained on them")


def test_other_data_are_evaluated_whole(cnntrain: Command) -> None:
    trained(cnntrain, *FAKE)
    done = cnntrain("eval", "run", "split=val", "data.source.size=300", "data.split_seed=7")
    assert done.code == 0 and "left out" not in done.err, done.err


def test_a_folder_says_how_many_it_leaves_out_of_another_split(cnntrain: Command) -> None:
    two_classes(40)
    trained(cnntrain, *FOLDER)
    inventory.cache_clear()
    done = cnntrain("eval", "run", "split=val", "data.split_seed=7", "data.val_fraction=0.5")
    assert done.code == 0, done.err
    assert re.search(r"\d+ images of the val part left out", done.err)


@pytest.mark.parametrize("words", [FAKE, FOLDER], ids=["fake", "folder"])
def test_a_run_that_goes_on_keeps_the_split_and_its_own_can_be_resumed(
    cnntrain: Command, words: tuple[str, ...]
) -> None:
    if words == FOLDER:
        two_classes(40)
    trained(cnntrain, *words, "limit=50")
    told = trained(cnntrain, *words, "init_from=run", "data.split_seed=5", "data.val_fraction=0.3", out="on")
    assert "that run's split is kept, data.val_fraction=0.1 data.split_seed=0" in told
    assert (data_of("on")["split_seed"], data_of("on")["val_fraction"]) == (0, 0.1)
    if words == FOLDER:
        assert recorded("on")["val"] == recorded("run")["val"]
    inventory.cache_clear()
    assert cnntrain("resume", "on", "epochs=2").code == 0
    assert "kept" not in trained(cnntrain, *words, "init_from=on", "data.split_seed=0", out="third")


def test_every_seed_of_a_sweep_keeps_the_split(cnntrain: Command) -> None:
    trained(cnntrain, *FAKE)
    done = cnntrain("train", "-m", *FAKE, "init_from=run", "data.split_seed=1,2", "out=sweep")
    assert done.code == 0, done.err
    assert [data_of(f"sweep/data.split_seed-{seed}")["split_seed"] for seed in (1, 2)] == [0, 0]


def test_a_start_that_held_out_nothing_is_warned_of(cnntrain: Command) -> None:
    trained(cnntrain, *FAKE, "data.val_fraction=0")
    told = trained(cnntrain, *FAKE, "init_from=run", out="on")
    assert re.search(r"was trained on (\d+) of the \1 validation images, and held out none instead", told)


def test_training_images_that_lie_in_other_parts_by_now_neither_validate_nor_test(cnntrain: Command) -> None:
    for part, numbers in (("train", range(20)), ("val", range(20, 24)), ("test", range(24, 28))):
        noise(f"images/{part}/a", numbers)
        noise(f"images/{part}/bb", numbers)
    trained(cnntrain, *FOLDER)
    for part in ("val", "test"):
        Path("images/train/a", f"00{len(part)}.png").rename(f"images/{part}/a/moved.png")
    told = trained(cnntrain, *FOLDER, "init_from=run", out="on")
    assert "1 image of the test part left out: the model was trained on them" in told
    assert "was trained on 1 of the 9 validation images: they are moved to training" in told
    record = recorded("on")
    assert len(record["val"]) == 8 and "test/a/moved.png" in record["unused"]
    assert "val/a/moved.png" in record["train"]
    inventory.cache_clear()
    done = cnntrain("resume", "on", "epochs=2")
    assert done.code == 0 and "since the run" not in done.err, done.err


@pytest.mark.parametrize(
    "data", [None, 3, [], {}, {"source": 1}, {"source": {}}, {"val_fraction": [], "split_seed": "x"}]
)
def test_a_start_whose_configuration_holds_anything_tells_nothing(data: object) -> None:
    state = {"config": {"data": data, "limit": None}, "data_fingerprint": 1, "split": None}
    for target in ("cnntrain.data.sources.Folder", "cnntrain.data.sources.Fake"):
        earlier = previous_run(Path("x.pt"), state, {"_target_": target})
        assert earlier.settings.split is None and earlier.guard() is None
