"""What a task says about an exported model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Exported:
    """What an exported model gives, for its README and its metadata.

    Args:
        output: the name of the output.
        meaning: its format, and what it is.
        head: what follows the network, such as ``the softmax``; empty for nothing.
        raw: what the network itself gives.
        script: a program that runs ``model.onnx`` on image files, to copy beside it; None without one.
        does: what the program does, and how it is called, for the README.
        metadata: what the program needs to know besides.
        one_at_a_time: whether the model takes one image at a time, since how much it finds is not known.
    """

    output: str = "outputs"
    scheme: str = "float32 (N, ...)"
    head: str = ""
    raw: str = "outputs"
    script: Path | None = None
    does: tuple[str, str] = ("", "")
    metadata: Mapping[str, str] = field(default_factory=dict)
    one_at_a_time: bool = False
