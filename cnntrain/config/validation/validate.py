"""Whether a configuration makes sense: checked before torch, a folder or an image is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from cnntrain.config.conf_files import defaults
from cnntrain.config.inputs import IMAGES, height_and_width, inputs_of
from cnntrain.config.keys import (
    AUTO,
    CLASS_GROUPS,
    KEYS,
    MANY,
    REQUIRED_GROUPS,
    SCORES,
    described_arguments,
    home_of,
    is_described,
    leaves,
    needs_inference,
)
from cnntrain.config.mistakes.inputs import check_inputs
from cnntrain.config.mistakes.suggestions import check_value, unknown_key
from cnntrain.config.mistakes.synonyms import OTHER_LOSS
from cnntrain.config.mistakes.values import override_for
from cnntrain.config.sections import DataSettings
from cnntrain.config.validation.data import (
    check_canvas,
    check_classes,
    check_images,
    check_range,
    check_targets,
)
from cnntrain.config.validation.machine import check_device, check_sockets
from cnntrain.config.validation.network import check_fine_tuning, check_network
from cnntrain.errors import UserError
from cnntrain.runtime.ranks import world_size
from cnntrain.text import printable, shown

# Those that every configuration of train has, whatever its data and its classes are.
REQUIRED = tuple(
    key
    for key, rule in KEYS.items()
    if rule.required and key.partition(".")[0] not in CLASS_GROUPS and home_of(key) in ("train", "data")
)
EXAMPLES = dict.fromkeys(CLASS_GROUPS, "my_pkg.MyClass") | {"criterion": "torch.nn.CrossEntropyLoss"}


def check(
    config: Mapping[str, Any], trains: bool = True, runs_here: bool = True, reads_data: bool = True
) -> None:
    """Check a whole configuration of ``train``, as plain types, before anything is built or read.

    Args:
        config: the config as plain types.
        trains: also check what matters only for training.
        runs_here: also check that this machine has the device.
        reads_data: also check that the place of the data is given.

    Raises:
        UserError: a key is unknown or missing, or a value is of the wrong type, out of range or does not fit
            the others.
    """
    if "experiment" in config:
        raise UserError("the experiment's file must begin with the line: # @package _global_")
    check_groups(config)
    values = dict(leaves(config))
    for key, value in values.items():
        group = key.partition(".")[0]
        if key not in KEYS and group not in (*CLASS_GROUPS, MANY):
            raise UserError(unknown_key(key, defaults()))
        if key != "monitor" and (group not in CLASS_GROUPS or is_described(config[group]["_target_"])):
            check_value(key, value)
    check_monitor(config)
    inputs = inputs_of(config["data"])
    for key in REQUIRED:
        if key not in values and inputs in (KEYS[key].inputs or (inputs,)):
            raise UserError(f"{key} is missing: give it as {key}=VALUE ({KEYS[key].describe()})")
    check_classes(config["data"])
    check_names(config)
    if reads_data and config["data"].get("root") == "":
        raise UserError("data.root= is empty: give the folder that holds the data")
    check_range(config["data"]["value_range"])
    check_canvas(config["data"])
    check_network(config["model"], config["data"]["targets"])
    if runs_here:
        check_device(config["device"])
        check_sockets(config["workers"])
    if needs_inference(config["data"]):  # the rest makes sense once it has been found
        return
    check_inputs(config)
    if inputs == IMAGES:
        check_images(config)
    if trains:
        check_training(config)


def check_monitor(config: Mapping[str, Any]) -> None:
    """Check that the task has the score that is monitored; a task of the user's says later what it has."""
    monitor, scores = config.get("monitor"), SCORES.get(config["task"]["_target_"])
    if scores is not None and monitor != "auto":
        check_value("monitor", monitor, replace(KEYS["monitor"], choices=scores.monitors))


