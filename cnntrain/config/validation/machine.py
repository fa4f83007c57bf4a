"""Whether this machine has what a configuration asks for: threads, sockets, a device."""

from __future__ import annotations

import os
import sys
from typing import Any

from cnntrain.config.keys import KEYS
from cnntrain.config.mistakes.values import override_for
from cnntrain.errors import UserError
from cnntrain.runtime.hardware import cores
from cnntrain.runtime.ranks import Reporter
from cnntrain.text import printable

TEMPORARY = 75  # bytes: 107 of a socket's path less /pymp-12345678/listener-12345678


DEVICES = KEYS["device"].examples


def remark_on_threads(threads: Any) -> None:
    """Warn of more threads than cores, which wait for each other. ``auto`` chooses no such number."""
    if isinstance(threads, int) and threads > cores():
        Reporter.remark(
            f"warning: threads={threads} is slow: there are more threads than cores ({cores()}); "
            "threads=auto takes the fastest number"
        )


def check_sockets(workers: int) -> None:
    """Check, on Linux, that there is room for the sockets that workers send their batches through.

    Else torch would wait forever for a batch from a worker that has failed.
    """
    if not workers or sys.platform != "linux":
        return
    import tempfile

    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) > TEMPORARY:
        raise UserError(
            f"workers={workers} is not possible: the path of the temporary folder is too long for a socket "
            f"(more than {TEMPORARY} bytes): {printable(folder)}\nset TMPDIR=/tmp, or workers=0"
        )


def check_device(name: str) -> None:
    """Check, without torch, that a device exists. What only torch knows is checked again by cnntrain.run."""
    kind, colon, index = name.partition(":")
    if kind not in DEVICES or (colon and not (kind == "cuda" and index.isdecimal())):
        instead = override_for("device", name, DEVICES)
        near = f": did you mean {instead}?" if instead else ""
        raise UserError(f"device={name} is not possible{near}\ndevice takes auto, cpu, cuda, cuda:N or mps")
    if kind == "cuda" and not has_cuda_driver():
        raise UserError(f"device={name}: this machine has no CUDA driver; device=auto uses what there is")
    if kind == "mps" and sys.platform != "darwin":
        raise UserError("device=mps: only Apple's computers have it; device=auto uses what there is")


def has_cuda_driver() -> bool:
    """Return whether the library of NVIDIA's driver can be loaded."""
    import ctypes

    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
