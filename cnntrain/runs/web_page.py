"""Pages that show runs: each is one file that needs no network and no server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cnntrain.language.translation import spoken

HERE = Path(__file__).parent


def web_page(
    template: Path, title: str, data: Any = None, body: str = "", style: str = "", **values: Any
) -> str:
    """Return a page that its template lays out, with the style and any script that lie beside it.

    Args:
        template: extends ``web_page.html``; text that it is given is escaped.
        title: the title of the window.
        data: what the script reads, as JSON.
        body: HTML for the template.
        style: CSS after that of the template.
        values: what else the template shows, by name.
    """
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    folders = FileSystemLoader([template.parent, HERE])
    environment = Environment(loader=folders, autoescape=True, trim_blocks=True)
    styles = [HERE / "web_page.css", template.with_suffix(".css")]
    script = template.with_suffix(".js")
    # So that nothing in the data can end the <script> that holds them.
    text = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    return environment.get_template(template.name).render(
        title=title,
        language=spoken.get(),
        body=Markup(body),
        style=Markup("\n".join([*map(read, styles), style]).rstrip()),
        script=Markup(read(script)) if script.exists() else "",
        data=Markup(text),
        **values,
    )


def read(path: Path) -> str:
    """Return the text of a file without the line end of its last line."""
    return path.read_text(encoding="utf-8").rstrip()
