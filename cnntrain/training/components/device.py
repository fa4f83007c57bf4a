"""The device that a run computes on, and how: the same bits each time, or compiled."""

from __future__ import annotations

import os
import warnings

import torch
from torch import nn

from cnntrain.errors import UserError, describe_error
from cnntrain.runtime.ranks import local_rank, world_size


def find_device(name: str) -> torch.device:
    """Return the device of a name; ``auto`` takes a CUDA GPU, else Apple's, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and device.index is None and world_size() > 1:
        device = torch.device("cuda", local_rank())  # each process has a GPU of its own
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(
            f"device={name}: torch {torch.__version__} finds no GPU here; device=auto uses what there is"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device={name}: {torch.cuda.device_count()} GPUs are here, numbered from cuda:0")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("device=mps: torch finds no Apple GPU here; device=auto uses what there is")
    return device


def use_deterministic_algorithms(wanted: bool) -> None:
    """Use only algorithms that give the same bits each time, or let torch choose the fastest."""
    if wanted:
        # cuBLAS repeats itself only with a workspace of fixed size (its documentation, Reproducibility).
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if wanted != torch.are_deterministic_algorithms_enabled():  # the call imports torch's compiler, for 2 s
        torch.use_deterministic_algorithms(wanted)
    torch.backends.cudnn.benchmark = not wanted


def compile_model(model: nn.Module, shape: tuple[int, int, int], device: torch.device) -> None:
    """Compile the model in place with torch.compile, as one piece of faster code.

    On a GPU a whole pass becomes one CUDA graph, which spares a small model the launch of each kernel.

    Raises:
        UserError: it can't, since a compiler is missing, say.
    """
    # fp32 stays fp32: `precision` chooses a faster format, and says so.
    warnings.filterwarnings("ignore", "TensorFloat32 tensor cores", UserWarning)
    model.compile(mode="reduce-overhead" if device.type == "cuda" else "default")
    model.eval()
    try:
        with torch.no_grad():
            model(torch.zeros(2, *shape, device=device))
    except Exception as error:  # whatever torch's compiler or the system's may raise
        raise UserError(
            f"compile=true: torch.compile fails here: {describe_error(error)}; use compile=false"
        ) from error
