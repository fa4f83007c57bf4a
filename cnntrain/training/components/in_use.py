"""One line for a part of the user's that fails in use, and not when it is built."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from cnntrain.compute.micro_batches import is_out_of_memory
from cnntrain.errors import CnntrainError, RunFailed, UserError, describe_error
from cnntrain.runs.checkpoint import LAST
from cnntrain.runs.run_folder import CHECKPOINTS
from cnntrain.runtime.distributed import is_sign_of_loss
from cnntrain.text import argument

OURS = "cnntrain."  # whose failures are errors of cnntrain, and keep their traceback


@contextmanager
def named(parts: Mapping[str, Any], folder: Path) -> Iterator[None]:
    """Turn an error that a part of the run raises into one line with the part's name.

    Args:
        parts: the parts by their keys in the configuration; those that are built later may be added within.
        folder: the run folder.

    Raises:
        UserError: a part failed before the first checkpoint.
        RunFailed: a part failed later; the checkpoints are kept.
    """
    try:
        yield
    except CnntrainError:
        raise
    except Exception as error:  # whatever a part may raise
        found = part_that_raised(error, parts)
        if found is None or is_out_of_memory(error) or is_sign_of_loss(error):
            raise
        line = f"{found}: {type(parts[found]).__name__} failed: {describe_error(error)}"
        if not (folder / CHECKPOINTS / LAST).exists():
            raise UserError(line) from error
        raise RunFailed(
            f"{line}\nits checkpoints are kept; once that is fixed: cnntrain resume {argument(folder)}"
        ) from error


def part_that_raised(error: Exception, parts: Mapping[str, Any]) -> str | None:
    """Return the key of the part of others that raised an error; None if it is cnntrain's own."""
    owners: dict[int, str] = {}
    for key, part in parts.items():
        if not type(part).__module__.startswith(OURS):
            own = part.modules() if isinstance(part, nn.Module) else [part]
            owners.update((id(owner), key) for owner in own)
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))  # the outermost first
    found = (owners.get(id(frame.f_locals.get("self"))) for frame in frames)
    return next((key for key in found if key is not None), None)
