"""Whether a configuration makes sense: checked before torch, a folder or an image is touched."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from cnntrain.config.compose import defaults
from cnntrain.config.keys import (
    AUTO,
    CLASS_GROUPS,
    KEYS,
    MANY,
    REQUIRED_GROUPS,
    SCORES,
    data_with,
    home_of,
    is_described,
    leaves,
    needs_inference,
)
from cnntrain.config.mistakes.inputs import check_inputs
from cnntrain.config.mistakes.suggestions import (
    check_value,
    is_of_segmentation,
    other_task,
    override_for,
    unknown_key,
)
from cnntrain.config.mistakes.synonyms import OTHER_LOSS
from cnntrain.config.schema import IMAGES, height_and_width, inputs_of, shown
from cnntrain.config.sections import DataSettings
from cnntrain.errors import UserError
from cnntrain.models.conv_arithmetic import cnn_sizes
from cnntrain.runtime.hardware import cores
from cnntrain.runtime.ranks import Reporter, world_size
from cnntrain.text import printable

# Those that every configuration of train has, whatever its data and its classes are.
REQUIRED = tuple(
    key
    for key, rule in KEYS.items()
    if rule.required and key.partition(".")[0] not in CLASS_GROUPS and home_of(key) in ("train", "data")
)
TEMPORARY = 75  # bytes: 107 of a socket's path less /pymp-12345678/listener-12345678
DEVICES = KEYS["device"].examples
EXAMPLES = dict.fromkeys(CLASS_GROUPS, "my_pkg.MyClass") | {"criterion": "torch.nn.CrossEntropyLoss"}


def check(
    config: Mapping[str, Any], trains: bool = True, runs_here: bool = True, reads_data: bool = True
) -> None:
    """Check a whole configuration of ``train``, as plain types, before anything is built or read.

    Args:
        config: as plain types.
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
    """Check that the task has the score that is monitored; a task of the user's tells later which it has."""
    monitor, scores = config.get("monitor"), SCORES.get(config["task"]["_target_"])
    if scores is not None and monitor != "auto":
        check_value("monitor", monitor, replace(KEYS["monitor"], choices=scores.monitors))


def check_classes(data: Mapping[str, Any]) -> None:
    """Check that there are two classes to tell apart; boxes of a single one differ from the background."""
    if data.get("targets") not in ("boxes", "auto") and "num_classes" in data:
        check_value("data.num_classes", data["num_classes"], replace(KEYS["data.num_classes"], low=2))


def remark_on_threads(threads: Any) -> None:
    """Warn of more threads than cores, which wait for each other. ``auto`` chooses no such number."""
    if isinstance(threads, int) and threads > cores():
        Reporter.remark(
            f"warning: threads={threads} is slow: there are more threads than cores ({cores()}); "
            "threads=auto takes the fastest number"
        )


def check_sockets(workers: int) -> None:
    """Check, on Linux, that there is room for the sockets that workers send their batches through.

    Else torch would wait for ever for a batch from a worker that has failed.
    """
    if not workers or sys.platform != "linux":
        return
    import tempfile

    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) > TEMPORARY:
        raise UserError(
            f"workers={workers} is not possible: the path of the temporary folder is too long for a socket "
            f"(more than {TEMPORARY} bytes): {printable(folder)}\nset TMPDIR=/tmp, or workers=0"
        )


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


def check_images(config: Mapping[str, Any]) -> None:
    """Check values that must fit the shape of an image."""
    data = config["data"]
    for key in ("mean", "std"):
        if len(data[key]) not in (1, data["channels"]):
            raise UserError(
                f"data.{key}={shown(data[key])} has {len(data[key])} values for data.channels="
                f"{data['channels']}: give one for each channel, or one for all"
            )
    size = height_and_width(data["image_size"])
    whole = height_and_width(data["resize_size"] or data["image_size"])
    if whole[0] < size[0] or whole[1] < size[1]:
        raise UserError(
            f"data.resize_size={shown(data['resize_size'])} is smaller than data.image_size="
            f"{shown(data['image_size'])}, which is taken from it: give at least that, or null"
        )
    for side in dict.fromkeys(size):
        check_cnn(config["model"], side)


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
    warmup = described(config["schedule"]).get("warmup", 0)
    shift = described(config["augment"]).get("shift", 0)
    if warmup > epochs:
        raise UserError(f"schedule.warmup={warmup:g} is longer than the run: epochs={epochs}")
    if shift and shift >= min(height_and_width(data["image_size"])):
        size = shown(data["image_size"])
        raise UserError(f"augment.shift={shift} moves images of {size} pixels out of sight")
    hue = described(config["augment"]).get("hue", 0)
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


