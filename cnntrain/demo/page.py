"""The page: one file with the network, what runs it, and some images, or the same as a server gives it."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnntrain import __version__
from cnntrain.demo.graph import Graph
from cnntrain.demo.texts import said
from cnntrain.runs.web_page import web_page

TEMPLATE = Path(__file__).with_name("demo.html")  # with demo.css and the scripts beside it
RUNTIME = Path(__file__).with_name("onnxruntime_web")
RUNTIME_VERSION = "1.30.0"
LARGEST = 100 * 10**6  # bytes of a network that is embedded; phones open pages of that size, hardly larger


@dataclass(frozen=True)
class Demo:
    """What a page shows.

    Args:
        name: the name of the run.
        model: the network's name.
        task: what it learns: ``classes``, ``masks`` or ``boxes``.
        class_names: the class names of the data.
        colors: the colors of the classes in masks and of boxes, as CSS has them; None where there are none.
        shape: channels, height and width of an image.
        resize: how other images are scaled: ``crop``, ``pad`` or ``squash``.
        resize_size: to which height and width, before the middle is taken.
        box: the side of the box that a drawing is scaled to, if it is centred by its mass; None: it is not.
        images: those to choose from, uint8 (N, C, H, W).
        labels: the names of what is on them.
    """

    name: str
    model: str
    task: str
    class_names: Sequence[str]
    colors: Sequence[str] | None
    shape: tuple[int, int, int]
    resize: str
    resize_size: tuple[int, int]
    box: int | None
    images: Tensor
    labels: Sequence[str]


def assets(graph: Graph) -> dict[str, bytes]:
    """Return the large parts of a page by their names, each compressed by gzip."""
    return {
        "runtime": gzip.compress((RUNTIME / "ort.wasm.bundle.min.mjs").read_bytes(), mtime=0),
        "wasm": (RUNTIME / "ort-wasm-simd-threaded.wasm.gz").read_bytes(),
        "model": gzip.compress(graph.model, 6, mtime=0),
    }


def page(demo: Demo, graph: Graph, embedded: Mapping[str, bytes]) -> str:
    """Return the page.

    Args:
        demo: what it shows.
        graph: the network.
        embedded: the parts of :func:`assets` that are in the page itself; the server has the others.
    """
    known = {name: value for name, value in asdict(demo).items() if name not in ("images", "name", "model")}
    texts = said()
    data = {
        **known,
        "texts": texts,
        "output": graph.output,
        "taps": [asdict(tap) for tap in graph.taps],
        "images": in_base64(demo.images.to(torch.uint8).numpy().tobytes()),
    }
    values: dict[str, Any] = {
        "texts": texts,
        "run": demo.name,
        "colours": demo.shape[0] > 1,
        "overlays": demo.task != "classes",
        "proportion": demo.shape[2] / demo.shape[1],
        "about": texts["about"].format(model=demo.model, version=__version__, runtime=RUNTIME_VERSION),
        "assets": {name: in_base64(part) for name, part in embedded.items()},
        "answer": texts[{"classes": "probabilities"}.get(demo.task, demo.task)],
    }
    return web_page(TEMPLATE, f"{demo.name} · demo", data, **values)


def in_base64(data: bytes) -> str:
    """Return bytes as base64, which no page has to escape."""
    return base64.b64encode(data).decode()
