"""The typed records of runs and jobs: rows of metrics.csv, summary.json, job.json."""

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
    """The contents of ``summary.json``, of a finished run. ``best`` is None if there was no validation.

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
    """The contents of ``job.json``, of a job of a sweep.

    A job that failed or was pruned has a reason. A finished one has what it has cost and its seed and, by
    their names, the scores that it is ranked by.
    """

    state: Required[Literal["waiting", "running", "finished", "failed", "pruned"]]
    overrides: list[str]
    reason: str
    epochs_done: int
    seconds: float
    seed: int


class CheckpointState(TypedDict):
    """The contents of a checkpoint, once it is read: tensors and plain types.

    What only resumption takes is not in ``best.pt``.
    """

    format_version: NotRequired[int]
    signature: NotRequired[str | None]  # of whoever typed the configuration
    config: dict[str, Any]
    init_from: dict[str, Any] | None  # the record of the checkpoint whose weights the run began with
    class_names: list[str]
    input_shape: list[int]  # channels, height and width
    normalization: dict[str, list[float]]  # mean and std of each channel
    data_fingerprint: Any  # a checksum of the training images
    split: str | None  # a digest of which image of a folder did what
    versions: dict[str, str]
    not_finite: NotRequired[list[str]]  # buffers that were not finite before the first step
    model: dict[str, Any]  # the weights that were validated
    progress: dict[str, Any]  # where the run was, see cnntrain.training.progress.Progress
    model_in_training: NotRequired[dict[str, Any]]  # the weights in training, where others are kept
    optimizer: NotRequired[dict[str, Any]]
    schedule: NotRequired[dict[str, Any]]
    scaler: dict[str, Any]
    random: NotRequired[dict[str, Any]]  # the states of the random generators of the first process
    random_of_others: list[dict[str, Any]]
