"""Whether the network, and what is trained of it, suit the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnntrain.config.keys import data_with, described_arguments
from cnntrain.config.mistakes.networks import is_of_segmentation, other_task
from cnntrain.errors import UserError
from cnntrain.models.conv_arithmetic import cnn_sizes
from cnntrain.text import printable, shown


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


def check_network(model: Mapping[str, Any], targets: str) -> None:
    """Refuse networks that are not for the targets of the data, before torchvision is imported."""
    name = described_arguments(model).get("name")
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
