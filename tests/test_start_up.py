"""A run imports what it uses, and no more."""

from __future__ import annotations

import os
import subprocess
import sys

from conftest import TINY

HEAVY = ("torch._dynamo", "torch._inductor", "torchvision", "sympy", "matplotlib")
# What reads folders, of which there is none in training: 80 modules, and Pillow.
OF_FOLDERS = (
    "PIL",
    "cnntrain.data.sources.folder",
    "cnntrain.image_folder.opening",
    "cnntrain.annotations.facts",
)
SCRIPT = f"""
import contextlib, os, sys
from cnntrain.cli.main import run
training = [["train", *sys.argv[1:], f"optim={{optim}}"] for optim in ("sgd", "adam", "adamw", "rmsprop")]
showing = [["summary", "model=mlp"], ["summary", "model=cnn"], ["explain", "model=cnn"]]
with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
    for words in training + showing:
        assert run(words) == 0
        heavy = {HEAVY} + ({OF_FOLDERS} if words[0] == "train" else ())
        print(words[0], [name for name in heavy if name in sys.modules], file=sys.stderr)
"""


def test_what_trains_or_shows_a_small_network_imports_no_more_than_it_uses() -> None:
    command = [sys.executable, "-c", SCRIPT, *TINY, "-q"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    expected = ["train"] * 4 + ["summary", "summary", "explain"]
    assert done.stderr.splitlines() == [f"{word} []" for word in expected]


HELPING = """
import contextlib, os, sys
from cnntrain.cli.main import run
with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
    for words in (["--help"], ["train", "--help"], ["predict", "--help"], ["explain", "--help"]):
        assert run(words) == 0
        slow = [name for name in ("torch", "numpy", "hydra", "PIL") if name in sys.modules]
        print(words[0], slow, file=sys.stderr)
"""


def test_help_imports_no_library_that_is_slow_to_import() -> None:
    done = subprocess.run([sys.executable, "-c", HELPING], capture_output=True, text=True)
    assert done.stderr.splitlines() == [f"{word} []" for word in ("--help", "train", "predict", "explain")]
