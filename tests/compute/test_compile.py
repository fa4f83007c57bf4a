"""torch.compile, where a C++ compiler is there and where none is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from conftest import TINY, Command, is_told

pytestmark = pytest.mark.slow  # to import the compiler alone takes seconds

RUN = ("train", *TINY, "precision=fp32", "threads=1")


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_a_compiled_run_ends_with_weights_that_any_run_can_load(cnntrain: Command) -> None:
    outcome = cnntrain(*RUN, "compile=true", "out=compiled")
    assert outcome.code == 0, outcome.err
    assert "fp32, 1 thread, compiled" in outcome.out
    cnntrain(*RUN, "out=plain")
    one, other = (
        torch.load(Path(run) / "checkpoints" / "last.pt", weights_only=True)["model"]
        for run in ("compiled", "plain")
    )
    assert all(torch.allclose(one[name], other[name], atol=1e-4) for name in other)


def test_a_missing_compiler_is_told(
    cnntrain: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (None, "/nonexistent"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()
    another = ("model.hidden=[7]", "compile=true")  # so that nothing is there already
    is_told(cnntrain(*RUN, *another), "compile=true: torch.compile fails here", "compile=false")
