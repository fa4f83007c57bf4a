"""Standard streams that are closed, full, without a reader or of another encoding, for every command."""

from __future__ import annotations

from torture_parts.forked import Streams
from torture_parts.harness import Case, Part
from torture_parts.runs import TINY, copied, differences, reference
from torture_parts.writes import beside

STREAMS = {
    "stdout closed": Streams(closed=(1,)),
    "stderr closed": Streams(closed=(2,)),
    "stdin closed": Streams(closed=(0,)),
    "both closed": Streams(closed=(1, 2)),
    "all closed": Streams(closed=(0, 1, 2)),
    "stdout full": Streams(full=(1,)),
    "stderr full": Streams(full=(2,)),
    "both full": Streams(full=(1, 2)),
    "stdout gone": Streams(gone=(1,)),
    "stderr gone": Streams(gone=(2,)),
    "both gone": Streams(gone=(1, 2)),
    "ascii": Streams(encoding="ascii"),
    "latin-1": Streams(encoding="latin-1"),
}
COMMANDS = (
    ("train", *TINY, "out=new"),
    ("train", *TINY, "out=new", "-q"),
    ("train", "-m", *TINY, "seed=0,1", "out=sweep"),
    ("train", "--help"),
    ("train", "--cfg", "job"),
    ("train", "epochs=x"),
    ("resume", "run", "epochs=3"),
    ("resume", "run"),
    ("eval", "run"),
    ("eval", "nowhere"),
    ("report", "run"),
    ("predict", "run", "a.png"),
    ("predict", "run", "a.png", "--json", "-"),
    ("predict", "run", "a.png", "--csv", "-"),
    ("export", "run", "formats=[safetensors]"),
    ("compare", "run", "other"),
    ("summary", "model=mlp"),
    ("data", "images"),
    ("data", "images", "--json", "-"),
    ("explain", *TINY),
    ("bench", *TINY, "repeats=1", "seconds=0.01"),
    ("completion", "bash"),
    ("_complete", "train", "mod"),
    ("--help",),
    ("--version",),
    (),
)


def attempt(case: Case, number: int) -> None:
    """Run one of the commands with one of the kinds of streams: what it is for must be done all the same."""
    from torture_parts.images import two_classes

    names, every = list(STREAMS), len(STREAMS) * len(COMMANDS)
    chosen = number * 31 % every
    name, words = names[chosen % len(names)], COMMANDS[chosen // len(names)]
    untouched = reference(case.place, "untouched", *TINY)
    copied(case, untouched)
    beside(case)
    two_classes(case.folder / "images")
    case.commands.append(f"# {name}")
    case.command(*words, streams=STREAMS[name])
    if words[:1] == ("train",) and "out=new" in words:
        for difference in differences(untouched, case.folder / "new"):
            case.must(False, f"{name}: {difference}: a run does not depend on its screen")
    if words == ("eval", "run"):
        case.must((case.folder / "run/eval_test.json").exists(), f"{name}: no eval_test.json")


FULL = len(STREAMS) * len(COMMANDS)
PART = Part("streams", "closed, full and broken standard streams, ascii, for all commands", FULL, 26, attempt)
