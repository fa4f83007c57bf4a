"""Every image of a folder read once: size, mode, colours and what it looks like. Kept in the cache.

A file is read again unless its length, both its times of change and its inode are those recorded: a time of
modification alone may be anything (unzip and tar set it), and `mv` swaps files of one length and one time.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cnntrain.image_folder.decode import DecodedImage, with_decoded
from cnntrain.image_folder.depth import strips
from cnntrain.image_folder.opening import Decoding, UnreadableImage
from cnntrain.runs import cache_dir
from cnntrain.runtime.hardware import cores
from cnntrain.runtime.regular_files import open_regular
from cnntrain.text import printable

LOOK = 16  # side of the thumbnails that are compared
MEASURED = 64  # side, in pixels, at which JPEGs are measured
FORMAT = 4  # of the records; those of another one are never found
RECORD = np.dtype(
    [
        ("length", "i8"),  # of the file, in bytes
        ("modified", "i8"),  # mtime, in nanoseconds
        ("changed", "i8"),  # ctime, of contents or attributes, in nanoseconds
        ("inode", "u8"),
        ("content", "S32"),  # hash of the file's bytes, as hexadecimal digits; empty if it can't be read
        ("width", "i4"),
        ("height", "i4"),
        ("mode", "U8"),
        ("is_turned", "?"),  # by EXIF
        ("is_transparent", "?"),  # in part, by an alpha channel or one transparent colour
        ("is_deep", "?"),  # more than 8 bits a value; its pixels are measured from its own lowest to highest
        ("low", "f8"),  # lowest value of a deep image, as the file has it
        ("high", "f8"),  # highest
        ("is_grey", "?"),
        ("mean", "f8", 3),  # of each channel, pixels from 0 to 1
        ("square", "f8", 3),  # mean of the squares
        ("pixels", "S32"),  # hash of what is seen, as hexadecimal digits
        ("look", "u1", LOOK * LOOK),  # grey thumbnail
        ("error", "U120"),  # why it can't be read; empty if it can
    ]
)


def scan(
    root: Path,
    files: Sequence[str],
    advance: Callable[[int], object],
    max_megapixels: float,
) -> np.ndarray:
    """Return a record of each file, of dtype ``RECORD``, in the order of the files.

    Args:
        root: the folder.
        files: the files, relative to the root.
        advance: called with the number of files done.
        max_megapixels: millions of pixels that an image may have.
    """
    own = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:32]
    store = cache_dir.folder() / "folders" / f"{own}.npz"
    decoding = Decoding(max_megapixels, "own")
    known = read(store)
    records = np.zeros(len(files), RECORD)
    todo = []
    for index, name in enumerate(files):
        try:
            status = (root / name).stat()
        except OSError:  # a link to nowhere, which measured() reports
            todo.append(index)
            continue
        old = known.get(name)
        # What could not be read is tried again: this user, or another version of Pillow, may be able to.
        if (
            old is not None
            and not old["error"]
            and all(old[fact] == value for fact, value in identity(status).items())
            and not is_too_large(old, decoding)
        ):
            records[index] = old
        else:
            todo.append(index)
    advance(len(files) - len(todo))
    if not todo:
        return records
    done = set(range(len(files))) - set(todo)
    # Threads suffice: Pillow and hashlib decode without Python's lock.
    pool = ThreadPoolExecutor(cores())
    try:
        for index, record in zip(
            todo, pool.map(lambda i: scan_file(root / files[i], decoding), todo), strict=True
        ):
            records[index] = record
            done.add(index)
            advance(1)
    finally:  # after Ctrl-C, too, what has been read need not be read again
        pool.shutdown(cancel_futures=True)
        kept = sorted(done)
        names = np.array([files[index] for index in kept])
        contents = {"format": np.array(FORMAT), "names": names, "records": records[kept]}
        cache_dir.write(store, lambda file: np.savez_compressed(file, **contents))  # type: ignore[arg-type]
    return records


def is_too_large(record: np.void, decoding: Decoding) -> bool:
    """Return whether an image was read under a wider bound of its pixels."""
    return int(record["width"]) * int(record["height"]) > decoding.most


def read(store: Path) -> dict[str, np.void]:
    """Return the records of a cache file by the names of the images; none if it is missing or damaged."""
    try:
        with open_regular(store) as file, np.load(file, allow_pickle=False) as contents:
            if int(contents["format"]) != FORMAT or contents["records"].dtype != RECORD:
                return {}
            return dict(zip(map(str, contents["names"]), contents["records"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}


def identity(status: os.stat_result) -> dict[str, int]:
    """Return what must not have changed since a file was read, by the names of its fields in a record."""
    return {
        "length": status.st_size,
        "modified": status.st_mtime_ns,
        "changed": status.st_ctime_ns,
        "inode": status.st_ino,
    }


def content_hash(path: Path) -> str:
    """Return a hash of a file's bytes, 32 hexadecimal digits."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def reason(error: Exception) -> str:
    """Return, in one line, why a file can't be read."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return printable(text or type(error).__name__, 120)


def scan_file(path: Path, decoding: Decoding) -> np.ndarray:
    """Return the record of one file, (), of dtype ``RECORD``."""
    record = np.zeros((), RECORD)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # it was one when the folder was looked through
            raise UnreadableImage("not a regular file")
        for fact, value in identity(status).items():
            record[fact] = value
        with_decoded(path, lambda upright: describe_image(upright, record), decoding, MEASURED)
        record["content"] = content_hash(path)
    except (UnreadableImage, OSError) as error:
        record["error"] = reason(error)
    return record


def describe_image(upright: DecodedImage, record: np.ndarray) -> None:
    """Describe an image in a record, ()."""
    image, record["mode"], size, record["is_turned"], record["is_transparent"], values = upright
    record["width"], record["height"] = size
    if values is not None:
        record["is_deep"], record["low"], record["high"] = True, *values
    shown_as = f"{record['width']}x{record['height']}{'' if values is None else values}"
    digest = hashlib.sha256(shown_as.encode())
    for _, strip in strips(image):
        digest.update(strip.convert("RGB").tobytes())
    record["pixels"] = digest.hexdigest()[:32]
    record["look"] = np.asarray(image.convert("L").resize((LOOK, LOOK), reducing_gap=3)).ravel()
    small = image.convert("RGB")
    small.thumbnail((MEASURED, MEASURED), reducing_gap=2)
    pixels = np.asarray(small, dtype=np.float64).reshape(-1, 3) / 255
    record["mean"], record["square"] = pixels.mean(0), (pixels**2).mean(0)
    record["is_grey"] = image.mode == "L" or bool((pixels.max(1) - pixels.min(1)).max() < 0.02)
