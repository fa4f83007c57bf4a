"""What a checkpoint of anybody's may name: whatever a run of cnntrain names, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cnntrain.config.conf_files import conf_folder
from cnntrain.config.instantiate import is_own_class

NOT_BUILT = ("launcher", "sweeper")  # of a sweep, never of a checkpoint


def targets_of(path: Path) -> list[str]:
    """The classes that a file of conf/ names; not the places that a user fills in, and not ``auto``."""
    found = re.findall(r"^\s*_target_: (\S+)", path.read_text(), re.MULTILINE)
    return [target for target in found if "." in target]


NAMED = sorted(
    {
        target
        for path in conf_folder().glob("*/*.yaml")
        if path.parent.name not in NOT_BUILT
        for target in targets_of(path)
    }
)


@pytest.mark.parametrize("target", NAMED)
def test_a_checkpoint_that_comes_from_elsewhere_may_name_each_class_of_conf(target: str) -> None:
    assert is_own_class(target), f"add {target.rpartition('.')[0]} to SAFE_MODULES"


@pytest.mark.parametrize("target", ["os.system", "cnntrain.cli.main.main", "torch.load", "numpy.save"])
def test_it_may_name_nothing_else(target: str) -> None:
    assert not is_own_class(target)
