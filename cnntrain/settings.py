"""From overrides to a whole configuration that has been checked, as plain types."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from cnntrain.checks import check
from cnntrain.config import compose, file_of, own_files, plain
from cnntrain.errors import UserError
from cnntrain.mistakes import explained, shortest, with_origin


def settings_of(overrides: Sequence[str], config_dir: str | None) -> dict[str, Any]:
    """Compose the configuration of a run and check it.

    Raises:
        UserError: it can't be composed, or makes no sense.
    """
    config = composing(lambda: compose(overrides, config_dir, with_hydra=True), overrides, config_dir)
    return checked(config, config.hydra, config_dir)


def checked(config: Any, hydra: Any, config_dir: str | None) -> dict[str, Any]:
    """Return the composed configuration as plain types, if it makes sense."""
    choices, typed = hydra.runtime.choices, hydra.overrides.task
    settings = plain(config)
    try:
        check(settings)
    except UserError as error:
        raise with_origin(error, choices, typed, config_dir) from error
    for file in own_files(choices, config_dir):
        if file_of(file.parent.name, file.stem, config_dir) != file:
            choice = f"{file.parent.name}={file.stem}"
            print(
                f"cnntrain: warning: {shortest(file)} is not used: cnntrain has an {choice} of its own; "
                "give yours another name",
                file=sys.stderr,
            )
    return settings


def composing(work: Callable[[], Any], overrides: Sequence[str], config_dir: str | None) -> Any:
    """Do work that composes a configuration; tell a mistake in the overrides in plain words."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        return work()
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError, OSError) as error:
        raise explained(error, overrides, config_dir) from error
