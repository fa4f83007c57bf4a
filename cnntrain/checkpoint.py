"""Checkpoints: one format, written so that a crash never costs one, verified when read.

A checkpoint is what ``torch.save`` writes of a dictionary of tensors and plain types, with one record more,
the format version as text, which can be read without torch. It holds all that evaluation needs (the
configuration, class names, the shape and normalisation of a picture) and all that exact resumption needs.
"""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

from cnntrain.errors import CheckpointError, RunFailed

FORMAT_VERSION = 1
VERSION_RECORD = "cnntrain_format"  # in the archive, beside torch's own records

LAST, BEST, PREVIOUS = "last.pt", "best.pt", "previous.pt"
REQUIRED = ("config", "class_names", "input_shape", "normalization", "model", "progress")


def serialize(state: dict[str, Any]) -> memoryview:
    """Return a checkpoint's bytes, from a dictionary of tensors and plain types."""
    import torch

    # To memory first, since torch reports a full disk as an opaque error and leaves half a file.
    buffer = io.BytesIO()
    torch.save({"format_version": FORMAT_VERSION, **state}, buffer)
    with zipfile.ZipFile(buffer, "a") as archive:
        root = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{root}/{VERSION_RECORD}", str(FORMAT_VERSION))
    return buffer.getbuffer()


def write(data: memoryview, path: Path, keep: Path | None = None) -> None:
    """Write a checkpoint so that at every moment the old one or the new one is there whole.

    Args:
        data: what :func:`serialize` returned.
        path: where to, ``<run>/checkpoints/<name>.pt``.
        keep: where the checkpoint that was at ``path`` goes.

    Raises:
        RunFailed: it can't be written, because the disk is full, say. What was there before still is.
    """
    try:
        write_atomically(path, data, keep)
    except OSError as error:
        raise RunFailed(
            f"the checkpoint {path} can't be written ({error.strerror or error}); the one before it is kept\n"
            f"when that is mended: cnntrain resume {path.parent.parent}"
        ) from error


def write_atomically(path: Path, data: bytes | memoryview, keep: Path | None = None) -> None:
    """Write a file by way of a temporary one, synced to the disk before it takes the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            path.replace(keep)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the renaming itself
    finally:
        os.close(folder)


def verify(path: Path) -> None:
    """Check, without torch, that a file is a checkpoint of this format and that every byte is what was written.

    Raises:
        CheckpointError: it is not there, not a checkpoint, of another version, truncated or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch.load itself would not notice a flipped bit in a tensor
            versions = [n for n in archive.namelist() if n.rpartition("/")[2] == VERSION_RECORD]
            version = archive.read(versions[0]).decode() if versions else None
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {path}") from error
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(f"{path} is no checkpoint, or it is truncated: {error}") from error
    if damaged is not None:
        raise CheckpointError(f"{path} is damaged: the checksum of its record {damaged} does not match")
    if version is None:
        raise CheckpointError(f"{path} is no checkpoint of cnntrain: it does not say its format")
    if version != str(FORMAT_VERSION):
        raise CheckpointError(
            f"{path} is of checkpoint format {version}, and this cnntrain reads {FORMAT_VERSION}: "
            "use the version of cnntrain that wrote it"
        )


def load(path: Path) -> dict[str, Any]:
    """Verify and read a checkpoint; its tensors come to the CPU.

    Raises:
        CheckpointError: see :func:`verify`; or it holds more than tensors and plain types.
    """
    verify(path)
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a hostile or foreign file makes torch raise; never retried unsafely
        raise CheckpointError(f"{path} holds more than tensors and plain types, or less: not loaded") from error
    missing = [name for name in REQUIRED if not isinstance(state, dict) or name not in state]
    if missing:
        raise CheckpointError(f"{path} is no checkpoint of cnntrain: it has no {', '.join(missing)}")
    return state  # type: ignore[no-any-return]
