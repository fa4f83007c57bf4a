"""What ``--help`` says. Read from conf/ and the schema, so that it is always true."""

from __future__ import annotations

import itertools
import shutil
import textwrap
from collections.abc import Iterable, Mapping

from cnntrain import __version__
from cnntrain.cli.flags import TOPICS
from cnntrain.cli.help_texts import FLAGS, INTRODUCTIONS, OVERVIEW, VALUES
from cnntrain.config.compose import (
    choice_values,
    conf_folder,
    default_choices,
    default_in_words,
    defaults,
    file_of,
    groups,
    having,
    owners,
    raw_yaml,
    typed_values,
)
from cnntrain.config.schema import KEYS
from cnntrain.errors import UserError

COLUMN = 30  # where explanations begin
SHAPES = ("data.channels", "data.image_size", "data.num_classes")
COMPOSING = ("train", "summary", "explain", "bench")  # commands that take the keys of conf/
FIRST_PAGE = (
    *("data", "data.root", "model", "optim", "optim.lr", "schedule", "augment", "epochs", "batch_size"),
    *("limit", "seed", "early_stopping", "init_from", "device", "out"),
)


def overview() -> str:
    """Return what ``cnntrain --help`` prints."""
    return OVERVIEW.format(version=__version__, topics=", ".join(TOPICS)).rstrip()


def of(command: str, subject: str = "") -> str:
    """Return what ``cnntrain COMMAND --help [SUBJECT]`` prints.

    Args:
        command: the command.
        subject: ``all``, a group or a key, alone or with a value; anything else counts as nothing.

    Raises:
        UserError: the subject looks like a key, and there is none such.
    """
    from cnntrain.config.amendable import AMENDABLE

    if command not in INTRODUCTIONS:
        return overview()
    key = subject.partition("=")[0].lstrip("+~")
    is_key = key in groups() or any(other == key or other.startswith(f"{key}.") for other in KEYS)
    # Behind other commands stand names of runs and files, too.
    if is_key or (key and command in COMPOSING and key not in ("all", *TOPICS)):
        return about(key)
    text = INTRODUCTIONS[command]
    if command == "train":
        text += every_key() if key == "all" else first_page()
    elif command == "summary":
        offered = {group: choices for group, choices in groups().items() if group in ("data", "model")}
        keys = [key for key in KEYS if key.startswith("model.") or key in SHAPES]
        text += f"{group_lines(offered)}\n\n{sections(keys)}"
    elif command == "explain":
        own = own_values("explain")
        text += key_lines(own, own)
    elif command == "bench":
        own = own_values("bench")
        text += key_lines(own, own)
        text += "\n\nFor example:\n  cnntrain bench model=mlp batch_size=32 data=mnist data.root=DIR"
    elif command in AMENDABLE:
        text += key_lines(AMENDABLE[command], own_values(command))
    return text.rstrip()


def first_page() -> str:
    """Return the keys that are used most, where the others are found, and how values are typed."""
    values = {**defaults(), **default_choices()}
    others = [group for group in groups() if group not in FIRST_PAGE]
    more = (
        "More: cnntrain train --help all             every key\n"
        "      cnntrain train --help optim           a group: its choices and keys\n"
        "      cnntrain train --help model.channels  a key\n"
        f"Other groups: {', '.join(others)}"
    )
    return f"The most used keys:\n{key_lines(FIRST_PAGE, values)}\n\n{more}\n\n{VALUES}\n{FLAGS}"


def every_key() -> str:
    """Return the choices of all groups and all keys of ``train``."""
    return f"{group_lines(groups())}\n\n{sections(KEYS)}\n\n{VALUES}\n{FLAGS}"


