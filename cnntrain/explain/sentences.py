"""Which sentence goes with which figures: what the topics conclude, from measured values alone."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from cnntrain.language.translation import later, tr
from cnntrain.text import points

CLEAR = 0.05  # smallest difference of two scores that a sentence is made of
VANISHED = 0.01  # share of the last step's gradient below which the first step's has vanished
SURE = 0.9  # probability from which a network is sure
# The parts that sequences consist of, and one of them.
PARTS = {
    later("rows"): later("row"),
    later("columns"): later("column"),
    later("patches"): later("patch"),
    later("pixels"): later("pixel"),
    later("steps"): later("step"),
    later("tokens"): later("token"),
}
NEAR = 0.7  # share of the mean distance below which a head looks near


def parts(plural: str) -> str:
    """Return what the parts of a sequence are called, which a reader names in English: ``rows``."""
    return tr(plural)


def one_of(plural: str) -> str:
    """Return what one of them is called: ``row``."""
    return tr(PARTS[plural]) if plural in PARTS else plural.removesuffix("s")


def on_order(kinds: Sequence[str]) -> str:
    """Return why max pooling stands before ReLU, where textbooks put it after; "" where it does not.

    Args:
        kinds: the classes of the layers, in order.
    """
    neighbours = set(itertools.pairwise(kinds))
    if ("MaxPool2d", "BatchNorm2d") in neighbours:
        return tr(
            "Pooling comes before batch norm and ReLU, which have a quarter to do then. Behind them it would "
            "not give quite the same: batch norm takes its means over what is pooled."
        )
    if ("MaxPool2d", "ReLU") not in neighbours:
        return ""
    return tr(
        "Pooling comes before ReLU, which has a quarter to do then. Conv, ReLU, Pool gives the same numbers: "
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
    """Return what the finest skip connection tells without all that comes from below; "" if that is unclear.

    Args:
        name: the name of the network with nothing else.
        whole: how well the network tells where something is, and what, from 0 to 1.
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


def factor_of(values: Sequence[float]) -> float | None:
    """Return by what a gradient is multiplied at a step back, the geometric mean; None if that is unknown.

    Args:
        values: its norm at each step, the first step first.
    """
    known = [(place, value) for place, value in enumerate(values) if value > 0]
    if len(known) < 2 or known[-1][0] < len(values) - 1:
        return None
    (first, low), (last, high) = known[0], known[-1]
    return float((low / high) ** (1 / (last - first)))


def on_vanishing(before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]]) -> str:
    """Return how much of the gradient reaches the first step, before and after training.

    Args:
        before: the norms of each network, the first step first.
        after: the same after training.
    """

    def share(values: Sequence[float]) -> str:
        return f"{values[0] / values[-1]:.0e}" if values[-1] > 0 else tr("nothing")

    text = tr("; ").join(
        tr("{name} {before} and {after}", name=name, before=share(v), after=share(after[name]))
        for name, v in before.items()
    )
    lost = [name for name, values in before.items() if values[0] < VANISHED * values[-1]]
    regained = [name for name in lost if after[name][0] >= VANISHED * after[name][-1]]
    end = ""
    if lost and len(regained) == len(lost):
        end = tr(" Training has opened the way back: here the gradient no longer vanishes.")
    elif lost:
        end = tr(
            " Where it stays so, the first steps teach nothing: read fewer steps, or use an LSTM or GRU."
        )
    return tr(
        "Of the norm at the last step, the first one has before and after training: {text}.{end}",
        text=text,
        end=end,
    )


def on_belief(
    of_step: str, steps: Sequence[int], answers: Sequence[int], shares: Sequence[float], names: Sequence[str]
) -> str:
    """Return when a network changed its mind, and from when on it was sure.

    Args:
        of_step: what a step is.
        steps: the numbers of steps read.
        answers: the class after each.
        shares: its probability.
        names: the names of the classes.
    """
    turns = [
        tr("{name} after {part} {step}", name=names[now], part=of_step, step=step)
        for step, now, before in zip(steps[1:], answers[1:], answers, strict=False)
        if now != before
    ]
    text = tr("It begins with {name}", name=names[answers[0]]) + (
        tr(", then {turns}.", turns=", ".join(turns)) if turns else tr(", and stays.")
    )
    since = len(steps)
    while since and answers[since - 1] == answers[-1] and shares[since - 1] >= SURE:
        since -= 1
    if since == len(steps):
        return tr("{text} It is never {sure:.0%} sure to the end.", text=text, sure=SURE)
    return tr(
        "{text} From {part} {step} on it is at least {sure:.0%} sure.",
        text=text,
        part=of_step,
        step=steps[since],
        sure=SURE,
    )


def on_attention(looked_at: Sequence[float], distances: Sequence[float], equal: float) -> str:
    """Return whether layers look at fewer parts, and whether heads look near or far.

    Args:
        looked_at: the effective number of parts, mean over the heads of each layer.
        distances: of each head, the mean distance to what it looks at.
        equal: the distance if all parts got the same.
    """
    near = sum(distance < NEAR * equal for distance in distances)
    text = tr(
        "{near} of {heads} heads look mostly near, at less than {share:.0%} of that distance.",
        near=near,
        heads=len(distances),
        share=NEAR,
    )
    first, last = looked_at[0], looked_at[-1]
    if last < (1 - CLEAR) * first:
        return tr(
            "{text} The last layer is choosier than the first: {last:.1f} in place of {first:.1f}.",
            text=text,
            last=last,
            first=first,
        )
    if first < (1 - CLEAR) * last:
        return tr(
            "{text} The first layer is choosier than the last: {first:.1f} in place of {last:.1f}.",
            text=text,
            first=first,
            last=last,
        )
    return text


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
        directions: of each convolution, how much the patches that excite it have one direction; any patch.
        selective: of each layer, the share of the images that excite a channel at least half as much as the
            best one.
        purities: of each layer, the class purity of the best images; empty where images have no class.
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
