"""Several commands at once, which want the same folder, the same cache, or the same run."""

from __future__ import annotations

import signal

from torture_parts.harness import Case, Part
from torture_parts.kills import pause
from torture_parts.runs import TINY, copied, reference, same

LONGER = (*TINY, "epochs=6", "augment=digits", "save_every_steps=3")
IN_USE = b"in use by another process"


def attempt(case: Case, number: int) -> None:
    """Try one of the kinds, by turns."""
    (two_trains, resumes, cold_caches, readers)[number % 4](case)


def two_trains(case: Case) -> None:
    """Train into one folder with two or three processes: one does, the others say that they can't."""
    untouched = reference(case.place, "longer", *LONGER)
    children = []
    for _ in range(case.random.choice((2, 2, 3))):
        children.append(case.start("train", *LONGER, "out=run"))
        pause(case.random.choice((0, 0, 0.01, 0.05, 0.2)), children[-1])
    codes = [case.finished(child).code for child in children]
    case.must(sorted(codes) == [0] + [2] * (len(codes) - 1), f"exit codes {codes}: one 0 and else 2 expected")
    same(case, untouched, "run")


def resumes(case: Case) -> None:
    """Resume one run with three processes."""
    untouched = reference(case.place, "longer", *LONGER)
    child = case.start("train", *LONGER, "out=run")
    while not (case.folder / "run/checkpoints/last.pt").exists() and child.poll() is None:
        pause(0.005, child)
    child.send(signal.SIGKILL)
    case.finished(child, killed=True)
    children = [case.start("resume", "run") for _ in range(3)]
    codes = [case.finished(child).code for child in children]
    case.must(0 in codes and set(codes) <= {0, 2}, f"exit codes {codes}")
    same(case, untouched, "run")


def cold_caches(case: Case) -> None:
    """Start six runs at once that have an empty cache in common."""
    untouched = reference(case.place, "longer", *LONGER)
    cache = str(case.folder / "cache")
    mode = case.random.choice(("auto", "ram", "disk"))
    children = [
        case.start("train", *LONGER, f"data.cache={mode}", f"out=run{number}", env={"CNNTRAIN_CACHE": cache})
        for number in range(case.random.choice((3, 6)))
    ]
    for number, child in enumerate(children):
        case.succeeds(case.finished(child))
        same(case, untouched, f"run{number}")
    case.succeeds(
        case.command("train", *LONGER, f"data.cache={mode}", "out=warm", env={"CNNTRAIN_CACHE": cache})
    )
    same(case, untouched, "warm")


def readers(case: Case) -> None:
    """Look at a run with other commands while it goes on, and at one that is moved away."""
    untouched = reference(case.place, "longer", *LONGER)
    copied(case, untouched, "finished")
    running = case.start("train", *LONGER, "out=run")
    looking = [
        ("eval", "run"),
        ("report", "run"),
        ("compare", "run", "finished"),
        ("predict", "run", "finished"),
        ("resume", "run"),
        ("train", *TINY, "init_from=run", "out=tuned"),
        ("summary", "model=mlp"),
    ]
    while running.poll() is None:
        words = case.random.choice(looking)
        if words[0] == "train" and (case.folder / "tuned").exists():
            continue
        case.command(*words)
    case.succeeds(case.finished(running))
    same(case, untouched, "run")


TOGETHER = Part("together", "several trains, resumes, readers, cold caches at once", 60, 8, attempt)
