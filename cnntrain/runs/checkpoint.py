"""Checkpoints: one format, written so that a crash never costs one, verified when read.

A checkpoint is what ``torch.save`` writes of a dictionary of tensors and plain types, a zip archive, with
one record more, the format version as text, which can be read without torch. The archive's comment ends in
the checksum of all bytes before it. It holds all that evaluation needs (the configuration, class names, the
shape and normalisation of an image) and all that exact resumption needs.
"""

from __future__ import annotations

import copy
import io
import os
import zipfile
import zlib
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

from cnntrain.errors import CheckpointError, RunFailed
from cnntrain.runs.atomic import write_atomically
from cnntrain.runs.records import CheckpointState
from cnntrain.runtime.regular_files import NotRegular, open_regular
from cnntrain.text import argument, printable

FORMAT_VERSION = 1
VERSION_RECORD = "cnntrain_format"  # in the archive, beside torch's own records
DIGITS = 8  # of the checksum, CRC-32 in hexadecimal: the last bytes of the file
CHUNK = 2**20  # bytes read at a time

LAST, BEST, PREVIOUS = "last.pt", "best.pt", "previous.pt"
REQUIRED = {
    "config": dict,
    "class_names": list,
    "input_shape": list,
    "normalization": dict,
    "model": dict,
    "progress": dict,
}
REQUIRED_WITHIN = {"normalization": ("mean", "std"), "progress": ("epoch",)}


def serialize(state: Mapping[str, Any]) -> memoryview:
    """Return a checkpoint's bytes, from a dictionary of tensors and plain types."""
    import torch

    # To memory first, since torch reports a full disk as an opaque error and leaves half a file.
    buffer = io.BytesIO()
    torch.save({"format_version": FORMAT_VERSION, **state}, buffer)
    with zipfile.ZipFile(buffer, "a") as archive:
        root = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{root}/{VERSION_RECORD}", str(FORMAT_VERSION))
        archive.comment = b"crc32 " + DIGITS * b"0"
    data = buffer.getbuffer()
    data[-DIGITS:] = hexadecimal(zlib.crc32(data[:-DIGITS]))
    return data


def write(data: memoryview, path: Path, keep: Path | None = None) -> None:
    """Write a checkpoint so that at every moment the old one or the new one is there whole.

    Args:
        data: the result of :func:`serialize`.
        path: the file to write, ``<run>/checkpoints/<name>.pt``.
        keep: the file that the checkpoint at ``path`` is moved to.

    Raises:
        RunFailed: it can't be written, because the disk is full, say. What was there before still is.
    """
    try:
        write_atomically(path, data, keep)
    except OSError as error:
        raise RunFailed(
            f"the checkpoint {path} can't be written ({error.strerror or error}); the one before it is kept\n"
            f"when that is fixed: cnntrain resume {argument(path.parent.parent)}"
        ) from error


def verify(path: Path) -> None:
    """Check, without torch, that a file is a checkpoint of this format and every byte is what was written.

    Raises:
        CheckpointError: it is not there, not a checkpoint, of another version, truncated or damaged.
    """
    with opened(path) as file:
        verify_opened(file, path)


