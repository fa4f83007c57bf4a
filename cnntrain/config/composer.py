"""From overrides to a whole configuration that has been checked, as plain types."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from cnntrain.config.compose import compose, file_of, groups, own_files, plain
from cnntrain.config.hydra_errors import explained, shortest, with_origin
from cnntrain.config.keys import INFERRED, is_open
from cnntrain.config.overrides import parse
from cnntrain.config.validate import check
from cnntrain.errors import UserError
from cnntrain.image_folder.auto import complete
from cnntrain.runtime.ranks import Spokesman

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

T = TypeVar("T")


class Composer:
    """Composes the configurations of many jobs: what they have in common once, which is quicker by far.

    Hydra takes 60 ms to choose from the groups. What is left of a job's overrides are values, and to set
    those takes 3 ms.

    Args:
        config_dir: the user's own folder of groups.
    """

    def __init__(self, config_dir: str | None) -> None:
        self.config_dir = config_dir
        self.groups = groups(config_dir)
        self.bases: dict[tuple[str, ...], tuple[bytes, Any]] = {}
        self.parsed: dict[str, Override] = {}

    def settings(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Return the configuration of a job, checked, as plain types.

        Raises:
            UserError: it can't be composed, or makes no sense.
        """
        return composing(lambda: self.composed(overrides), overrides, self.config_dir)

    def composed(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Return the configuration of a job, whatever Hydra says of its overrides."""
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        parsed = [self.parse(word) for word in overrides]
        values = [override for override in parsed if self.is_value(override)]
        base, hydra = self.base(tuple(str(o.input_line) for o in parsed if not self.is_value(o)))
        config = pickle.loads(base)  # a copy, in a third of the time that a deep copy takes
        try:
            for override in values:
                key, added = override.key_or_group, override.is_force_add()
                OmegaConf.update(config, key, override.value(), merge=True, force_add=added)
        except OmegaConfBaseException:
            compose(overrides, self.config_dir)  # which says what is wrong
            raise
        return checked(config, hydra.runtime.choices, overrides, self.config_dir)

    def parse(self, word: str) -> Override:
        """Parse an override, which most jobs have in common."""
        if word not in self.parsed:
            (self.parsed[word],) = parse([word])
        return self.parsed[word]

    def is_value(self, override: Override) -> bool:
        """Say whether an override only sets a value, as Hydra would do it last of all."""
        chooses = override.key_or_group in self.groups or override.package is not None
        return not (chooses or override.is_delete() or override.is_add())

    def base(self, overrides: tuple[str, ...]) -> tuple[bytes, Any]:
        """Return what Hydra composes of some overrides, pickled, and what it says about itself."""
        from omegaconf import open_dict

        if overrides not in self.bases:
            config = compose(overrides, self.config_dir, with_hydra=True)
            hydra = config.hydra
            with open_dict(config):
                config.pop("hydra")
            warn_of_unused(hydra.runtime.choices, self.config_dir)
            self.bases[overrides] = (pickle.dumps(config), hydra)
        return self.bases[overrides]


def checked(
    config: Any, choices: Mapping[str, Any], overrides: Sequence[str], config_dir: str | None
) -> dict[str, Any]:
    """Return the composed configuration as plain types, with what is found in the data.

    Raises:
        UserError: it makes no sense.
    """
    settings = valid(config, choices, overrides, config_dir)
    if is_open(settings["data"]):
        complete(settings, INFERRED)
        check(settings)
    return settings


def valid(
    config: Any, choices: Mapping[str, Any], overrides: Sequence[str], config_dir: str | None
) -> dict[str, Any]:
    """Return the composed configuration as plain types. Reads no data.

    Raises:
        UserError: a value is not possible, whatever the data are.
    """
    settings = plain(config)
    try:
        check(settings)
    except UserError as error:
        raise with_origin(error, choices, overrides, config_dir) from error
    return settings


def warn_of_unused(choices: Mapping[str, Any], config_dir: str | None) -> None:
    """Warn of files of the user's own that bear the name of one of cnntrain's."""
    for file in own_files(choices, config_dir):
        if file_of(file.parent.name, file.stem, config_dir) != file:
            choice = f"{file.parent.name}={file.stem}"
            Spokesman.remark(
                f"warning: {shortest(file)} is not used: cnntrain has an {choice} of its own; "
                "give yours another name"
            )


def composing(work: Callable[[], T], overrides: Sequence[str], config_dir: str | None) -> T:
    """Do work that composes a configuration; tell a mistake in the overrides in plain words."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        return work()
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError, OSError) as error:
        raise explained(error, overrides, config_dir) from error
