"""The text of ``--help`` about keys. It is read from conf/ and the schema, so that it is always true."""

from __future__ import annotations

import itertools
import shutil
import textwrap
from collections.abc import Iterable, Mapping

from cnntrain.config.conf_files import (
    choice_file,
    choice_values,
    choices_with,
    conf_folder,
    default_choices,
    default_in_words,
    defaults,
    groups,
    owners,
    raw_yaml,
    typed_values,
)
from cnntrain.config.keys import GROUPS, KEYS, SHAPE, TABLE, is_top_level
from cnntrain.errors import UserError

COLUMN = 30  # where explanations begin
# First what has groups, then the keys of the run itself.
FIRST_PAGE = sorted((name for name, row in TABLE.items() if row.is_common), key=is_top_level)
VALUES = """\
How values are typed:
  'model.channels=[16,32]'          a list; the quotes keep it from the shell
  grad_clip=null                    null: none, switched off
  -m optim.lr=1e-3,1e-2             with -m: one run for each value
  -m 'optim.lr=interval(1e-4,0.1)'  a range to search, with sweeper=random
  +optim.KEY=VALUE                  + adds an argument that conf/ does not list
  ~optim.nesterov                   ~ removes one
  data.root="$HOME/my images"       the shell fills in variables
"""
FLAGS = """\
Flags:
  -m                 run every combination of values with commas between them:
                     cnntrain train -m optim=sgd,adam optim.lr=1e-3,1e-2
                     seeds=5 repeats each, launcher=joblib runs several at once
  -q                 print only warnings and errors (verbose=0)
  --config-dir DIR   read groups of your own from DIR, as from conf/ here
  --cfg job          print the configuration instead of running it
  --info             print where each part of the configuration comes from

The run folder holds the configuration, metrics.csv, summary.json, train.log,
checkpoints/ and report.html. hydra.* keys work too: --cfg hydra lists them.
"""


def keys_of_train(subject: str) -> str:
    """Return what help says about the keys of ``train``: the most used, or with ``all`` every one."""
    return every_key() if subject == "all" else first_page()


def keys_of_model(subject: str) -> str:
    """Return the choices and the keys on which a model's shape depends."""
    offered = {group: choices for group, choices in groups().items() if group in ("data", "model")}
    keys = [key for key in KEYS if key.startswith("model.") or key.removeprefix("data.") in SHAPE]
    return f"{group_lines(offered)}\n\n{sections(keys)}"


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
    """Return the choices and the keys of a group, or everything known about a key.

    Raises:
        UserError: there is no such group or key.
    """
    offered, values = groups(), defaults()
    keys = [other for other in KEYS if other == key or other.startswith(f"{key}.")]
    if key not in offered and not keys:
        from cnntrain.config.mistakes.suggestions import unknown_key

        group, _, name = key.rpartition(".")
        if name == "_target_" and group in GROUPS and GROUPS[group].is_custom:
            return entry(f"  {key}", f"class of the {group}, of your own too: {key}=my_pkg.MyClass (TEXT)")
        raise UserError(unknown_key(key, {**dict.fromkeys(offered, ""), **default_choices(), **values}))
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
    lines = choice_file(group, choice).read_text(errors="replace").splitlines()
    top = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return " ".join(line.lstrip("# ") for line in top if "@package" not in line)


def own_values(command: str) -> dict[str, str]:
    """Return the values that a command such as ``resume`` or ``bench`` begins with; none without a file."""
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
        kind = "; ".join(part for part in (KEYS[key].short(), note, choices_with(key)) if part)
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