def check_groups(config: Mapping[str, Any]) -> None:
    """Check that each group is there, and names a class where it is to hold one."""
    for group in REQUIRED_GROUPS:
        node = config.get(group)
        if not isinstance(node, Mapping):
            if group == "criterion" and isinstance(node, str):
                instead = override_for("criterion._target_", node)
                near = f"did you mean {instead}?" if instead else OTHER_LOSS
                raise UserError(f"criterion={printable(node)} is not possible: {near}")
            now = " is missing" if node is None else f"={printable(shown(node))} is not possible"
            needed = (
                "choose from conf/data"
                if group == "data"
                else f"name a class: {group}._target_={EXAMPLES[group]}"
            )
            raise UserError(f"{group}{now}: {needed}")
        if group != "data" and (group, node.get("_target_")) not in (("task", AUTO), ("criterion", AUTO)):
            check_target(group, node)
    source = config["data"].get("source")
    if isinstance(source, Mapping):
        check_target("data.source", source)
        if "test_fraction" in source and is_described(source["_target_"]):
            check_value("data.source.test_fraction", source["test_fraction"])
    loggers = config.get(MANY)
    if loggers is not None and not isinstance(loggers, Mapping):
        raise UserError(f"{MANY}={shown(loggers)} is not possible: choose from conf/{MANY}")
    for name, node in (loggers or {}).items():
        if not isinstance(node, Mapping):
            raise UserError(
                f"{MANY}.{name}={shown(node)} is not possible: name a class, {MANY}.{name}._target_=my_pkg.My"
            )
        check_target(f"{MANY}.{name}", node)


def check_target(key: str, node: Mapping[str, Any]) -> None:
    """Check that a node names a class. Whether that exists is seen when it is built."""
    target = node.get("_target_")
    if target is None:
        raise UserError(f"{key}._target_ is missing: name a class, such as {key}._target_=my_pkg.MyClass")
    if not isinstance(target, str) or not all(part.isidentifier() for part in target.split(".")):
        raise UserError(f"{key}._target_={shown(target)} is not a class: write, for example, my_pkg.MyClass")
    if "." not in target:
        if instead := override_for(f"{key}._target_", target):
            raise UserError(f"{key}._target_={target} names no module: did you mean {instead}?")
        if key == "criterion":
            raise UserError(f"{key}._target_={target} names no module: {OTHER_LOSS}")
        raise UserError(f"{key}._target_={target} names no module: write my_pkg.{target}, say")


def check_training(config: Mapping[str, Any]) -> None:
    """Check values without which training would do nothing useful."""
    data, epochs, batch_size = config["data"], config["epochs"], config["batch_size"]
    if config["accumulate"] > batch_size:
        raise UserError(
            f"accumulate={config['accumulate']} cuts a batch into more parts than batch_size={batch_size}"
        )
    if config["early_stopping"] is not None and not DataSettings.from_config(config).has_validation:
        raise UserError(
            f"early_stopping={config['early_stopping']} needs a validation set, and data.val_fraction is 0"
        )
    check_targets(config)
    check_fine_tuning(config)
    warmup = described_arguments(config["schedule"]).get("warmup", 0)
    shift = described_arguments(config["augment"]).get("shift", 0)
    if warmup > epochs:
        raise UserError(f"schedule.warmup={warmup:g} is longer than the run: epochs={epochs}")
    if shift and shift >= min(height_and_width(data["image_size"])):
        size = shown(data["image_size"])
        raise UserError(f"augment.shift={shift} moves images of {size} pixels out of sight")
    hue = described_arguments(config["augment"]).get("hue", 0)
    if hue and data["channels"] != 3:
        raise UserError(
            f"augment.hue={hue:g} needs images in colour, and data.channels={data['channels']}: leave it out"
        )
    if world_size() > config["batch_size"]:
        raise UserError(
            f"batch_size={config['batch_size']} is for all {world_size()} processes together: "
            f"give each at least one image, batch_size={world_size()}"
        )
    if world_size() > 1 and config["accumulate"] > 1:
        raise UserError(
            f"accumulate={config['accumulate']} is for one process: {world_size()} processes split each "
            "batch already"
        )


def check_names(config: Mapping[str, Any]) -> None:
    """Check the name and the place of the run folder."""
    if config["out"] == "":
        raise UserError("out= is empty: give a folder, or leave it out for a new one under outputs/")
    check_inside(config)
    name = config["name"]
    if name is not None and (not name or "/" in name or len(name) > 200):
        raise UserError(
            f"name={printable(name, 60)} is not possible: use 1 to 200 characters, no /; or out=FOLDER"
        )


def check_inside(config: Mapping[str, Any]) -> None:
    """Check that what a logger writes for a run is to lie in the run folder."""
    for name, node in (config.get(MANY) or {}).items():
        folder = node.get("folder")
        if isinstance(folder, str) and leads_out(folder):
            raise UserError(
                f"{MANY}.{name}.folder={folder} leads outside the run folder: give a name such as tensorboard"
            )


def leads_out(name: str) -> bool:
    """Return whether a path, of this system or another, or an address, leads out of its folder."""
    is_absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute()
    return is_absolute or name.startswith("~") or "://" in name or ".." in PureWindowsPath(name).parts
