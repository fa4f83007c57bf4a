"""A run that is killed within an epoch and resumed ends with the same bits as one that is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from conftest import Command


def weights(run: str) -> dict[str, torch.Tensor]:
    """Return the model's state in the newest checkpoint of a run."""
    found: dict[str, torch.Tensor] = torch.load(f"{run}/checkpoints/last.pt", weights_only=True)["model"]
    return found


def check_killed(cnntrain: Command, *words: str) -> None:
    """Train ``whole``; resume ``killed``, its folder as a kill at step 3 leaves it; compare their weights.

    A kill changes no file, so the folder is copied the moment its first checkpoint is in place, which
    saves a process of its own. ``tests/training/test_resume.py`` kills real ones.
    """
    in_place = os.replace

    def copies(*paths: Path) -> None:
        in_place(*paths)
        if Path(paths[1]).name == "last.pt" and not Path("killed").exists():
            shutil.copytree("whole", "killed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", copies)
        assert cnntrain("train", *words, "save_every_steps=3", "out=whole").code == 0
    assert torch.load("killed/checkpoints/last.pt", weights_only=True)["progress"]["step"] == 3
    assert not Path("killed/summary.json").exists()
    outcome = cnntrain("resume", "killed")
    assert outcome.code == 0, outcome.err
    whole, found = weights("whole"), weights("killed")
    assert whole.keys() == found.keys()
    assert all(torch.equal(found[name], value) for name, value in whole.items())
