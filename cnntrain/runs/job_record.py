"""The record of a job of a sweep: its state and its results."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from cnntrain.runs import run_files
from cnntrain.runs.records import JobRecord

RECORD = "job.json"


def record_of(folder: Path) -> JobRecord | None:
    """Return a job's record; None before it has begun, or if it is damaged."""
    try:
        record: Any = run_files.read_json(folder / RECORD)
    except (OSError, ValueError):
        return None
    return cast(JobRecord, record) if isinstance(record, dict) and "state" in record else None


def is_done(folder: Path) -> bool:
    """Return whether the job of a folder is finished, or was stopped for good."""
    record = record_of(folder)
    return record is not None and record["state"] in ("finished", "pruned")
