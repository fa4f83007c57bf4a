"""A model's classes and those of data are compared by name, never by number."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from conftest import Command, is_told

from cnntrain.runs import checkpoint
from cnntrain.tasks.classes import renumbering

COLOURS = """\
import torch
from torch.utils.data import Dataset

VALUES = {"red": 250, "green": 125, "blue": 5, "0": 250, "1": 125, "2": 5}


class Colours(Dataset):
    def __init__(self, train, names):
        self.classes = list(names)
        self.targets = [index % len(names) for index in range(90 if train else 30)]

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        value = VALUES[self.classes[self.targets[index]]]
        return torch.full((1, 4, 4), value + index % 5, dtype=torch.uint8), self.targets[index]
"""
SHAPE = ("data.channels=1", "data.image_size=4", "data.num_classes=3", "data.mean=[0.5]", "data.std=[0.3]")
QUICK = ("model=mlp", "model.hidden=[8]", "optim.lr=0.1", "report=false", "-q")


def colours(*names: str) -> list[str]:
    """Return the overrides of a data set whose classes have some names, in their order."""
    return ["data.source._target_=colours.Colours", f"++data.source.names=[{','.join(map(repr, names))}]"]


@pytest.fixture
def run(cnntrain: Command) -> str:
    """Return the folder of a run that knows red, green and blue, which are as bright as 0, 1 and 2."""
    Path("colours.py").write_text(COLOURS)
    sys.modules.pop("colours", None)
    words = ("train", *colours("red", "green", "blue"), *SHAPE, *QUICK, "epochs=6", "out=run")
    assert cnntrain(*words).code == 0
    return "run"


def accuracies(run: str) -> tuple[float, list[str]]:
    """Return the test accuracy of a run's latest evaluation, and the classes of its table."""
    found = json.loads(Path(run, "eval_test.json").read_text())
    return found["accuracy"], [row["class"] for row in found["per_class"]]


def test_classes_in_another_order_are_matched_by_name(cnntrain: Command, run: str) -> None:
    assert cnntrain("eval", run).code == 0
    assert accuracies(run) == (1.0, ["red", "green", "blue"])
    outcome = cnntrain("eval", run, *colours("blue", "red", "green"))
    assert outcome.code == 0, outcome.err
    assert "matched by name" in outcome.out
    assert accuracies(run) == (1.0, ["red", "green", "blue"])


def test_classes_of_other_names_are_refused_with_the_names_that_differ(cnntrain: Command, run: str) -> None:
    is_told(
        cnntrain("eval", run, *colours("red", "green", "2")),
        "the data have classes 2, and the model knows blue instead: name data of the same classes",
    )
    is_told(
        cnntrain("eval", run, *colours("0", "1", "2")),
        "the data have classes 0, 1, 2, and the model knows red, green, blue instead",
        "are only numbered: data=folder data.root=DIR takes a folder for each class",
    )
    assert not Path(run, "eval_test.json").exists()


def test_a_run_goes_on_and_is_reported_with_its_own_classes_alone(cnntrain: Command, run: str) -> None:
    for path in Path(run, "checkpoints").glob("*.pt"):
        state = checkpoint.load(path)
        state["class_names"] = ["green", "red", "blue"]
        checkpoint.write(checkpoint.serialize(state), path)
    for command in (["resume", run, "epochs=9"], ["report", run]):
        is_told(
            cnntrain(*command), "the data have the classes of the model in another order: red, green, blue"
        )


def test_a_start_takes_its_head_by_the_names_of_the_classes(cnntrain: Command, run: str) -> None:
    begin = (*SHAPE, *QUICK[:-1], "optim.lr=1e-30", "epochs=1", f"init_from={run}")
    outcome = cnntrain("train", *colours("blue", "red", "green"), *begin, "out=tuned")
    assert outcome.code == 0, outcome.err
    assert "with its head, put into the order of these classes" in outcome.out
    before, after = (checkpoint.load(Path(name, "checkpoints/best.pt"))["model"] for name in (run, "tuned"))
    for name in ("output.weight", "output.bias"):
        assert torch.equal(after[name], before[name][[2, 0, 1]])
    assert json.loads(Path("tuned/summary.json").read_text())["test"]["accuracy"] == 1.0


def test_names_that_occur_twice_are_not_matched() -> None:
    assert renumbering(["a", "b"], ["a", "b"]) is None
    with pytest.raises(Exception, match="in another order"):
        renumbering(["b", "a", "a"], ["a", "b", "a"])
