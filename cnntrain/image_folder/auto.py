"""What ``auto`` stands for in the group ``data``: found in the folder of images, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cnntrain.errors import UserError
from cnntrain.text import printable

FOLDER = "cnntrain.data.sources.Folder"


def has_validation(data: Mapping[str, Any]) -> bool:
    """Return whether some images validate: those that are held out, or a folder's own validation part.

    Raises:
        UserError: the folder can't be used.
    """
    if data["val_fraction"] > 0 or data["source"]["_target_"] != FOLDER:
        return bool(data["val_fraction"] > 0)
    from cnntrain.image_folder.index import look

    return "val" in look(data["root"]).parts


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
    from cnntrain.image_folder.inventory import refusal, usable

    found = usable(data["root"], data["on_bad_image"], data["max_megapixels"], config["verbose"])
    test_fraction = data["source"].get("test_fraction", 0.15)
    why = refusal(found.parts(test_fraction))
    if why:
        raise UserError(f"data.root={printable(data['root'])}: {why}")
    facts = found.facts(test_fraction, data["channels"], data["value_range"])
    data.update({name: facts[name] for name in wanted})
