"""Suggestions for a wrong key, value or flag, which may be a typo or another tool's name."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Container, Mapping, Sequence
from typing import Any

from cnntrain.config.conf_files import choices_with, default_in_words, defaults, groups
from cnntrain.config.keys import KEYS
from cnntrain.config.mistakes import synonyms
from cnntrain.config.mistakes.conversions import CONVERSIONS
from cnntrain.config.mistakes.values import (
    decoded,
    is_square_size,
    number_for,
    override_for,
    with_decimal_point,
)
from cnntrain.config.schema import WHOLE, Key
from cnntrain.errors import UserError, folded, nearest
from cnntrain.text import printable, shown

# What other tools put before the names of their options, as in trainer.max_epochs.
PREFIXES = ("trainer", "train", "training", "args", "fit", "hparams", "hp", "cfg", "config", "params")


def check_value(key: str, value: Any, rule: Key | None = None) -> None:
    """Raise a UserError unless a value suits its key. Keys that are not in the table are let through.

    Args:
        key: the key, with its group.
        value: the value, as a plain type.
        rule: the key's row; None means that of the table.
    """
    rule = rule or KEYS.get(key)
    if rule is None or rule.accepts(value):
        return
    text = shown(value)
    if is_text_of_another_type(rule, value):
        raise UserError(
            f"{key}='{printable(text)}' is text, and {key} takes {rule.describe()}\n"
            f"leave out the quotes; for an environment variable: '{key}=${{oc.decode:${{oc.env:NAME}}}}'"
        )
    instead = override_for(key, text, rule=rule)
    near = f": did you mean {instead}?" if instead else ""
    raise UserError(
        f"{key}={printable(text)} is not possible{near}\n{key} takes {rule.describe()}: {rule.doc}"
    )


def is_text_of_another_type(rule: Key, value: Any) -> bool:
    """Return whether a text would be valid without its quotes, as the text of an environment variable is."""
    return isinstance(value, str) and not isinstance(decoded(value), str) and rule.accepts(decoded(value))


def unknown_key(key: str, known: Mapping[str, Any], value: str = "") -> str:
    """Return the message for a key that does not exist, with the key that was probably meant.

    Args:
        key: the key, as typed.
        known: the keys that exist, with their defaults.
        value: the value that was typed for it.
    """
    instead = other_tool_hint(key, value, known)
    if not instead:
        near = nearest_key(key, [other for other in known if other != key])
        if near is None:
            return f"unknown key {printable(key)}: `cnntrain train --help all` lists every key"
        instead = f"did you mean {fill_in(near, value)}?{described(near, known)}"
    return f"unknown key {printable(key)}: {instead}"


def described(key: str, known: Mapping[str, Any]) -> str:
    """Return the type and the default of a key, in brackets."""
    parts = [KEYS[key].describe()] if key in KEYS else []
    if key in known:
        value, note = default_in_words(shown(known[key]))
        parts.append(note or f"default {value}")
    parts.append(choices_with(key))
    about = "; ".join(filter(None, parts))
    return f" ({about})" if about else ""


def nearest_key(key: str, known: Sequence[str]) -> str | None:
    """Return the known key that a misspelt one stands for: in its group first, then in any."""
    group, _, name = key.rpartition(".")
    same_name = [other for other in known if other.rpartition(".")[2] == name]  # lr for optim.lr
    if same_name:
        return same_name[0]
    own = {other.rpartition(".")[2]: other for other in known if other.rpartition(".")[0] == group}
    any_group = {other.rpartition(".")[2]: other for other in reversed(known)}
    for names in (own, any_group):
        near = nearest(name, (n for n in names if n != "_target_"))
        if near:
            return names[near[0]]
    return None


def other_tool_hint(
    key: str, value: str = "", known: Mapping[str, Any] | None = None, own: Container[str] = ()
) -> str:
    """Return what another tool's name for a key is here, as the end of a sentence; "" if it is no such name.

    Args:
        key: the key as typed, perhaps with a prefix: ``learning_rate``, ``trainer.max_epochs``, ``optim.wd``.
        value: what was typed for it, in the words of that tool: ``accelerator=gpu`` is ``device=cuda``.
        known: the keys that exist, with their defaults; by default those of conf/.
        own: the keys that exist under the choices that are made.
    """
    name = without_accents(key.lstrip("+~-").lower().replace("-", "_"))
    prefix, _, last = name.rpartition(".")
    is_whole = not prefix or prefix in PREFIXES
    word = value.strip("'\"").lower()
    is_off, is_on = word in synonyms.FALSE, word in synonyms.TRUE or not word
    if last.startswith("no_") and last not in synonyms.SWITCHES:  # --no-amp
        last, is_off, is_on = last.removeprefix("no_"), not is_off, False
    if last in synonyms.SWITCHES and (is_off or is_on):
        return f"did you mean {synonyms.SWITCHES[last][is_off]}?"
    if name in synonyms.ABSENT or (is_whole and last in synonyms.ABSENT):
        return synonyms.ABSENT.get(name) or synonyms.ABSENT[last]
    known = defaults() if known is None else known
    if is_whole and last in CONVERSIONS:
        override = CONVERSIONS[last](printable(value.strip("'\"")))
        ours = override.strip("'").partition("=")[0]
        return f"did you mean {override}?{described(ours, known)}"
    target = synonyms.KEYS.get(last, last if prefix in PREFIXES and last in (*KEYS, *groups()) else "")
    if target not in own and synonyms.OTHER_FAMILY.get(target) in own:
        target = synonyms.OTHER_FAMILY[target]
    if target == "criterion._target_" and "." not in value and folded(value) not in synonyms.VALUES[target]:
        return synonyms.OTHER_LOSS
    if target == "device" and "," in value:
        return synonyms.ABSENT["devices"]
    if target:
        about = described(target, known) if target in KEYS else ""
        return f"did you mean {fill_in(target, value)}?{about}"
    if last in synonyms.SWITCHES:
        return f"did you mean {synonyms.SWITCHES[last][0]}?"
    return ""


def fill_in(target: str, value: str) -> str:
    """Return the override to type for a key of ours, or for an override in which ``{}`` is the value.

    A value that does not suit the key is left out: the range of the key stands beside it.
    """
    value = printable(value)
    if "{}" in target:
        return target.replace("{}", shlex.quote(value) if value else "VALUE")
    offered = groups()
    if value and folded(value) in synonyms.VALUES.get(target, {}):
        return synonyms.VALUES[target][folded(value)]
    if instead := with_decimal_point(target, value):
        return instead
    if target in KEYS and KEYS[target].kind in WHOLE and is_square_size(value):
        return number_for(target, KEYS[target], value) or target
    if value and is_valid(target, value):
        return shlex.quote(f"{target}={value}")
    if value and (instead := override_for(target, value)):
        return instead
    return f"{target}={'|'.join(offered[target])}" if target in offered else target


def is_valid(key: str, value: str) -> bool:
    """Return whether a key or a group can have a value, as typed; of several values, Hydra asks each."""
    offered = groups()
    if key in offered:
        return value in offered[key]
    return key not in KEYS or "," in value or KEYS[key].accepts(decoded(value))


def flag_suggestion(flag: str, value: str) -> str:
    """Return what to type for a flag that a command does not have, as the end of a sentence.

    Args:
        flag: the flag, as typed, with its dashes.
        value: what follows its =, or follows it.
    """
    if not flag.strip("-"):
        return "leave it out; options are written KEY=VALUE, such as epochs=10"
    if flag in ("-m", "--multirun"):
        return "only train takes several values: cnntrain train -m"
    key, value = printable(flag.lstrip("-").replace("-", "_")), "" if "=" in value else printable(value)
    if instead := other_tool_hint(key, value):
        override = instead.partition("did you mean ")[2].partition("?")[0]
        return f"write {override if '=' in override else f'{override}=VALUE'}" if override else instead
    known = [*KEYS, *groups()]
    same_name = [other for other in known if other.rpartition(".")[2] == key or other == key]
    near = (same_name or nearest(key, known))[:1]
    if near:
        instead = fill_in(near[0], value)
        return f"write {instead if '=' in instead else f'{instead}=VALUE'}"
    return f"options are written KEY=VALUE: {key}={value or '...'}"


def without_accents(text: str) -> str:
    """Return text without the accents of its letters."""
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def plain(text: str) -> str:
    """Return typed text with the plain characters for those of word processors, slides and web pages."""
    return "".join(synonyms.TYPOGRAPHY.get(char, char) for char in text)
