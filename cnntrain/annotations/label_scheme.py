"""What the classes of mask files are: as the user, the folder's files or the values say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cnntrain.annotations.class_map import ClassMap
from cnntrain.annotations.mask_file import packed, unpacked
from cnntrain.annotations.mask_scan import MaskRecord
from cnntrain.annotations.readers.names import ClassNames
from cnntrain.annotations.regions import IGNORED
from cnntrain.annotations.table import BACKGROUND, Color
from cnntrain.text import printable

FOREGROUND = "foreground"
BINARY = {0, 255}
MANY = 64  # ids without names, above which they are shades of grey, as soft edges have
SHOWN = 12  # values or colours that a message lists
SOURCES = "classes.txt or data.yaml"


@dataclass(frozen=True)
class AnnotationOptions:
    """What the user says about the annotations; all have a default.

    Args:
        format: a format of :data:`cnntrain.annotations.table.FORMATS`, or ``auto``.
        ignore: the id of pixels in masks that have no class.
        label_map: the label of each id, as pairs; None: each id is its own label.
        colors: the colour of each class, by name, as pairs; None: as the folder's files say.
        targets: ``classes``, ``masks`` or ``boxes``; ``auto``: what the folder has.
        on_bad_box: ``stop`` at boxes that make no sense, or ``skip`` them.
    """

    format: str = "auto"
    ignore: int = IGNORED
    label_map: tuple[tuple[int, int], ...] | None = None
    colors: tuple[tuple[str, Color], ...] | None = None
    targets: str = "auto"
    on_bad_box: str = "stop"


@dataclass
class LabelScheme:
    """The classes of masks, and which values stand for them.

    Args:
        names: the names of the classes.
        classes: the labels of values.
        notes: what was concluded, in words.
        refusal: why that can't be concluded, and what would settle it; empty if it can.
    """

    names: list[str]
    classes: ClassMap
    notes: list[str] = field(default_factory=list)
    refusal: str = ""


def values_in(records: Sequence[MaskRecord]) -> tuple[Counter[int], Counter[int]]:
    """Return the pixels of each id, and of each packed colour that is not grey, in all masks.

    Greys count as ids: some programs save ids as red, green and blue alike.
    """
    ids: Counter[int] = Counter()
    colors: Counter[int] = Counter()
    for record in records:
        for value, _, number in record.values.tolist():
            red, green, blue = unpacked(value) if record.facts["are_colors"] else (value,) * 3
            if red == green == blue:
                ids[red] += number
            else:
                colors[value] += number
    return ids, colors


def infer_label_scheme(
    asked: AnnotationOptions, named: ClassNames, records: Sequence[MaskRecord]
) -> LabelScheme:
    """Return what the values of masks mean.

    Args:
        asked: the user's settings.
        named: what the folder's files say about the classes.
        records: the records of all masks that can be read.
    """
    if asked.colors is not None or (named.colors and asked.label_map is None):
        return of_colors(asked, named)
    ids, colors = values_in(records)
    if asked.label_map is not None:
        return of_label_map(dict(asked.label_map), named, asked.ignore)
    if colors and sum(colors.values()) > sum(ids.values()) - ids[0]:
        return LabelScheme([], ClassMap(0, asked.ignore), refusal=unknown_colors(colors + black(ids)))
    if named.ids is not None:
        text = f"{named.file} numbers the classes {printable(list(named.ids))}; all other ids are ignored"
        return LabelScheme(named.names, ClassMap(len(named.names), asked.ignore, named.ids), [text])
    used = set(ids) - ({asked.ignore} if set(ids) != BINARY else set())
    if set(ids) == BINARY and len(named.names) <= 2:
        return of_two(
            named.names, ClassMap(2, asked.ignore, {0: 0, 255: 1}), "masks hold 0 and 255, read as 0 and 1"
        )
    if len(named.names) == 1:
        note = f"{named.file} names one class, {named.names[0]}: it is 1, and 0 is the {BACKGROUND}"
        return of_two(named.names, ClassMap(2, asked.ignore), note)
    if named.names:
        return LabelScheme(named.names, ClassMap(len(named.names), asked.ignore))
    return of_ids(used, ids, asked.ignore)


def black(ids: Mapping[int, int]) -> Counter[int]:
    """Return the grey ids of coloured masks as packed colours."""
    return Counter({packed((value,) * 3): number for value, number in ids.items() if value < 256})


def of_colors(asked: AnnotationOptions, named: ClassNames) -> LabelScheme:
    """Return the label scheme of coloured masks."""
    if asked.colors is None:
        colors = {packed(color): label for color, label in named.colors.items()}
        return LabelScheme(named.names, ClassMap(len(named.names), asked.ignore, colors=colors))
    names = [name for name, _ in asked.colors]
    colors = {packed(color): label for label, (_, color) in enumerate(asked.colors)}
    return LabelScheme(names, ClassMap(len(names), asked.ignore, colors=colors))


def of_label_map(ids: Mapping[int, int], named: ClassNames, ignore: int) -> LabelScheme:
    """Return the label scheme of ids that the user maps to labels."""
    number = max(len(named.names), max(ids.values()) + 1)
    refusal = ""
    if named.names and number > len(named.names):
        refusal = f"data.label_map goes up to {number - 1}, and {named.file} names {len(named.names)} classes"
    return LabelScheme(named.names or numbers(number), ClassMap(number, ignore, ids), refusal=refusal)


def of_two(names: Sequence[str], classes: ClassMap, note: str) -> LabelScheme:
    """Return the label scheme of masks of a background and one class, perhaps named."""
    both = list(names) if len(names) == 2 else [BACKGROUND, *(names or [FOREGROUND])]
    return LabelScheme(both, classes, [note])


def of_ids(used: set[int], ids: Counter[int], ignore: int) -> LabelScheme:
    """Return the label scheme of ids that nothing names: each is its own label, if they look like that."""
    number = max(used, default=0) + 1
    refused = LabelScheme([], ClassMap(0, ignore))
    if len(used) < 2:
        only = f"only the value {min(used)}" if used else "no class"
        refused.refusal = f"masks hold {only}, and training takes two classes: {SOURCES} would name them"
    elif is_odd(used):
        # Shades of grey are soft edges, between the two values that most pixels have.
        common = [value for value, _ in ids.most_common(2)] if len(used) > MANY else [*used]
        mapped = ",".join(f"{value}:{label}" for label, value in enumerate(sorted(common)[:SHOWN]))
        more = ",..." if len(common) > SHOWN else ""
        rest = ", and the others are ignored" if len(used) > MANY else ""
        refused.refusal = (
            f"masks hold {len(ids):,} values, {shares(ids)}, which are not numbers of classes 0, 1, 2, ...: "
            f"data.label_map={{{mapped}{more}}} makes them classes{rest}; {SOURCES} would name them"
        )
    if refused.refusal:
        return refused
    absent = sorted(set(range(number)) - used)
    notes = [f"no mask holds {', '.join(map(str, absent[:SHOWN]))}"] if absent else []
    return LabelScheme(numbers(number), ClassMap(number, ignore), notes)


def is_odd(used: set[int]) -> bool:
    """Return whether ids do not look like numbers of classes: most are missing, or they are shades."""
    number = max(used) + 1
    return 2 * len(used) < number or len(used) > MANY or (len(used) == 2 and used != {0, 1})


def numbers(count: int) -> list[str]:
    """Return the numbers of classes as their names."""
    return [str(number) for number in range(count)]


def shares(values: Counter[int]) -> str:
    """Return the commonest values with their shares of all pixels: ``0 (91%), 38 (6%)``."""
    total = max(1, sum(values.values()))
    shown = [f"{value} ({number / total:.1%})" for value, number in values.most_common(SHOWN)]
    return ", ".join(shown) + (", ..." if len(values) > SHOWN else "")


def unknown_colors(colors: Counter[int]) -> str:
    """Return what to say about coloured masks whose colours nothing names."""
    total = max(1, sum(colors.values()))
    listed = [
        f"{list(unpacked(value))} ({number / total:.1%})" for value, number in colors.most_common(SHOWN)
    ]
    more = ", ..." if len(colors) > SHOWN else ""
    return (
        f"masks are coloured and nothing names their colours, {', '.join(listed)}{more}: "
        "data.colors={NAME:[R,G,B],...} does, or a file labelmap.txt with a line NAME:R,G,B:: for each class"
    )
