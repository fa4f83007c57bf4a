"""Which sentence goes with which figures: what the topics conclude, from measured values alone."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from cnntrain.language.translation import tr
from cnntrain.text import points

CLEAR = 0.05  # smallest difference of two scores that a sentence is made of


def on_order(kinds: Sequence[str]) -> str:
    """Return why max pooling stands before ReLU, where textbooks put it after; "" where it does not.

    Args:
        kinds: the classes of the layers, in order.
    """
    neighbours = set(itertools.pairwise(kinds))
    if ("MaxPool2d", "BatchNorm2d") in neighbours:
        return tr(
            "Pooling comes before batch norm and ReLU, which then have a quarter of the work. After "
            "them it would not give quite the same: batch norm takes its means over what is "
            "pooled."
        )
    if ("MaxPool2d", "ReLU") not in neighbours:
        return ""
    return tr(
        "Pooling comes before ReLU, which then has a quarter of the work. Conv, ReLU, Pool gives the same "
        "numbers: "
        "cnntrain explain pooling"
    )


def on_skips(costs: Mapping[str, float]) -> str:
    """Return which skip connection matters most.

    Args:
        costs: what the mean IoU loses without each of them, by a name that begins with ``without``.
    """
    name, most = max(costs.items(), key=lambda item: item[1])
    if most < CLEAR:
        return tr("None of them costs much here: train longer, or look at a run by run=RUN.")
    others = [cost for other, cost in costs.items() if other != name]
    text = tr("The network {name} loses {points} of mIoU", name=name, points=points(most))
    more = (
        tr("; the others cost at most {points}", points=points(max(others)))
        if others and max(others) >= 0
        else ""
    )
    return f"{text}{more}."


def on_finest(name: str, whole: tuple[float, float], alone: tuple[float, float]) -> str:
    """Return what the finest skip connection contributes by itself; "" if that is unclear.

    Args:
        name: the name of the network with nothing else.
        whole: how well the network finds where something is, and what, from 0 to 1.
        alone: the same of the finest skip connection alone.
    """
    kept, lost = alone[0] > whole[0] / 2, alone[1] < whole[1] / 2
    if not (kept and lost):
        return ""
    return tr(
        " With {name} it still finds where something is ({where:.0%} in place of "
        "{whole_where:.0%}) but no longer what ({what:.0%} in place of "
        "{whole_what:.0%}): that comes from below.",
        name=name,
        where=alone[0],
        whole_where=whole[0],
        what=alone[1],
        whole_what=whole[1],
    )


def on_waiting(shares: Mapping[str, float]) -> str:
    """Return which pipeline keeps training waiting least, and what that is worth.

    Args:
        shares: the shares of the time that is waited, by the name of each pipeline; the one without workers
            comes first.
    """
    (first, most), *_ = shares.items()
    best, least = min(shares.items(), key=lambda item: item[1])
    if most - least < CLEAR:
        return tr("Here the steps wait about as long in all of them: the model is what takes the time.")
    text = tr(
        "The steps wait {most:.0%} of the time with {first}, and {least:.0%} with {best}.",
        first=first,
        most=most,
        best=best,
        least=least,
    )
    worse = [name for name, share in list(shares.items())[1:] if share > most]
    if not worse:
        return text
    return f"{text} " + tr(
        "{worse} waits even longer here: workers need cores of their own, and what they make is copied to "
        "this process.",
        worse=worse[-1],
    )


def on_hierarchy(
    directions: Mapping[str, tuple[float, float]], selective: Sequence[float], purities: Sequence[float]
) -> str:
    """Return what the layers of a network look for, as far as the figures show it.

    Args:
        directions: for each convolution, how much the patches that excite it have one direction; any patch.
        selective: for each layer, the share of the images that excite a channel at least half as much as the
            best one.
        purities: for each layer, the class purity of the best images; empty where images have no class.
    """
    sentences = []
    edges = next((name for name, (own, chance) in directions.items() if own >= chance + CLEAR), None)
    if edges is not None:
        own, chance = directions[edges]
        sentences.append(
            tr(
                "{layer} looks for edges: they have one direction, {own:.2f} in place of {chance:.2f} "
                "for any patch.",
                layer=edges,
                own=own,
                chance=chance,
            )
        )
    (first, _), *_, (last, _) = [*directions.values(), *directions.values()]
    if last <= first - CLEAR:
        sentences.append(
            tr(
                "Patches of deeper layers hold several directions, {last:.2f}: corners, bends and parts.",
                last=last,
            )
        )
    if selective[-1] <= selective[0] - CLEAR:
        sentences.append(
            tr(
                "The deeper a layer, the choosier it is: from {first:.0%} of the images to {last:.0%}.",
                first=selective[0],
                last=selective[-1],
            )
        )
    if purities and purities[-1] >= purities[0] + CLEAR:
        sentences.append(
            tr(
                "What excites the last layer is of one class, {last:.0%} in place of {first:.0%}: objects.",
                first=purities[0],
                last=purities[-1],
            )
        )
    return " ".join(sentences) or tr(
        "These layers hardly differ in that: train longer, or look at a run by run=RUN."
    )
