"""Checkpoints whose checksum is right and whose contents are not what ``train`` writes."""

from __future__ import annotations

import copy
import functools
import io
import math
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torture_parts.damage import READERS
from torture_parts.harness import MARKERS, Case, Part, Place
from torture_parts.runs import STEADY, TINY, copied, reference
from torture_parts.writes import beside

ESCAPES = "\x1b]0;owned\x07\x1b[2J\r\n\u202e=cmd|'/C calc'!A7"
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


def replace(state: Any, path: tuple[Any, ...], value: Any) -> None:
    """Put a value in the place of a leaf."""
    *before, last = path
    node = state
    for depth, key in enumerate(before):
        if isinstance(node[key], tuple):
            node[key] = list(node[key])
        node = node[key]
        del depth
    node[last] = value


def hostile(case: Case) -> list[tuple[str, Callable[[dict[str, Any]], Any]]]:
    """Return hostile checkpoints, by name; "code" and "no number" must be refused."""
    outside = str(case.place.folder / MARKERS / "outside")
    marker = str(case.place.folder / MARKERS / "called")
    groups = ("model", "optim", "schedule", "criterion", "augment", "launcher", "sweeper", "logger")
    found: list[tuple[str, Callable[[dict[str, Any]], Any]]] = []
    for number, node in enumerate(calls_of_code(marker)):
        group = groups[number % len(groups)]
        found.append((f"named {node['_target_']} as {group}", configured((group,), node)))
        found.append((f"named {node['_target_']} as model", configured(("model",), node)))
        found.append((f"named {node['_target_']} as source", configured(("data", "source"), node)))
    for key, value in {
        "logger": {"tensorboard": {"_target_": "cnntrain.loggers.TensorBoard", "folder": outside}},
        "out": outside,
        "name": "../../../outside",
        "init_from": "/dev/zero",
        "threads": 10**6,
        "workers": 10**5,
        "batch_size": 10**12,
        "eval_batch_size": 10**12,
        "epochs": 10**12,
        "device": "cuda:99",
    }.items():
        found.append((f"{key}={value!r}", configured((key,), value)))
    found += [
        ("interpolation", configured(("data", "root"), "${oc.env:HOME}")),
        ("nested interpolation", configured(("model", "activation"), "${oc.eval:1}")),
        (
            "class names with escapes",
            lambda state: {**state, "class_names": [ESCAPES + str(n) for n in range(10)]},
        ),
        ("class names of markup", lambda state: {**state, "class_names": [f"[/x]<b>{n}" for n in range(10)]}),
        ("too few class names", lambda state: {**state, "class_names": ["a"]}),
        ("no number: weights", weights(lambda tensor: tensor * float("nan"))),
        (
            "no number: one weight",
            weights(
                lambda tensor: (
                    tensor.flatten().index_fill(0, tensor.new_zeros(1).long(), float("inf")).view_as(tensor)
                )
            ),
        ),
        ("weights of another shape", weights(lambda tensor: tensor[..., :1])),
        ("weights of whole numbers", weights(lambda tensor: tensor.long())),
        ("weights of complex numbers", weights(lambda tensor: tensor * (1 + 0j))),
        ("huge input", lambda state: {**state, "input_shape": [1, 10**6, 10**6]}),
        ("huge expanded weights", weights(lambda tensor: tensor.new_zeros(1).expand(10**10))),
        ("named by numbers", lambda state: {**state, "model": dict(enumerate(state["model"].values()))}),
        ("code: pickled", pickled(marker)),
        ("code: pickled in a zip archive", zipped(marker)),
        ("code: a zip bomb", bomb),
    ]
    return found


def calls_of_code(marker: str) -> list[dict[str, Any]]:
    """Return configurations of objects whose making would run code, or load what runs it."""
    return [
        {"_target_": "os.system", "command": f"touch {marker}"},
        {"_target_": "subprocess.Popen", "args": ["touch", marker]},
        {"_target_": "builtins.eval", "_args_": [f"open({marker!r}, 'w')"]},
        {"_target_": "builtins.exec", "_args_": [f"open({marker!r}, 'w')"]},
        {"_target_": "pathlib.Path.touch", "self": {"_target_": "pathlib.Path", "_args_": [marker]}},
        {"_target_": "torch.hub.load", "repo_or_dir": "x/y", "model": "z"},
        {"_target_": "torch.utils.collect_env.run", "command": f"touch {marker}"},
        {"_target_": "torch.load", "f": "evil.pt", "weights_only": False},
        {"_target_": "numpy.load", "file": "evil.npy", "allow_pickle": True},
        {"_target_": "evil.Payload"},
        {"_target_": "cnntrain.models.evil.Payload"},
        {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "evil.Payload"}]},
        {
            "_target_": "torch.nn.Sequential",
            "_args_": [{"_target_": "torchvision.models.resnet18", "weights": "DEFAULT"}],
        },
        {"_target_": "torchvision.models.resnet18", "_args_": [True]},
        {"_target_": "torchvision.models.resnet18", "weights": "DEFAULT"},
        {"_target_": "torchvision.models.get_model", "name": "resnet18", "weights": "DEFAULT"},
        {"_target_": "hydra.utils.call", "_args_": ["os.system"]},
    ]


def configured(path: tuple[str, ...], value: Any) -> Callable[[dict[str, Any]], Any]:
    """Return what sets a value of the configuration."""

    def change(state: dict[str, Any]) -> dict[str, Any]:
        replace(state["config"], path, value)
        return state

    return change


def weights(change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], Any]:
    """Return what changes each of a checkpoint's weights."""
    return lambda state: {**state, "model": {name: change(tensor) for name, tensor in state["model"].items()}}


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        """Name what unpickling calls."""
        return os.open, (self.marker, os.O_CREAT | os.O_WRONLY)


def pickled(marker: str) -> Callable[[dict[str, Any]], bytes]:
    """Return a plain pickle that runs code."""
    return lambda state: pickle.dumps({"config": Touch(marker)})


def zipped(marker: str) -> Callable[[dict[str, Any]], Any]:
    """Return a whole checkpoint, with its checksum, one part of which runs code when it is unpickled."""
    return lambda state: {**state, "progress": {**state["progress"], "best": Touch(marker)}}


def bomb(state: dict[str, Any]) -> bytes:
    """Return an archive whose record of the format is as long as nobody has memory for."""
    import zlib

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("archive/cnntrain_format", "w", force_zip64=True) as record:
            for _ in range(400):
                record.write(bytes(2**23))  # 3.4 GB in all
        archive.comment = b"crc32 00000000"
    data = bytearray(buffer.getvalue())
    data[-8:] = f"{zlib.crc32(data[:-8]):08x}".encode()
    return bytes(data)


def prepare(place: Place) -> None:
    """Make the runs that are changed."""
    reference(place, "hostile", *SOURCE)
    reference(place, "untouched", *TINY)


HOSTILE = Part(
    "hostile", "checkpoints with odd values at each leaf, code, paths, NaN", 2800, 24, attempt, prepare
)
