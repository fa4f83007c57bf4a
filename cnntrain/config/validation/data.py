"""Whether the images, their targets and their classes can be trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cnntrain.annotations.auto import CANVAS
from cnntrain.config.conf_files import default_of
from cnntrain.config.inputs import height_and_width
from cnntrain.config.keys import KEYS, described_arguments, leaves
from cnntrain.config.mistakes.suggestions import check_value
from cnntrain.config.validation.network import check_cnn
from cnntrain.errors import UserError
from cnntrain.text import expanded, printable, shown


def check_classes(data: Mapping[str, Any]) -> None:
    """Check that there are two classes to tell apart; boxes of a single one differ from the background."""
    if data.get("targets") not in ("boxes", "auto") and "num_classes" in data:
        check_value("data.num_classes", data["num_classes"], replace(KEYS["data.num_classes"], low=2))


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


def check_targets(config: Mapping[str, Any]) -> None:
    """Refuse what makes no sense for the targets that the data have."""
    targets = config["data"]["targets"]
    for key, value in leaves(config):
        kinds = KEYS[key].targets if key in KEYS else ()
        group = key.partition(".")[0]
        is_said = value and kinds and targets not in kinds and str(value) != default_of(key)
        if is_said and described_arguments(config[group]):
            raise UserError(
                f"{key}={shown(value)} is for data.targets={' or '.join(kinds)}, and these data have "
                f"{targets}: leave it out"
            )


def check_range(value_range: Any) -> None:
    """Check that black is a lower value than white."""
    if isinstance(value_range, list | tuple) and not value_range[0] < value_range[1]:
        raise UserError(
            f"data.value_range={shown(value_range)} is not possible: write [BLACK,WHITE], the lower first"
        )


def check_typed_root(data: Mapping[str, Any]) -> None:
    """Refuse a folder without MNIST that the user typed for canvases, which have other digits without it.

    Other data that are not in their folder are missed when they are read.
    """
    source = data.get("source")
    if not isinstance(source, Mapping) or source.get("_target_") != CANVAS:
        return
    root = str(data["root"])
    if not (expanded(root) / "MNIST" / "raw").is_dir():
        raise UserError(
            f"data.root={printable(root)} has no MNIST, which would be in {printable(root)}/MNIST/raw: give "
            "the folder that holds it, or leave it out for the digits that cnntrain ships"
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