def opened(path: Path) -> BufferedReader:
    """Open a checkpoint, or raise a CheckpointError."""
    name = printable(path)
    try:
        return open_regular(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {name}") from error
    except NotRegular as error:
        raise CheckpointError(f"{name} is not a checkpoint: it is {error}") from error
    except OSError as error:
        raise CheckpointError(f"{name} can't be read: {error.strerror or error}") from error


def verify_opened(file: BufferedReader, path: Path) -> None:
    """Check an open file as :func:`verify` does."""
    name = printable(path)
    try:
        with zipfile.ZipFile(file) as archive:
            check_uncompressed(archive, file, path)
            versions = [n for n in archive.namelist() if n.rpartition("/")[2] == VERSION_RECORD]
            version = archive.read(versions[0]).decode() if versions else None
        whole = is_whole(file)
    except CheckpointError:
        raise
    except Exception as error:  # a damaged archive makes zipfile raise almost anything
        raise CheckpointError(
            f"{name} is not a checkpoint, or it is truncated or damaged: {printable(error)}"
        ) from error
    if version is None:
        raise CheckpointError(f"{name} is not a checkpoint of cnntrain: it does not say its format")
    if version != str(FORMAT_VERSION):
        raise CheckpointError(
            f"{name} is of checkpoint format {printable(version, 40)}, and this cnntrain reads "
            f"{FORMAT_VERSION}: use the version of cnntrain that wrote it"
        )
    if not whole:
        raise CheckpointError(f"{name} is damaged: its checksum does not match")


def check_uncompressed(archive: zipfile.ZipFile, file: BufferedReader, path: Path) -> None:
    """Raise a CheckpointError if an archive would grow when it is read; torch writes records as they are."""
    records = archive.infolist()
    is_stored = all(record.compress_type == zipfile.ZIP_STORED for record in records)
    if not is_stored or sum(record.file_size for record in records) > size_of(file):
        raise CheckpointError(
            f"{printable(path)} is not a checkpoint of cnntrain: its records are compressed"
        )


def size_of(file: BufferedReader) -> int:
    """Return the size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def is_whole(file: BufferedReader) -> bool:
    """Return whether a file ends in the checksum of all that comes before.

    The records of the archive have checksums too, which torch does not look at; but a bit flipped in the
    archive's directory would pass them, and made torch read a tensor from memory that was never written.
    """
    left, checksum = size_of(file) - DIGITS, 0
    file.seek(0)
    while left > 0:
        chunk = file.read(min(CHUNK, left))
        if not chunk:  # it has become shorter meanwhile
            return False
        checksum = zlib.crc32(chunk, checksum)
        left -= len(chunk)
    return file.read(DIGITS + 1) == hexadecimal(checksum)


def checksum_of(path: Path) -> str:
    """Return the checksum that a checkpoint ends in, in hexadecimal: it identifies the file."""
    with opened(path) as file:
        file.seek(-DIGITS, os.SEEK_END)
        return file.read().decode()


def hexadecimal(checksum: int) -> bytes:
    """Return a checksum as the file holds it."""
    return f"{checksum:0{DIGITS}x}".encode()


def load(path: Path) -> CheckpointState:
    """Verify and read a checkpoint; its tensors come to the CPU.

    Raises:
        CheckpointError: see :func:`verify`; or it holds anything but tensors and plain types, or other values
            than the schema of :mod:`cnntrain.runs.schema.checkpoints` lets through.
    """
    with opened(path) as file:
        verify_opened(file, path)
        import torch

        from cnntrain.runs.schema.checkpoints import check

        file.seek(0)
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a foreign or hostile file makes torch raise; never retried
            raise CheckpointError(
                f"{printable(path)} could not be read as tensors and plain types"
            ) from error
    parts = state if isinstance(state, dict) else {}
    missing = [name for name, kind in REQUIRED.items() if not isinstance(parts.get(name), kind)]
    for part, names in REQUIRED_WITHIN.items():
        missing += [f"{part}.{name}" for name in names if part not in missing and name not in parts[part]]
    if missing:
        raise CheckpointError(
            f"{printable(path)} is not a checkpoint of cnntrain: it has no {', '.join(missing)}"
        )
    check(parts, printable(path))
    return upgraded_state(parts)


# Parts of the state, and what stands for one that is missing.
STATE: dict[str, Any] = {
    "init_from": None,
    "scaler": {},
    "random_of_others": [],
    "data_fingerprint": None,
    "versions": {},
    "split": None,
}


def upgraded_state(state: Mapping[str, Any]) -> CheckpointState:
    """Return a checkpoint's contents with the parts that earlier versions did not write."""
    return cast(CheckpointState, {**copy.deepcopy(STATE), **state})
