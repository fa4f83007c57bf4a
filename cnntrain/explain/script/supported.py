"""What a plain script can do of a run, and what not, checked before any of it is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cnntrain.config.keys import GROUPS, KEYS, affected_by
from cnntrain.config.sections import DataSettings, ScriptSettings
from cnntrain.data.reader import Reader
from cnntrain.data.sources.builtin import Torchvision
from cnntrain.errors import UserError
from cnntrain.runtime.console import Console
from cnntrain.text import expanded, shown

MODELS = ("cnntrain.models.MLP", "cnntrain.models.CNN")
SEQUENCES = tuple(f"cnntrain.models.{name}" for name in ("RNN", "LSTM", "GRU", "Transformer", "ViT"))
SCHEDULES = tuple(
    f"cnntrain.optim.{name}" for name in ("Constant", "Step", "MultiStep", "Cosine", "OneCycle")
)
AUGMENT = "cnntrain.data.augment.Augment"
SOURCES = "cnntrain.data.sources"
TASK = "cnntrain.tasks.Classification"
IDX_SETS = ("MNIST", "FashionMNIST", "KMNIST", "EMNIST")


def check_writable(settings: ScriptSettings) -> None:
    """Raise a UserError that names what a plain script can't do."""
    for key, value in settings.changed.items():
        if is_refused(key):
            raise UserError(f"{key}={shown(value)} can't be written as a script: leave it out")
    if settings.engine.precision == "fp16":
        raise UserError("precision=fp16 can't be written as a script: precision=bf16 or precision=fp32 can")
    if settings.data.resize_size is not None:
        raise UserError("data.resize_size can't be written as a script: leave it out")
    if settings.criterion.node.get("weight") is not None:
        raise UserError("criterion.weight can't be written as a script: leave it out")
    task, augment, schedule = (
        node["_target_"] for node in (settings.model.task, settings.augment, settings.schedule)
    )
    if schedule.endswith("ReduceLROnPlateau"):
        raise UserError("ReduceLROnPlateau can't be written as a script: choose another schedule")
    for group, node in settings.classes.items():
        target = node["_target_"]
        if target.startswith("cnntrain.") and target not in (*MODELS, *SEQUENCES, *SCHEDULES, AUGMENT, TASK):
            raise UserError(f"{group}._target_={target} can't be written as a script without cnntrain")
    if task != TASK:
        raise UserError(f"task._target_={task} can't be written as a script")
    if augment != AUGMENT:
        raise UserError(f"augment._target_={augment} can't be written as a script")


def is_refused(key: str) -> bool:
    """Return whether the weights depend on a key without a group that the script does not know."""
    return key not in GROUPS and affected_by(key) == "weights" and not (key in KEYS and KEYS[key].in_script)


def files_of(data: DataSettings) -> dict[str, list[Path]]:
    """Return the files of images and labels that train and that test, which must be there."""
    node, name = data.source, data.source.get("dataset")
    if node["_target_"] != f"{SOURCES}.MNISTMini" and (
        node["_target_"] != f"{SOURCES}.Torchvision" or name not in IDX_SETS
    ):
        raise UserError(
            f"the data of {name or node['_target_']} can't be written as a script, which reads IDX files: "
            "data=mnist_mini, mnist, fashion_mnist, kmnist or emnist"
        )
    reader = Reader(replace(data, workers=0), Console(0), None)
    found = {part: [file.absolute() for file in reader.files(part == "train")] for part in ("train", "test")}
    if not all(found.values()):
        root = str(expanded(data.root or ""))
        Torchvision(
            str(name), root, train=not found["train"], split=node.get("split")
        )  # says what is missing
    return found
