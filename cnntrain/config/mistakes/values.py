"""From a wrong value to the override that it probably means: numbers, networks, optimizers, data sets."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnntrain.config.conf_files import groups
from cnntrain.config.keys import KEYS
from cnntrain.config.mistakes import synonyms
from cnntrain.config.mistakes.conversions import decimal, is_number
from cnntrain.config.schema import Key
from cnntrain.errors import folded, nearest
from cnntrain.text import is_there, printable


def decoded(text: str) -> Any:
    """Return the value that an override's text stands for, for most types."""
    import yaml

    try:
        return float(text) if re.fullmatch(r"[-+]?[\d.]+[eE][-+]?\d+", text) else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        return text


def override_for(key: str, value: str, choices: Sequence[str] = (), rule: Key | None = None) -> str:
    """Return the override that a wrong value of a key probably means, or "".

    Args:
        key: a key or a group.
        value: the value, as typed.
        choices: those of the group; by default those that conf/ offers.
        rule: the key's row here; None means that of the table.
    """
    value, choices = printable(value), choices or groups().get(key, ())
    word = folded(value)
    rule = rule or KEYS.get(key)
    listed = (*choices, *(rule.choices if rule else ()))
    same = next((choice for choice in listed if folded(choice) == word and choice != value), None)
    if same is not None:
        return f"{key}={same}"
    meant = synonyms.VALUES.get(key, {}).get(word, "") if word else ""
    if meant and not (rule and rule.choices and meant.startswith(f"{key}=") and not accepted(meant, rule)):
        return meant
    of_group = {"model": model_for, "optim": optimizer_for, "data": data_for}.get(key)
    if of_group is not None and (instead := of_group(value)):
        return instead
    if near := nearest(value, [choice for choice in listed if choice != "custom"]):
        return f"{key}={near[0]}"
    if key == "model" and (network := nearest(value, synonyms.TORCHVISION)):
        return f"model=torchvision model.name={network[0]}"
    if rule is not None and rule.kind == "factors":
        return factors_for(key, value)
    if rule is None or rule.kind not in ("int", "size", "float", "bool"):
        return ""
    return number_for(key, rule, value)


def accepted(override: str, rule: Key) -> bool:
    """Return whether the value of an override suits its key."""
    return rule.accepts(decoded(override.partition("=")[2]))


def factors_for(key: str, value: str) -> str:
    """Return the override for names with numbers that lack their braces, or for a number without a name."""
    pairs = [re.fullmatch(r"\s*([\w.]+)[:=]\s*([^\s:=]+)\s*", pair) for pair in value.strip("{}").split(",")]
    if all(pair and is_number(pair[2]) for pair in pairs):
        inside = ",".join(f"{pair[1]}:{pair[2]}" for pair in pairs if pair)
        return f"'{key}={{{inside}}}'"
    return f"'{key}={{backbone:{value}}}'" if is_number(value) else ""


def model_for(value: str) -> str:
    """Return the override for the name of a network: resnet18, ResNet-50, vit_tiny_patch16_224."""
    by_name = {folded(name): name for name in synonyms.TORCHVISION}
    name = by_name.get(folded(value))
    if name is not None:
        return f"model=torchvision model.name={name}"
    if value.lower().startswith(synonyms.TIMM):
        return f"model=timm model.name={value.lower()}"
    return ""


def optimizer_for(value: str) -> str:
    """Return the override for the name of one of torch's optimizers, with or without ``torch.optim.``."""
    name = folded(value.rpartition(".")[2])
    for choice in groups()["optim"]:
        if folded(choice) == name and choice != "custom":
            return f"optim={choice}"
    found = next((optimizer for optimizer in synonyms.OPTIMIZERS if folded(optimizer) == name), None)
    return f"optim._target_=torch.optim.{found}" if found else ""


def data_for(value: str) -> str:
    """Return the override for a folder that was given as a data set."""
    is_folder = is_there(value) and Path(value).is_dir()
    is_path = "/" in value or value.startswith((".", "~")) or is_folder
    return f"data=folder {shlex.quote(f'data.root={value}')}" if is_path and value else ""


def is_square_size(value: str) -> bool:
    """Return whether a value is a whole number, a comma and the same again: a height and a width."""
    return re.fullmatch(r"(\d+),\1", value) is not None


def number_for(key: str, rule: Key, value: str) -> str:
    """Return the override for a number or a truth value that is written in another way."""
    if rule.kind == "bool":
        for words, meant in ((synonyms.TRUE, "true"), (synonyms.FALSE, "false")):
            if value.lower() in words:
                return f"{key}={meant}"
        return ""
    text = value.strip().rstrip("f").replace(" ", "")
    candidates = [text.replace(",", "."), text.strip("[]()").split(",")[0]]
    if text.endswith("%"):
        candidates.insert(0, f"{decimal(text[:-1], 0.01):g}")
    if sides := re.fullmatch(r"[\[(]?(\d+)[x,](\d+)[\])]?", text):  # 224x224, [224,224]
        candidates.insert(0, sides[1] if sides[1] == sides[2] else "")
        both = f"[{sides[1]},{sides[2]}]"
        if rule.kind == "size" and sides[1] != sides[2] and text != both and rule.accepts(decoded(both)):
            return f"'{key}={both}'"
    whole = decimal(text, 1.0)
    if whole.is_integer() and abs(whole) < 1e15:  # 10.0, 1e3
        candidates.insert(0, str(int(whole)))
    for candidate in candidates:
        if candidate and candidate != value and is_number(candidate) and rule.accepts(decoded(candidate)):
            return f"{key}={candidate}"
    return ""


def with_decimal_point(key: str, value: str) -> str:
    """Return the override for a number with a decimal comma, 0,01; "" for any other value."""
    rule = KEYS.get(key)
    is_decimal = re.fullmatch(r"[-+]?\d*,\d+([eE][-+]?\d+)?", value) is not None
    return number_for(key, rule, value) if is_decimal and rule is not None and rule.kind == "float" else ""
