"""Runs that are killed or stopped at any moment, and resumed: to the same bits as if nothing had happened."""

from __future__ import annotations

import signal
import time

from torture_parts.harness import Case, Part
from torture_parts.runs import FAST, finish, reference, same

COMMON = (*FAST, "limit=160", "batch_size=16", "epochs=3")
SMALL_CNN = ("model=cnn", "model.channels=[4,8]", "model.head=[8]")
CONFIGURATIONS = {
    "mlp": ("model=mlp", "model.hidden=[8]", "model.dropout=0.2"),
    "cnn": (*SMALL_CNN, "augment=digits", "augment.erase=0.2", "model.dropout=0.2"),
    "workers": (*SMALL_CNN, "augment=digits", "workers=2"),
    "mixup": ("model=mlp", "model.hidden=[8]", "augment.mixup=0.2", "augment.cutmix=1"),
    "onecycle": (*SMALL_CNN, "model.batch_norm=true", "schedule=onecycle"),
    "average": ("model=mlp", "model.hidden=[8]", "accumulate=2", "ema=0.9", "grad_clip=1"),
    "often": (*SMALL_CNN, "save_every_steps=2", "save_every_minutes=0.001", "augment=digits"),
}
SIGNALS = {
    "interrupt": (signal.SIGINT,),
    "terminate": (signal.SIGTERM,),
    "both": (signal.SIGINT, signal.SIGTERM),
    "interrupt twice": (signal.SIGINT, signal.SIGINT),
    "terminate twice": (signal.SIGTERM, signal.SIGTERM),
}


def attempt(case: Case, number: int) -> None:
    """Kill, or every fourth time stop, a run of one of the configurations; resume it and compare."""
    name = list(CONFIGURATIONS)[number % len(CONFIGURATIONS)]
    arguments = (*COMMON, *CONFIGURATIONS[name])
    begun = time.monotonic()
    untouched = reference(case.place, name, *arguments)
    took = case.place.shared / f"{name}.seconds"
    if not took.exists():
        took.write_text(str(max(0.3, time.monotonic() - begun)))
    seconds = float(took.read_text())
    stops = number // len(CONFIGURATIONS) % 4 == 3
    command = ("train", *arguments, "out=run")
    for _ in range(case.random.choice((1, 1, 2, 3))):
        moment = case.random.uniform(0, seconds * 1.1)
        child = case.start(*command)
        pause(moment, child)
        chosen = list(SIGNALS.values())[case.random.randrange(len(SIGNALS))] if stops else (signal.SIGKILL,)
        for sent in chosen:
            case.commands.append(f"# after {moment:.3f} s: {sent.name}")
            child.send(sent)
            pause(case.random.uniform(0, 0.3), child)
        ended = case.finished(child, killed=True)
        if stops:
            case.must(ended.code in (0, 130, 143, -2, -15), f"exit code {ended.code} after a signal")
        if not (case.folder / "run" / "config.yaml").exists():
            break
        command = ("resume", "run")
    finish(case, "run", arguments)
    same(case, untouched, "run")


def pause(seconds: float, child: object) -> None:
    """Wait some seconds, or until a command has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and child.poll() is None:  # type: ignore[attr-defined]
        time.sleep(0.002)


KILLS = Part("kills", "SIGKILL, SIGINT and SIGTERM at random moments, then resume", 200, 14, attempt)
