"""The same command gives the same bits, whatever the workers, the cache, and where it was stopped."""

from __future__ import annotations

import signal

from torture_parts.harness import Case, Part
from torture_parts.kills import COMMON, CONFIGURATIONS, pause
from torture_parts.runs import finish, reference, same


def attempt(case: Case, number: int) -> None:
    """Train a configuration again, with other workers, another cache, or in pieces."""
    name = list(CONFIGURATIONS)[number % len(CONFIGURATIONS)]
    seed = number // (len(CONFIGURATIONS) * 6)
    arguments = (*COMMON, *CONFIGURATIONS[name], f"seed={seed}")
    untouched = reference(case.place, f"{name}-{seed}", *arguments)
    kind = number // len(CONFIGURATIONS) % 6
    if kind == 0:
        case.succeeds(case.command("train", *arguments, "out=run"))
    elif kind in (1, 2):
        workers = 2 if kind == 1 else case.random.choice((0, 1, 3))
        others = [one for one in arguments if not one.startswith("workers=")]
        case.succeeds(case.command("train", *others, f"workers={workers}", "out=run"))
    elif kind == 3:
        mode = case.random.choice(("data.cache=ram", "data.cache=disk", "data.cache=off"))
        own = {"CNNTRAIN_CACHE": str(case.folder / "cache")}
        case.succeeds(case.command("train", *arguments, mode, "out=run", env=own))
    else:
        in_pieces(case, arguments)
    same(case, untouched, "run")


def in_pieces(case: Case, arguments: tuple[str, ...]) -> None:
    """Train a run that is stopped by Ctrl-C and resumed, at up to four steps."""
    words = ("train", *arguments, "out=run")
    for _ in range(4):
        child = case.start(*words)
        while child.poll() is None and not (case.folder / "run/metrics.csv").exists():
            pause(0.003, child)
        pause(case.random.uniform(0, 0.1), child)
        child.send(signal.SIGINT)
        if case.finished(child, killed=True).code == 0:
            return
        if not (case.folder / "run/config.yaml").exists():
            break
        words = ("resume", "run")
    finish(case, "run", arguments)


SAME = Part("same", "the same bits again: twice, other workers and caches, in pieces", 84, 14, attempt)
