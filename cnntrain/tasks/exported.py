"""What a task says of an exported model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Exported:
    """What an exported model gives, for its README and its metadata.

    Args:
        output: the name of the output.
        meaning: its format, and what it is.
        head: what follows the network, such as ``the softmax``; empty for nothing.
        raw: what the network itself gives.
        script: a program that runs ``model.onnx`` on image files, to be copied beside it; None without one.
    """

    output: str = "outputs"
    meaning: str = "float32 (N, ...)"
    head: str = ""
    raw: str = "outputs"
    script: Path | None = None
