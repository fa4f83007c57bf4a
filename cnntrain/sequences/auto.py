"""What ``auto`` stands for in the group ``data`` of sequences: found in the sequences themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnntrain.errors import UserError
from cnntrain.sequences.reading import facts, read
from cnntrain.sequences.tokenizer import packed
from cnntrain.sequences.tokens import KINDS
from cnntrain.text import expanded


def complete_sequences(data: dict[str, Any], source: Callable[[bool], Any]) -> None:
    """Replace each ``auto`` by what the sequences say.

    Args:
        data: the group ``data``, as plain types.
        source: returns the data set of the training part, or of the test part.

    Raises:
        UserError: the data can't be read, or a key is open that they do not tell.
    """
    if data["inputs"] == "text" and data["tokens"] not in KINDS and data["vocabulary"] == "auto":
        data["vocabulary"] = packed(data["tokens"])
        data["tokens"] = str(expanded(data["tokens"]).absolute())  # so that the run can be repeated
    train, test = (read(source(is_train), data["inputs"]) for is_train in (True, False))
    known = facts(train, test, data)
    wanted = [name for name, value in data.items() if value == "auto" and name != "cache"]
    unknown = next((name for name in wanted if name not in known), None)
    if unknown is not None:
        raise UserError(f"data.{unknown}=auto is not for {data['inputs']}: give its value")
    typed, features = data.get("features", "auto"), known.get("features")
    if typed not in ("auto", features):
        raise UserError(f"data.features={typed}, but the data have {features}: data.features={features}")
    data.update({name: known[name] for name in wanted})
