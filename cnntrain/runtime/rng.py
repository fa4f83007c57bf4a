"""Randomness that can be repeated: seeds derived from what they are for, and the generators' states."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np
import torch


def seed_for(seed: int, purpose: str, *position: int) -> int:
    """Return a seed of 63 bits for one purpose at one position, such as ``("order", epoch)``.

    Hashing makes the streams independent of each other, which ``seed + epoch`` would not.
    """
    text = repr((seed, purpose, position)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def seed_everything(seed: int) -> None:
    """Seed the generators from which initial weights and dropout are drawn."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # the users' own modules may draw from it
    torch.manual_seed(seed)


def seed_apart(seed: int, rank: int) -> None:
    """Seed each process of a run differently, once all processes have drawn the same weights."""
    if rank:
        torch.manual_seed(seed_for(seed, "rank", rank))


def random_state_of(rank: int, states: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the state of a process of a run that is resumed; its present one if there were fewer before."""
    return states[rank] if rank < len(states) else random_state()


def random_state() -> dict[str, Any]:
    """Return the state of every global generator as tensors and plain types."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        # As plain types, since numpy's own would not load with weights_only=True.
        "numpy": (str(name), keys.tolist(), int(position), int(has_gauss), float(gauss)),  # type: ignore[union-attr]
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Restore the state of every global generator that :func:`random_state` returned."""
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    if "cuda" in state and torch.cuda.is_available():
        for device, cuda_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(cuda_state, device)
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
