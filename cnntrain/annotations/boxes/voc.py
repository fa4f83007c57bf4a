"""Boxes in Pascal VOC's XML files: ``JPEGImages`` and ``Annotations``, or each file beside its image.

LabelImg, CVAT and Roboflow write such files, too. Source: host.robots.ox.ac.uk/pascal/VOC/voc2012,
"Development Kit".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from cnntrain.annotations.readers import voc
from cnntrain.annotations.readers.names import class_names
from cnntrain.annotations.readers.pairs import IMAGES, Pair, beside, join, pairs
from cnntrain.annotations.table import Entry, Table
from cnntrain.image_folder.listing import LONGEST_NAME
from cnntrain.image_folder.opening import UnreadableImage, reason
from cnntrain.runtime.regular_files import open_regular
from cnntrain.text import printable

ANNOTATIONS = ("annotations", "xmls", "xml")
LISTS = "ImageSets/Main"
LARGEST = 2**26  # bytes of a file
EDGES = ("xmin", "ymin", "xmax", "ymax")


def is_annotation(name: str) -> bool:
    """Return whether a file may describe an image."""
    return name.lower().endswith(".xml")


def pairs_of(root: Path) -> list[Pair]:
    """Return the folders of images with those of their annotations; the same one if they lie together."""
    found = pairs(root, ANNOTATIONS, is_annotation, (voc.IMAGES.lower(), *IMAGES))
    return found or beside(root, is_annotation)


def read(root: Path) -> Table:
    """Return the table of a folder with VOC's XML files.

    Raises:
        UserError: a list of ``ImageSets/Main`` or a file of class names can't be read.
    """
    table = Table(root, "voc")
    for pair in pairs_of(root):
        table.orphan_images += join(table, pair, is_annotation)
    voc.follow_lists(table, LISTS, "an annotation")
    named = {entry.image: dict(objects_in(table, entry)) for entry in table.entries}
    table.names = names_of(table, named)
    label, first = {name: number for number, name in enumerate(table.names)}, int(is_of_voc(root))
    for entry in table.entries:
        boxes, places = [], []
        for place, (name, box, is_ignored) in named[entry.image].items():
            if name not in label:
                table.faults.append(f"{place}: class {name} is outside the {len(label)} classes")
                table.unknown.append(table.faults[-1])
                continue
            left, top, right, bottom = box
            # VOC's own files count pixels from 1 and include the last one; others state edges from 0.
            boxes.append((left - first, top - first, right, bottom, label[name], is_ignored))
            places.append(place)
        entry.boxes, entry.places = np.array(boxes, dtype=np.float64).reshape(-1, 6), places
    if first:
        table.notes.append("coordinates count from 1, as VOC's own do")
    return table


def is_of_voc(root: Path) -> bool:
    """Return whether a folder is one of Pascal VOC's own, by its name."""
    return bool(voc.own_names(root))


def names_of(table: Table, named: dict[str, dict[str, Object]]) -> list[str]:
    """Return the classes: those that a file names, VOC's own, or all that occur, in the alphabet's order."""
    listed = class_names(table.root)
    names = listed.names or voc.own_names(table.root)
    if names:
        return names[1:] if names == voc.NAMES else names
    return sorted({name for objects in named.values() for name, _, _ in objects.values()})


Object = tuple[str, tuple[float, ...], bool]  # its class, its edges, and whether it is ignored


def objects_in(table: Table, entry: Entry) -> Iterator[tuple[str, Object]]:
    """Yield the objects of an image, each with its place; set the size that the annotation states.

    What is wrong with single objects is noted in the table.
    """
    try:
        tree = tree_of(table.root / entry.mask)
    except UnreadableImage as error:
        entry.broken = str(error)
        return
    sides = [tree.findtext(f"size/{name}", "") for name in ("width", "height")]
    if all(side.strip().isdigit() and int(side) > 0 for side in sides):
        entry.size = int(sides[0]), int(sides[1])
    for number, node in enumerate(tree.iterfind("object"), 1):
        place = f"{entry.mask}, object {number}"
        name = printable(node.findtext("name", "").strip(), LONGEST_NAME)
        edges = [node.findtext(f"bndbox/{edge}", "").strip() for edge in EDGES]
        try:
            box = tuple(map(float, edges))
        except ValueError:
            box = ()
        if not name or not box or not np.isfinite(box).all():
            what = "no name" if not name else f"no box: {', '.join(map(printable, edges))}"
            table.faults.append(f"{place}: {what}")
            continue
        yield place, (name, box, node.findtext("difficult", "0").strip() == "1")


def tree_of(path: Path) -> ElementTree.Element:
    """Return the content of an XML file.

    Raises:
        UnreadableImage: it can't be read, is not XML, or declares entities, which may expand without bound.
    """
    try:
        with open_regular(path) as file:
            content = file.read(LARGEST)
        if b"<!ENTITY" in content:
            raise UnreadableImage("it declares entities")
        return ElementTree.fromstring(content)
    except OSError as error:
        raise UnreadableImage(reason(error)) from error
    except (ElementTree.ParseError, ValueError) as error:
        raise UnreadableImage(f"not XML: {printable(error, 100)}") from error
