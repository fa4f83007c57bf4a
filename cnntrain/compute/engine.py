"""How a model computes on this machine: numeric precision, memory format and threads."""

from __future__ import annotations

import functools
import platform
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from cnntrain.runtime.console import count
from cnntrain.runtime.hardware import cores

ALL_THREADS = torch.get_num_threads()


@dataclass(frozen=True)
class Engine:
    """How the model computes.

    Args:
        precision: ``fp32``, ``bf16`` or ``fp16``.
        channels_last: whether images lie in memory as (N, H, W, C), which vector instructions like.
        threads: the number of CPU threads.
    """

    precision: str
    channels_last: bool
    threads: int

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout of images and filters in memory."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def prepare(self, model: nn.Module) -> None:
        """Bring the weights into the layout, and use that many threads from now on."""
        torch.set_num_threads(self.threads)
        if self.channels_last:
            model.to(memory_format=torch.channels_last)

    def __str__(self) -> str:
        """Return the engine in words."""
        layout = ", channels last" if self.channels_last else ""
        return f"{self.precision}{layout}, {count(self.threads, 'thread')}"


@functools.cache
def machine() -> str:
    """Return the processor: its name, the cores that this process may use, whether it computes in bf16."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = (line.partition(":") for line in info.read_text().splitlines())
        name = next((value.strip() for field, _, value in lines if field.strip() == "model name"), name)
    bf16 = "with" if has_bf16_instructions() else "without"
    return f"{name}, {count(cores(), 'core')}, {bf16} bf16 instructions"


def computes_bf16(device: torch.device) -> bool:
    """Return whether a device computes in bf16 rather than imitating it, which is slow."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and has_bf16_instructions()


def has_bf16_instructions() -> bool:
    """Return whether the processor multiplies bf16: AVX512_BF16 or AMX of x86, BF16 of Arm."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return False
    flags = set(info.read_text().replace("\n", " ").split(" "))
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})
