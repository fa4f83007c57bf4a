"""One page of HTML: images of each class, those stored more than once, and what else was found."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from cnntrain.data.audit.findings_text import LINE, NAME
from cnntrain.image_folder.decode import Decoding, Unreadable, open_upright
from cnntrain.image_folder.findings import FINDINGS, heading
from cnntrain.image_folder.inventory import Census
from cnntrain.runtime.console import count
from cnntrain.text import printable

OF_A_CLASS = 22  # images, two rows on a wide screen
GROUPS = 20  # of copies
LISTED = 200  # names
SIDE = 96  # of an image on the page, in pixels
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#222}
h1,h2,dd,li,summary{overflow-wrap:anywhere}h1{font-size:1.4rem}
h2{font-size:1.05rem;margin:1.6rem 0 .4rem}h2 small{font-weight:400;color:#666}
.row{display:flex;flex-wrap:wrap;gap:6px}figure{margin:0}figcaption{font-size:11px;color:#666;width:96px;
overflow-wrap:anywhere;line-height:1.25}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.1rem 1rem;margin:0}
dt{color:#666}dd{margin:0}
code{overflow-wrap:anywhere}
img{width:96px;height:96px;object-fit:contain;background:#eee;display:block;image-rendering:auto}
@media(max-width:40rem){body{margin:.6rem auto}dl{grid-template-columns:minmax(0,1fr)}dd{margin:0 0 .4rem}}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}img{background:#2a2a2a}
dt,h2 small,figcaption{color:#999}}
"""
GROUPED = ("leaks", "across_classes", "copies", "near_copies")  # findings that are groups of images
FOLDED = 10  # names of a list, from which on it is folded


def page(root: str, census: Census, audit: Mapping[str, Any], facts: Mapping[str, str]) -> str:
    """Return the page, which refers to no other file.

    Args:
        root: the folder, as typed.
        census: its images.
        audit: what was found, as plain types.
        facts: about all images together.
    """
    tree, labels = census.tree, np.array(census.tree.labels)
    told = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(fact)}</dd>" for name, fact in facts.items()
    )
    command = f"<dt>to train</dt><dd><code>{safe(audit['command'], 4000)}</code></dd>"
    if not audit["command"]:
        command = f"<dt>train refuses this folder</dt><dd>{safe(audit['refusal'])}</dd>"
    parts = [f"<h1>{safe(root)}</h1><dl>{told}{command}</dl>"]
    for label, name in enumerate(tree.classes):
        members = np.flatnonzero((labels == label) & census.readable)
        some = members[np.unique(np.linspace(0, len(members) - 1, OF_A_CLASS).astype(int))]
        split = ", ".join(f"{of:,} {part}" for part, of in audit["counts"][name].items() if of)
        only = f"; {len(some)} of them are shown" if len(some) < len(members) else ""
        title = f"{safe(name)} <small>{count(len(members), 'image')}: {split}{only}</small>"
        parts.append(section(census, title, (tree.files[index] for index in some), named=False))
    for kind in FINDINGS:
        if kind in GROUPED:
            groups = audit.get(kind, ())
            for number, names in enumerate(groups[:GROUPS], 1):
                which = f"{safe(FINDINGS[kind][1])} <small>{number} of {len(groups):,}</small>"
                parts.append(section(census, which, names, named=True))
        elif audit.get(kind):
            parts.append(list_of(kind, audit[kind]))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{safe(root)}</title>'
        f"<style>{STYLE}</style>{''.join(parts)}</html>"
    )


def safe(text: str, longest: int = NAME) -> str:
    """Return text of unknown origin for HTML: printable, escaped, and cut to a length."""
    return html.escape(printable(text, longest), quote=True)


def list_of(kind: str, items: Sequence[str]) -> str:
    """Return a heading and a list of names, folded if it is long."""
    lines = "".join(f"<li>{safe(line)}</li>" for line in items[:LISTED])
    more = (
        f"<p>and {len(items) - LISTED:,} more: --json FILE lists them all</p>" if len(items) > LISTED else ""
    )
    title = f"<h2>{safe(heading(kind, items), LINE)}</h2>"
    if len(items) <= FOLDED:
        return f"{title}<ul>{lines}</ul>"
    return f"{title}<details><summary>names</summary><ul>{lines}</ul>{more}</details>"


def section(census: Census, heading: str, files: Iterable[str], named: bool) -> str:
    """Return a heading and a row of images, with their names if they matter."""
    figures = []
    for name in files:
        text = safe(name)
        caption = f"<figcaption>{text}</figcaption>" if named else ""
        figures.append(
            f'<figure><img src="{thumbnail(census, name)}" alt="{text}" title="{text}">{caption}</figure>'
        )
    return f'<h2>{heading}</h2><div class="row">{"".join(figures)}</div>'


def thumbnail(census: Census, name: str) -> str:
    """Return an image as a data address; of a file that has gone since, an empty one."""
    try:
        image = open_upright(census.tree.root / name, Decoding(census.max_megapixels), SIDE).image
    except Unreadable:
        return "data:,"
    image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, "PNG" if max(image.size) <= 32 else "JPEG", quality=80)
    kind = "png" if max(image.size) <= 32 else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
