"""Checkpoints that name code, paths and sizes which must do no harm, each by a name."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from typing import Any

from torture_parts.harness import MARKERS, Case

ESCAPES = "\x1b]0;owned\x07\x1b[2J\r\n\u202e=cmd|'/C calc'!A7"


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
