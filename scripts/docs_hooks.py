"""What mkdocs adds to the pages of docs/ when it builds the site: lists that come from the program itself.

A page says where by ``<!-- generated: NAME -->``. So the reference is that of the version that is installed.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

from cnntrain.cli.commands import COMMANDS, help_of, overview
from cnntrain.cli.help import comment
from cnntrain.config.compose import choices_with, default_choices, default_in_words, defaults, groups
from cnntrain.config.keys import GROUPS, KEYS

ROOT = Path(__file__).parent.parent
PLACE = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
OUTSIDE = re.compile(r"\]\(((?:\.\./)+)(SECURITY)\.md\)")  # the one page that lies where GitHub looks for it


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the text of a page, with what is generated, and links to SECURITY.md led into the site."""
    markdown = PLACE.sub(lambda place: GENERATED[place[1]](), markdown)
    here = posixpath.dirname(page.file.src_uri)
    return OUTSIDE.sub(lambda link: f"]({posixpath.relpath('security.md', here or '.')})", markdown)


@event_priority(-100)  # after the translations, which look at files below docs/ alone
def on_files(files: Any, config: Any) -> Any:
    """Add SECURITY.md to the site."""
    text = (ROOT / "SECURITY.md").read_text().replace("](docs/", "](")
    files.append(File.generated(config, "security.md", content=text))
    return files


def keys() -> str:
    """Return a section for each group of keys, and one for those of the run itself."""
    sections = []
    for group in ("", *GROUPS):
        title = f"`{group}`" if group else "The run"
        parts = [f"## {title}", choices(group) if group else "", table(keys_of(group))]
        sections.append("\n\n".join(filter(None, parts)))
    return "\n\n".join(sections)


def keys_of(group: str) -> list[str]:
    """Return the keys of a group; of none, those without a group."""
    named = set(groups())
    return [key for key in KEYS if (key.partition(".")[0] if key.partition(".")[0] in named else "") == group]


def choices(group: str) -> str:
    """Return the choices of a group as a table."""
    default = default_choices().get(group)
    lines = [
        f"| `{group}={name}`{' (default)' if name == default else ''} | {cell(comment(group, name))} |"
        for name in groups().get(group, ())
    ]
    return "\n".join(["| choice | what it is |", "| --- | --- |", *lines]) if lines else ""


def table(names: list[str]) -> str:
    """Return keys with their defaults, values and meaning as a table."""
    values = defaults()
    lines = []
    for name in names:
        value, note = default_in_words(values[name]) if name in values else ("", "")
        meaning = "; ".join(filter(None, (KEYS[name].doc, note, choices_with(name))))
        default = f"`{value}`" if value else ""
        lines.append(f"| `{name}` | {cell(default)} | `{cell(KEYS[name].short())}` | {cell(meaning)} |")
    head = ["| key | default | values | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *lines]) if lines else ""


def cell(text: str) -> str:
    """Return text as it stands in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;") if "`" not in text else text


def commands() -> str:
    """Return what ``--help`` prints of all commands and of each."""
    each = [f"## cnntrain {name}\n\n{block(help_of(name))}" for name in COMMANDS]
    return "\n\n".join([block(overview()), *each])


def block(text: str) -> str:
    """Return text as a block of code."""
    return f"```text\n{text}\n```"


GENERATED: dict[str, Callable[[], str]] = {"keys": keys, "commands": commands}
