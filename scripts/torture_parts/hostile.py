"""Checkpoints whose checksum is right and whose contents are not what ``train`` writes."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torture_parts.damage import READERS
from torture_parts.harness import MARKERS, Case, Part, Place
from torture_parts.hostile_states import ESCAPES, hostile, replace
from torture_parts.runs import STEADY, TINY, copied, reference
from torture_parts.writes import beside

SOURCE = (*STEADY, "report=false", "model=mlp", "model.hidden=[4]", "limit=64", "batch_size=16", "epochs=2")
EVIL = "import pathlib\npathlib.Path({marker!r}).write_text('imported')\n" + (
    "from torch import nn\nclass Payload(nn.Module):\n    def __init__(self, *a, **k):\n"
    "        super().__init__()\n        pathlib.Path({marker!r}).write_text('built')\n"
)


def itself() -> list[Any]:
    """Return a list that holds itself."""
    circle: list[Any] = []
    circle.append(circle)
    return circle


def deep() -> list[Any]:
    """Return lists within lists."""
    found: list[Any] = []
    for _ in range(150):
        found = [found]
    return found


ODD: tuple[Callable[[int], Any], ...] = (
    lambda n: -1 if n % 2 else 10**30,
    lambda n: float("inf"),
    lambda n: float("nan"),
    lambda n: "" if n % 3 else "???",
    lambda n: "x" * 100_000,
    lambda n: ESCAPES,
    lambda n: itself() if n % 2 else deep(),
    lambda n: (b"\x00\xff", 1 + 2j, {}, {1, 2}, None, [], "\ud800", True)[n % 8],
)


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every leaf, and of every inner node, of a checkpoint's state."""
    if path:
        yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, list | tuple) and path[-1] != "python" and len(node) <= 20:
        for index, value in enumerate(node):
            yield from leaves(value, (*path, index))


@functools.cache
def state_of(path: Path) -> dict[str, Any]:
    """Return what a checkpoint holds."""
    import torch

    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state


def choice(paths: Sequence[tuple[Any, ...]], number: int) -> tuple[tuple[Any, ...], int, int]:
    """Return which leaf a case replaces by which odd value, and by which variant of it.

    Successive cases go through all pairs of a leaf and a value, each once, and far apart.
    """
    step = number - number // 4  # among those that are no hostile ones
    pairs = len(paths) * len(ODD)
    stride = next(n for n in range(int(0.618 * pairs), 2 * pairs) if math.gcd(n, pairs) == 1)
    leaf, kind = divmod(step * stride % pairs, len(ODD))
    return paths[leaf], kind, leaf + step // pairs


def attempt(case: Case, number: int) -> None:
    """Replace one leaf by an odd value, or every fourth time try one of the hostile ones; then use it."""
    source = reference(case.place, "hostile", *SOURCE)
    copied(case, source)
    beside(case)
    state = copy.deepcopy(state_of(source / "checkpoints/last.pt"))
    (case.folder / "evil.py").write_text(EVIL.format(marker=str(case.place.folder / MARKERS / "evil")))
    if number % 4 == 3:
        kinds = hostile(case)
        name, change = kinds[number // 4 % len(kinds)]
        changed = change(state)
    else:
        where, kind, variant = choice(list(leaves(state)), number)
        value = ODD[kind](variant)
        replace(state, where, value)
        name, changed = f"{'.'.join(map(str, where))} = {kind}", state
    case.commands.append(f"# {name!a}")
    data = changed if isinstance(changed, bytes) else serialized(case, changed)
    for path in (case.folder / "run/checkpoints").glob("*.pt"):
        path.write_bytes(data)
    before = set(case.folder.rglob("*"))
    first = case.command("eval", "run")
    if name.startswith(("no number", "code")):
        case.ends_with(first, 2)
    case.command(*READERS[1 + number // 2 % (len(READERS) - 1)])
    new = set(case.folder.rglob("*")) - before
    strays = [
        str(path.relative_to(case.folder)) for path in new if not is_expected(path.relative_to(case.folder))
    ]
    case.must(not strays, f"written beside the run: {', '.join(strays)[:300]}")


def is_expected(path: Path) -> bool:
    """Return whether a command may have made a file, by its path in the folder of the case."""
    return (
        path.parts[0] in ("run", "tuned", "outputs", "other", "__pycache__", ".state")
        or path.suffix == ".tmp"
        or path.parts[0].startswith("torchinductor_")  # which torch makes when torchvision is imported
    )


def serialized(case: Case, state: Any) -> bytes:
    """Return the bytes of a checkpoint with the checksum that is right for them."""
    from cnntrain.runs import checkpoint

    try:
        return bytes(checkpoint.serialize(state))
    except Exception as error:  # what can't be pickled is no danger
        case.commands.append(f"# can't be written: {error!a}")
        return b""


def prepare(place: Place) -> None:
    """Make the runs that are changed."""
    reference(place, "hostile", *SOURCE)
    reference(place, "untouched", *TINY)


HOSTILE = Part(
    "hostile", "checkpoints with odd values at each leaf, code, paths, NaN", 2800, 24, attempt, prepare
)
