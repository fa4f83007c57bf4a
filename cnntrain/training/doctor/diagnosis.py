"""What the training doctor concludes of any run that is over. On little evidence: nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from cnntrain.compute.wait_time import Stopwatch
from cnntrain.config.sections import DoctorSettings
from cnntrain.runtime.console import Console, Verbatim
from cnntrain.tasks.doctor import Finding
from cnntrain.training.doctor.diagnostics import Diagnostics

LOADER_BOUND = 0.4  # share of the time that the steps wait for their batches
MIN_WAITED = 1.0  # seconds, below which it is not worth a word
DEAD = 0.5  # share of a layer's units
# Of an update to the weights: Adam's first steps are larger than the 0.001 that is usual later on.
RATIO_GOOD = 0.02


def waiting(settings: DoctorSettings, stopwatch: Stopwatch, is_streamed: bool) -> Finding | None:
    """See how long the steps wait for their batches, where workers or a cache can shorten that.

    Args:
        settings: what the run does.
        stopwatch: how long the steps have waited. The wait for workers to start is no reason to add some.
        is_streamed: whether images are decoded when their batch is made.
    """
    waited = stopwatch.waited - stopwatch.started
    if waited < MIN_WAITED or waited < LOADER_BOUND * (waited + stopwatch.worked):
        return None
    if not is_streamed and settings.augments:  # which is done on the device, after the workers
        return None
    fix = f"workers={2 * settings.data.workers or 2}"
    if settings.data.cache == "off":
        fix = f"data.cache=auto, or {fix}"
    evidence = f"steps wait for their {settings.data.called.words} {stopwatch.share:.0%} of the time"
    return Finding("data loading limits the speed", evidence, fix)


def dead_units(settings: DoctorSettings, examination: Diagnostics) -> Finding | None:
    """Report in which layer most units are 0 for every image, so that no gradient reaches their weights."""
    worst = examination.deadest()
    if worst is None or worst[1] < DEAD:
        return None
    name, share, units = worst
    seen = f"{examination.images:,} validation {settings.data.called.words}"
    evidence = f"{share:.0%} of the {units:,} units of {name} are 0 for all of {seen}"
    lr = settings.lr
    smaller = f"optim.lr={round_to_nice(lr / 10)}" if lr is not None else "a smaller learning rate"
    fix = f"{smaller} or model.activation=LeakyReLU" if "activation" in settings.model else smaller
    return Finding("dead ReLUs", evidence, fix)


def round_to_nice(value: float) -> str:
    """Return a number with one significant digit, as it is typed."""
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def as_dicts(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Return findings for summary.json."""
    return [asdict(finding) for finding in findings]


def show_finding(console: Console, finding: Finding) -> None:
    """Print a problem that the training doctor has found, and the suggested fix."""
    fix = "        try [bold]{}[/]" if "=" in finding.fix else "        {}"
    console.line("[yellow]doctor:[/] {}: {}", Verbatim(finding.finding), Verbatim(finding.evidence), hang=8)
    console.line(fix, Verbatim(finding.fix), hang=8)
