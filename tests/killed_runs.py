"""A run that is killed within an epoch and resumed ends with the same bits as one that is not."""

from __future__ import annotations

from pathlib import Path

import torch
from conftest import Command
from forks import Forked


def weights(run: str) -> dict[str, torch.Tensor]:
    """Return the model's state in the newest checkpoint of a run."""
    found: dict[str, torch.Tensor] = torch.load(f"{run}/checkpoints/last.pt", weights_only=True)["model"]
    return found


def check_killed(cnntrain: Command, *words: str) -> None:
    """Train ``whole``; kill ``killed`` after its first checkpoint and resume it; compare their weights."""
    assert cnntrain("train", *words, "out=whole").code == 0
    killed = Forked("train", *words, "save_every_steps=3", "out=killed")
    while not Path("killed/checkpoints/last.pt").exists():
        assert killed.poll() is None, killed.communicate()
    killed.kill()
    killed.wait()
    assert not Path("killed/summary.json").exists(), "the run ended before it was killed"
    outcome = cnntrain("resume", "killed")
    assert outcome.code == 0, outcome.err
    whole, found = weights("whole"), weights("killed")
    assert whole.keys() == found.keys()
    assert all(torch.equal(found[name], value) for name, value in whole.items())
