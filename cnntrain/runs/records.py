"""What is written of runs and jobs, with its types: rows of metrics.csv, summary.json, job.json."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, Required, TypedDict


class EpochRow(TypedDict):
    """An epoch, as metrics.csv and the checkpoint have it.

    The other scores of the task are there too, by the names of their columns;
    :meth:`cnntrain.tasks.scores.Figure.in_row` returns them. What was not validated is None.
    """

    epoch: int
    step: int
    lr: float
    train_loss: float
    val_loss: float | None
    seconds: float
    images_per_second: float


class RunSummary(TypedDict):
    """What ``summary.json`` says of a finished run. ``best`` is None where there was no validation.

    Other details of a result are there by the names that its task gives them.
    """

    epochs: int
    steps: int
    best: EpochRow | None
    final: EpochRow
    test: dict[str, Any]
    skipped_images: list[str]
    confusion_matrix: NotRequired[list[list[int]]]  # of a task that has classes
    findings: list[dict[str, str]]
    init_from: dict[str, Any] | None
    parameters: int
    trained_parameters: int
    loader_share: float
    train_seconds: float
    seconds: float
    seed: int
    device: str
    machine: str
    precision: str
    threads: int
    versions: dict[str, str]
    command: str
    git_commit: str | None


class JobRecord(TypedDict, total=False):
    """What ``job.json`` says of a job of a sweep.

    A job that failed or was pruned has a reason. A finished one has what it has cost and its seed and, by
    their names, the scores that it is ranked by.
    """

    state: Required[Literal["waiting", "running", "finished", "failed", "pruned"]]
    overrides: list[str]
    reason: str
    epochs_done: int
    seconds: float
    seed: int
