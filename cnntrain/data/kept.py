"""Decoded data sets, kept in the cache folder and mapped into memory by the next run.

The name of a file follows from all that its contents depend on, the checksums of the source files among it.
What is read is believed only if its own checksum is right, and made anew if it is not.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from cnntrain import cache
from cnntrain.data.pictures import Pictures
from cnntrain.errors import UserError

FORMAT = 1  # of the files; a file of another one is never found


def kept(
    facts: Mapping[str, Any], files: Sequence[Path], make: Callable[[], Pictures]
) -> tuple[Pictures, bool]:
    """Return pictures from the cache or, where it has none, make them and put them there.

    Args:
        facts: what they depend on besides the files, as plain types.
        files: what they are made of.
        make: makes them.

    Returns:
        The pictures, and whether they come from the cache.
    """
    path = cache.folder() / "data" / f"{name_for(facts, files)}.pt"
    pictures = read(path)
    if pictures is not None:
        return pictures, True
    pictures = make()
    contents = {
        "images": pictures.images,
        "labels": pictures.labels,
        "class_names": list(pictures.class_names),
        "fingerprint": pictures.fingerprint,
    }
    cache.write(path, lambda file: torch.save(contents, file))
    return pictures, False


def read(path: Path) -> Pictures | None:
    """Map a file of the cache into memory; None if there is none, or it is damaged."""
    try:
        contents = torch.load(path, mmap=True, weights_only=True)
        pictures = Pictures(contents["images"], contents["labels"], contents["class_names"])
        return pictures if pictures.fingerprint == contents["fingerprint"] else None
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, EOFError, AttributeError, UserError):
        return None
    except pickle.UnpicklingError:
        return None


def name_for(facts: Mapping[str, Any], files: Sequence[Path]) -> str:
    """Return a name for all that the contents depend on."""
    digest = hashlib.sha256(json.dumps([FORMAT, facts], sort_keys=True).encode())
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:32]
