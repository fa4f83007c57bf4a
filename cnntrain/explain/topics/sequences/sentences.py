"""What the topics on sequences conclude: which sentence goes with which measured values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cnntrain.explain.sentences import CLEAR
from cnntrain.language.translation import later, tr

VANISHED = 0.01  # share of the last step's gradient below which the first step's has vanished
SURE = 0.9  # probability from which a network is sure
NEAR = 0.7  # share of the mean distance below which a head looks near
# The parts that sequences consist of, and one of them.
PARTS = {
    later("rows"): later("row"),
    later("columns"): later("column"),
    later("patches"): later("patch"),
    later("pixels"): later("pixel"),
    later("steps"): later("step"),
    later("tokens"): later("token"),
}


def parts(plural: str) -> str:
    """Return what the parts of a sequence are called, which a reader names in English: ``rows``."""
    return tr(plural)


def one_of(plural: str) -> str:
    """Return what one of them is called: ``row``."""
    return tr(PARTS[plural]) if plural in PARTS else plural.removesuffix("s")


def factor_of(values: Sequence[float]) -> float | None:
    """Return the factor of a gradient for a step back, the geometric mean; None if that is unknown.

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
        return tr("{text} To the end, it is never {sure:.0%} sure.", text=text, sure=SURE)
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
        distances: for each head, the mean distance to what it looks at.
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
