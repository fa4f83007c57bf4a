"""Which sentence goes with which figures: what the topics conclude, from measured values alone."""

from __future__ import annotations

from collections.abc import Mapping

from cnntrain.text import points

CLEAR = 0.05  # smallest difference of two scores that a sentence is made of


def on_skips(costs: Mapping[str, float]) -> str:
    """Return which skip connection matters most.

    Args:
        costs: what the mean IoU loses without each of them, by a name that begins with ``without``.
    """
    name, most = max(costs.items(), key=lambda item: item[1])
    if most < CLEAR:
        return "None of them costs much here: train longer, or look at a run by run=RUN."
    others = [cost for other, cost in costs.items() if other != name]
    told = f"The network {name} loses {points(most)} of mIoU"
    more = f"; the others cost at most {points(max(others))}" if others and max(others) >= 0 else ""
    return f"{told}{more}."


def on_finest(name: str, whole: tuple[float, float], alone: tuple[float, float]) -> str:
    """Return what the finest skip connection tells without all that comes from below; "" if that is unclear.

    Args:
        name: of the network with nothing else.
        whole: how well the network tells where something is, and what, from 0 to 1.
        alone: the same of the finest skip connection alone.
    """
    kept, lost = alone[0] > whole[0] / 2, alone[1] < whole[1] / 2
    if not (kept and lost):
        return ""
    return (
        f" With {name} it still finds where something is ({alone[0]:.0%} in place of {whole[0]:.0%}) but no "
        f"longer what ({alone[1]:.0%} in place of {whole[1]:.0%}): that comes from below."
    )
