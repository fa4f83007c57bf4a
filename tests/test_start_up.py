"""A run imports what it uses, and no more."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from conftest import TINY

HEAVY = ("torch._dynamo", "torch._inductor", "torchvision", "sympy", "matplotlib")
SCRIPT = f"""
import sys
from cnntrain.cli import run
assert run(sys.argv[1:]) == 0
print("imported:", [name for name in {HEAVY} if name in sys.modules])
"""


@pytest.mark.parametrize("optim", ["sgd", "adam", "adamw", "rmsprop"])
def test_a_run_imports_neither_compiler_nor_torchvision_nor_what_it_does_not_draw_with(optim: str) -> None:
    command = [sys.executable, "-c", SCRIPT, "train", *TINY, f"optim={optim}", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert "imported: []" in done.stdout, done.stdout + done.stderr
