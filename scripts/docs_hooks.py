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
from cnntrain.cli.help import comment, own_values
from cnntrain.config.conf_files import choices_with, default_choices, default_in_words, defaults, groups
from cnntrain.config.keys import GROUPS, KEYS, home_of

ROOT = Path(__file__).parent.parent
RUN = "The run"  # the section of keys without a group
ROLE = re.compile(r":(?:class|func|meth|mod):(?=<code>)")  # of docstrings, which the site does not know
PLACE = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
OUTSIDE = re.compile(r"\]\(((?:\.\./)+)(SECURITY)\.md\)")  # the one page that lies where GitHub looks for it


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the text of a page, with what is generated, and links to SECURITY.md led into the site."""
    markdown = PLACE.sub(lambda place: GENERATED[place[1]](), markdown)
    here = posixpath.dirname(page.file.src_uri)
    return OUTSIDE.sub(lambda link: f"]({posixpath.relpath('security.md', here or '.')})", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Return a page without the roles that docstrings write before names."""
    return ROLE.sub("", html)


@event_priority(-100)  # after the translations, which look at files below docs/ alone
def on_files(files: Any, config: Any) -> Any:
    """Add SECURITY.md to the site."""
    text = (ROOT / "SECURITY.md").read_text().replace("](docs/", "](")
    files.append(File.generated(config, "security.md", content=text))
    return files


def keys() -> str:
    """Return a section for each group of keys, for those of a run, and for those of other commands alone."""
    sections: dict[str, list[str]] = {RUN: [], **{f"`{group}`": [] for group in GROUPS}}
    for key in KEYS:
        sections.setdefault(section_of(key), []).append(key)
    return "\n\n".join(
        "\n\n".join(filter(None, [f"## {title}", choices(title.strip("`")), table(names)]))
        for title, names in sections.items()
    )


def section_of(key: str) -> str:
    """Return the title of the section that a key belongs to: its group, the run, or another command."""
    home = home_of(key)
    if home in GROUPS:
        return f"`{home}`"
    return f"Of `cnntrain {home}`" if home in COMMANDS and home != "train" else RUN


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
    values = {key: value for name in COMMANDS for key, value in own_values(name).items()} | defaults()
    lines = []
    for name in names:
        value, note = default_in_words(values[name]) if name in values else ("", "")
        meaning = "; ".join(filter(None, (KEYS[name].doc, note, choices_with(name))))
        default = f"`{value}`" if value else ""
        lines.append(f"| `{name}` | {default} | `{KEYS[name].short()}` | {cell(meaning)} |")
    head = ["| key | default | values | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *lines]) if lines else ""


def cell(text: str) -> str:
    """Return text as it stands in a cell of a table: no | outside code, and no HTML."""
    parts = " ".join(text.split()).split("`")
    return "`".join(
        part if number % 2 else part.replace("|", "\\|").replace("<", "&lt;")
        for number, part in enumerate(parts)
    )


def commands() -> str:
    """Return what ``--help`` prints of all commands and of each."""
    each = [f"## cnntrain {name}\n\n{block(help_of(name))}" for name in COMMANDS]
    return "\n\n".join([block(overview()), *each])


def block(text: str) -> str:
    """Return text as a block of code."""
    return f"```text\n{text}\n```"


GENERATED: dict[str, Callable[[], str]] = {"keys": keys, "commands": commands}
