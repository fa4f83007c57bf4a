"""What ``auto`` stands for in the group ``data``: found in the folder of images, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnntrain.errors import UserError
from cnntrain.image_folder.layout import FOLDER
from cnntrain.text import printable

if TYPE_CHECKING:
    from cnntrain.annotations.meaning import Asked
    from cnntrain.image_folder.inventory import Census

OF_MASKS = ("label_map", "colors")  # keys that only masks have a use for


def has_validation(data: Mapping[str, Any]) -> bool:
    """Return whether some images validate: those that are held out, or a folder's own validation part.

    Raises:
        UserError: the folder can't be used.
    """
    if data["val_fraction"] > 0 or data["source"]["_target_"] != FOLDER:
        return bool(data["val_fraction"] > 0)
    from cnntrain.annotations import formats
    from cnntrain.annotations.table import CLASSES

    kind = formats.format_of(data["root"], data.get("format", "auto"))
    if kind != CLASSES:
        return any(entry.part == "val" for entry in formats.read(data["root"], kind).entries)
    from cnntrain.image_folder.index import look

    return "val" in look(data["root"]).parts


def asked_of(data: Mapping[str, Any]) -> Asked:
    """Return what the group ``data``, or what a source was given of it, says of annotations."""
    from cnntrain.annotations.meaning import Asked

    label_map, colors = data.get("label_map"), data.get("colors")
    return Asked(
        data.get("format", "auto"),
        data.get("ignore", 255),
        None if label_map is None else tuple((int(key), int(label)) for key, label in label_map.items()),
        None if colors is None else tuple((str(name), tuple(color)) for name, color in colors.items()),
    )


def census_of(root: str, asked: Asked, on_bad_image: str, max_megapixels: float, verbose: int = 1) -> Census:
    """Return the census of a folder that is to be trained on: of classes, or of images with masks.

    Args:
        root: the folder.
        asked: what the user says of annotations.
        on_bad_image: ``stop`` or ``skip``.
        max_megapixels: millions of pixels that an image may have.
        verbose: as of :class:`cnntrain.runtime.console.Console`.

    Raises:
        UserError: it can't be used, or the user says something of masks and it has none.
    """
    from cnntrain.annotations import formats, inventory
    from cnntrain.annotations.table import CLASSES
    from cnntrain.image_folder.inventory import usable

    if formats.format_of(root, asked.format) != CLASSES:
        return inventory.usable(root, asked, on_bad_image, max_megapixels, verbose)
    unused = [name for name in OF_MASKS if getattr(asked, name) is not None]
    if unused:
        raise UserError(f"data.{unused[0]} is for masks, and data.root={printable(root)} has classes")
    return usable(root, on_bad_image, max_megapixels, verbose)


def complete(config: dict[str, Any], names: Sequence[str]) -> None:
    """Put what the folder of images says in the place of each ``auto``.

    Args:
        config: checked, as plain types.
        names: the keys of the group ``data`` that may be ``auto``.

    Raises:
        UserError: the data are no folder, or it can't be used.
    """
    data = config["data"]
    wanted = [name for name in names if data[name] == "auto"]
    if not wanted:
        return
    if data["source"]["_target_"] != FOLDER:
        raise UserError(f"data.{wanted[0]}=auto is for data=folder: give its value")
    from cnntrain.image_folder.inventory import refusal

    how = data["on_bad_image"], data["max_megapixels"], config["verbose"]
    found = census_of(data["root"], asked_of(data), *how)
    test_fraction = data["source"].get("test_fraction", 0.15)
    why = refusal(found.parts(test_fraction))
    if why:
        raise UserError(f"data.root={printable(data['root'])}: {why}")
    facts = found.facts(test_fraction, data["channels"], data["value_range"])
    data.update({name: facts[name] for name in wanted})