def check_targets(config: Mapping[str, Any]) -> None:
    """Refuse what makes no sense for the targets that the data have."""
    targets = config["data"]["targets"]
    for key, value in leaves(config):
        kinds = KEYS[key].targets if key in KEYS else ()
        group = key.partition(".")[0]
        is_said = value and kinds and targets not in kinds and str(value) != defaults().get(key)
        if is_said and described(config[group]):
            raise UserError(
                f"{key}={shown(value)} is for data.targets={' or '.join(kinds)}, and these data have "
                f"{targets}: leave it out"
            )


def check_fine_tuning(config: Mapping[str, Any]) -> None:
    """Check what says where a run starts and what of the model it trains."""
    frozen, thaws, epochs = config["freeze"], config["unfreeze_epoch"], config["epochs"]
    if thaws is not None and frozen is None:
        raise UserError(f"unfreeze_epoch={thaws} needs something frozen: add freeze=backbone, or the like")
    if thaws is not None and thaws > epochs:
        raise UserError(f"unfreeze_epoch={thaws} comes after the last epoch: epochs={epochs}")
    if config["init_from"] == "":
        raise UserError("init_from= is empty: give a run folder, a checkpoint file, or last")
    weights = config["model"].get("weights")
    if config["init_from"] is not None and weights is not None:
        raise UserError(
            f"init_from={config['init_from']} and model.weights={weights} both say where to start: "
            "leave one out"
        )


def described(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments of a class if the table knows their types, or nothing."""
    return node if is_described(node["_target_"]) else {}


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


def check_range(value_range: Any) -> None:
    """Check that black is a lower value than white."""
    if isinstance(value_range, list | tuple) and not value_range[0] < value_range[1]:
        raise UserError(
            f"data.value_range={shown(value_range)} is not possible: write [BLACK,WHITE], the lower first"
        )


def check_canvas(data: Mapping[str, Any]) -> None:
    """Check that digits can lie on a canvas, of data that are composed of them."""
    for name in ("digits", "digit_size"):
        if name in data and data[name][0] > data[name][1]:
            raise UserError(
                f"data.{name}={shown(data[name])} is not possible: write [LOW,HIGH], the lower first"
            )
    if "digits" in data and data["digits"][1] == 0:
        raise UserError("data.digits=[0,0] leaves all canvases empty: write data.digits=[0,1]")
    size = data.get("image_size", 0)
    if "digit_size" in data and data["digit_size"][1] > min(height_and_width(size)):
        raise UserError(
            f"data.digit_size={shown(data['digit_size'])} does not fit a canvas of data.image_size="
            f"{shown(size)}: a digit's image is as wide as the canvas at most"
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


def check_network(model: Mapping[str, Any], targets: str) -> None:
    """Refuse networks that are not for the targets of the data, before torchvision is imported."""
    name = described(model).get("name")
    if model["_target_"] == "cnntrain.models.TorchvisionDetector":
        return
    if not isinstance(name, str) or (is_of_segmentation(name) and targets != "classes"):
        return
    if is_of_segmentation(name):
        raise UserError(
            f"model.name={printable(name)} is a segmentation network, and these data have one class for each "
            f"image (data.targets): take a network for classification, or {data_with('masks')}"
        )
    if other := other_task(name):
        raise UserError(f"model.name={printable(name)}: {other}")


def check_cnn(model: Mapping[str, Any], image_size: int) -> None:
    """Check that a CNN leaves something of an image."""
    needed = {"channels", "kernel_size", "pool_size"}
    if model["_target_"] != "cnntrain.models.CNN" or not needed <= model.keys():
        return
    kernel_size, channels = model["kernel_size"], model["channels"]
    kernels = [kernel_size] if isinstance(kernel_size, int) else kernel_size
    even = next((kernel for kernel in kernels if kernel % 2 == 0), None)
    if even is not None:
        raise UserError(
            f"model.kernel_size={shown(kernel_size)} is even: only an odd one keeps the size of an image, "
            f"{even - 1} or {even + 1}"
        )
    try:
        cnn_sizes(image_size, len(channels), kernel_size, model["pool_size"], model.get("padding", "same"))
    except ValueError as error:
        raise UserError(f"model.channels={shown(channels)}: {error}") from error


def check_device(name: str) -> None:
    """Check, without torch, that a device exists. What only torch knows is checked again by cnntrain.run."""
    kind, colon, index = name.partition(":")
    if kind not in DEVICES or (colon and not (kind == "cuda" and index.isdecimal())):
        instead = override_for("device", name, DEVICES)
        near = f": did you mean {instead}?" if instead else ""
        raise UserError(f"device={name} is not possible{near}\ndevice takes auto, cpu, cuda, cuda:N or mps")
    if kind == "cuda" and not has_cuda_driver():
        raise UserError(f"device={name}: this machine has no CUDA driver; device=auto uses what there is")
    if kind == "mps" and sys.platform != "darwin":
        raise UserError("device=mps: only Apple's computers have it; device=auto uses what there is")


def has_cuda_driver() -> bool:
    """Return whether the library of NVIDIA's driver can be loaded."""
    import ctypes

    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
