"""What ``auto`` stands for in the group ``data``: found in the folder of images, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnntrain.errors import UserError
from cnntrain.text import printable

if TYPE_CHECKING:
    from cnntrain.annotations.label_scheme import AnnotationOptions
    from cnntrain.image_folder.inventory import Inventory

CANVAS = "cnntrain.data.sources.MNISTCanvas"
OF_CANVAS = {"classes": 10, "masks": 11, "boxes": 10}  # classes: only masks have a background
OF_MASKS = ("label_map", "colors")  # keys that only masks have a use for


def has_validation_part(root: str, asked: AnnotationOptions) -> bool:
    """Return whether a folder has a validation part of its own.

    Args:
        root: the folder.
        asked: what the user says about annotations.

    Raises:
        UserError: the folder can't be used.
    """
    from cnntrain.annotations import formats
    from cnntrain.annotations.boxes import formats as of_boxes

    targets = of_boxes.targets_of(root, asked)
    if targets == of_boxes.BOXES:
        entries = of_boxes.read(root, of_boxes.format_of(root, asked.format)).entries
        return any(entry.part == "val" for entry in entries)
    if targets == of_boxes.MASKS:
        return any(
            entry.part == "val" for entry in formats.read(root, formats.format_of(root, asked.format)).entries
        )
    from cnntrain.image_folder.listing import list_folder

    return "val" in list_folder(root).parts


def complete_canvas(data: dict[str, Any], targets: str) -> None:
    """Replace ``auto`` by what is known of canvases of digits before they are made.

    Args:
        data: the group ``data``.
        targets: what the task learns from; empty if that follows from the data.
    """
    source = data.get("source")
    if not isinstance(source, Mapping) or source.get("_target_") != CANVAS:
        return
    if data.get("targets") == "auto":
        data["targets"] = targets or "masks"
    if data.get("num_classes") == "auto" and data["targets"] in OF_CANVAS:
        data["num_classes"] = OF_CANVAS[data["targets"]]


def annotation_options(data: Mapping[str, Any]) -> AnnotationOptions:
    """Return what the group ``data``, or what a source was given of it, says about annotations."""
    from cnntrain.annotations.label_scheme import AnnotationOptions

    label_map, colors = data.get("label_map"), data.get("colors")
    return AnnotationOptions(
        data.get("format", "auto"),
        data.get("ignore", 255),
        None if label_map is None else tuple((int(key), int(label)) for key, label in label_map.items()),
        None if colors is None else tuple((str(name), tuple(color)) for name, color in colors.items()),
        data.get("targets", "auto"),
        data.get("on_bad_box", "stop"),
    )


def inventory_of(
    root: str, asked: AnnotationOptions, on_bad_image: str, max_megapixels: float, verbose: int = 1
) -> Inventory:
    """Return the inventory of a folder to train on: of classes, or of images with masks or boxes.

    Args:
        root: the folder.
        asked: what the user says about annotations.
        on_bad_image: ``stop`` or ``skip``.
        max_megapixels: millions of pixels that an image may have.
        verbose: as in :class:`cnntrain.runtime.console.Console`.

    Raises:
        UserError: it can't be used, or the user says something of masks and it has none.
    """
    from cnntrain.annotations import inventory as of_masks
    from cnntrain.annotations.boxes import formats
    from cnntrain.annotations.boxes import inventory as of_boxes
    from cnntrain.image_folder.inventory import usable_inventory

    targets = formats.targets_of(root, asked)
    if targets == formats.MASKS:
        return of_masks.usable_inventory(root, asked, on_bad_image, max_megapixels, verbose)
    unused = [name for name in OF_MASKS if getattr(asked, name) is not None]
    if unused:
        raise UserError(f"data.{unused[0]} is for masks, and data.root={printable(root)} has {targets}")
    if targets == formats.BOXES:
        return of_boxes.usable_inventory(root, asked, on_bad_image, max_megapixels, verbose)
    return usable_inventory(root, on_bad_image, max_megapixels, verbose)


def inferred(
    names: Sequence[str],
    root: str,
    inventory: Inventory,
    test_fraction: float,
    channels: int | str,
    value_range: Sequence[float] | str | None,
) -> dict[str, Any]:
    """Return what a folder of images says about some keys of the group ``data``.

    Args:
        names: the keys.
        root: the folder, for messages.
        inventory: the inventory of the folder.
        test_fraction: share of each class that is the test part, if the folder has none of its own.
        channels: 1, 3 or ``auto``.
        value_range: values that become black and white in images of more than 8 bits; or ``auto``.

    Raises:
        UserError: the folder can't be used.
    """
    from cnntrain.image_folder.inventory import why_not_trainable

    why = why_not_trainable(inventory.parts(test_fraction))
    if why:
        raise UserError(f"data.root={printable(root)}: {why}")
    facts = inventory.facts(test_fraction, channels, value_range)
    return {name: facts[name] for name in names}