def about(key: str) -> str:
    """Return the choices and the keys of a group, or all that is known of a key.

    Raises:
        UserError: there is no such group or key.
    """
    offered, values = groups(), defaults()
    keys = [other for other in KEYS if other == key or other.startswith(f"{key}.")]
    if key not in offered and not keys:
        from cnntrain.config.mistakes.suggestions import unknown_key

        raise UserError(unknown_key(key, values))
    lines = [entry(f"  {key}={choice}", comment(key, choice)) for choice in offered.get(key, ())]
    title = [f"{key}: the choices, and where its keys hold" if lines else f"{key}:"]
    if lines and key in default_choices():
        title = [f"Choices of {key} (default {default_choices()[key]}):"]
    elif lines:
        title = [f"Choices of {key}:"]
    described = key_lines(keys, values) + other_defaults(keys, values)
    if not lines:
        return described
    heading = ["", "Keys, with their defaults:", described] if keys else []
    return "\n".join([*title, *lines, *heading])


def other_defaults(keys: Iterable[str], values: Mapping[str, str]) -> str:
    """Return the defaults that differ from choice to choice, as lines below the keys: optim.lr with SGD."""
    lines = []
    for key in keys:
        group = key.partition(".")[0]
        own = {choice: choice_values(group, choice)[key] for choice in owners(key)}
        differing = [f"{value} with {group}={c}" for c, value in own.items() if value != values.get(key)]
        if differing and group not in ("data", "augment"):
            lines.append(entry(f"  {key}", "; ".join(differing)))
    return "\n".join(["", "", "Other defaults:", *lines]) if lines else ""


def comment(group: str, choice: str) -> str:
    """Return what the comment at the top of a choice's file says."""
    lines = file_of(group, choice).read_text(errors="replace").splitlines()
    top = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return " ".join(line.lstrip("# ") for line in top if "@package" not in line)


def own_values(command: str) -> dict[str, str]:
    """Return the values that ``resume``, ``eval``, ``explain`` or ``bench`` begins with."""
    return dict(typed_values(raw_yaml(conf_folder() / f"{command}.yaml")))


def width() -> int:
    """Return how many columns help may fill: the terminal's, but no more than are good to read."""
    return min(120, max(80, shutil.get_terminal_size((100, 24)).columns))


def group_lines(offered: Mapping[str, Iterable[str]]) -> str:
    """Return the groups and their choices, as a paragraph."""
    lines = [
        textwrap.fill(
            f"  {group + '=':<13} {' | '.join(choices)}",
            width(),
            subsequent_indent=" " * 16,
            break_on_hyphens=False,
        )
        for group, choices in offered.items()
    ]
    return "\n".join(["Choices:", *lines])


def key_lines(keys: Iterable[str], values: Mapping[str, str]) -> str:
    """Return keys with their values, explanations, types and ranges."""
    offered, lines = groups(), []
    for key in keys:
        if key in offered:
            head = f"  {key}={values[key]}" if key in values else f"  {key}"
            lines.append(entry(head, "|".join(c for c in offered[key] if c != values.get(key))))
            continue
        value, note = default_in_words(values[key]) if key in values else ("", "")
        head = f"  {key}={value}" if key in values else f"  {key}"
        kind = "; ".join(part for part in (KEYS[key].short(), note, having(key)) if part)
        lines.append(entry(head, f"{KEYS[key].doc} ({kind})"))
    return "\n".join(lines)


def sections(keys: Iterable[str]) -> str:
    """Return the keys of ``train`` with their defaults, a paragraph for each group."""
    values = defaults()
    known = [key for key in keys if key in values]
    by_group = itertools.groupby(
        known, lambda key: key.partition(".")[0] if key.split(".")[0] in groups() else ""
    )
    return "Keys, with their defaults:\n" + "\n\n".join(key_lines(part, values) for _, part in by_group)


def wrapped(text: str, columns: int) -> list[str]:
    """Return text as lines; choices with | between them that are longer than a line are broken there."""
    words = (word.replace("|", "|\0 ") if len(word) > columns else word for word in text.split())
    lines = textwrap.wrap(" ".join(words), columns, break_on_hyphens=False)
    return [line.replace("|\0 ", "|").replace("|\0", "|") for line in lines]


def entry(head: str, text: str) -> str:
    """Return a key and its explanation beside it, or below it where the key is long."""
    indent = " " * COLUMN
    lines = wrapped(text, width() - COLUMN)
    if len(head) < COLUMN - 1:
        return f"{head:<{COLUMN}}" + f"\n{indent}".join(lines)
    return "\n".join([head, *(indent + line for line in lines)])
