"""What of a folder of images is not trained on, in words: nothing is left out in silence."""

from __future__ import annotations

from collections import Counter

from cnntrain.console import count
from cnntrain.data.tree import PARTS, Tree, is_image
from cnntrain.text import printable, some

KINDS = 8  # extensions that are named


def left_out(tree: Tree) -> list[str]:
    """Return what of a folder is not trained on and might have been meant to be, a sentence for each kind."""
    lines = [
        (tree.found.denied, "{} may not be read", "folder"),
        (tree.empty, "{} without readable images, so no class", "folder"),
        (tree.unused, "{} beside train/ not used: known names are " + ", ".join(PARTS), "folder"),
        (tree.found.runs, "{} written by cnntrain, so no class and no images to train on", "folder"),
        (tree.found.loops, "{} left out: a link to a folder that is looked into already", "folder"),
        (tree.found.special, "{} left out: no regular file, but a pipe, a socket or a device", "file"),
    ]
    told = [f"{line.format(count(len(names), noun))}: {some(names)}" for names, line, noun in lines if names]
    if tree.others:
        loose = [name for name in tree.others if is_image(name)]
        kinds = Counter(kind_of_file(name) for name in tree.others if not is_image(name))
        if kinds:
            kinds_in_words = ", ".join(f"{kind} ({n:,})" for kind, n in kinds.most_common(KINDS))
            told.append(f"{count(kinds.total(), 'file')} skipped: not an image extension: {kinds_in_words}")
        if loose:
            told.append(f"{count(len(loose), 'image')} in no class folder, so not used: {some(loose)}")
    return told


def kind_of_file(name: str) -> str:
    """Return the extension of a file, ``.heic``, printable; or what else to call its kind."""
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return printable(f".{suffix.lower()}", 20) if dot and stem else "without extension"
