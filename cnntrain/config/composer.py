"""From overrides to a whole configuration that has been checked, as plain types."""

from __future__ import annotations

import pickle
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from cnntrain.annotations.auto import annotation_options, complete_canvas, inferred, inventory_of
from cnntrain.config.compose import compose, plain
from cnntrain.config.conf_files import choice_file, default, groups, read_yaml, user_files
from cnntrain.config.hydra_errors import explain_error, shortest, with_origin
from cnntrain.config.inputs import IMAGES, inputs_of
from cnntrain.config.instantiate import build_source
from cnntrain.config.keys import AUTO, INFERRED, SCORES, SHAPE, TARGETS_OF, TASK_OF, loss_of, needs_inference
from cnntrain.config.overrides import parse
from cnntrain.config.validation.data import check_typed_root
from cnntrain.config.validation.validate import check
from cnntrain.errors import UserError
from cnntrain.image_folder.layout import FOLDER
from cnntrain.runtime.ranks import Reporter
from cnntrain.sequences.auto import complete_sequences
from cnntrain.sequences.layout import inputs_in
from cnntrain.text import printable

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

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
        with explaining_errors(overrides, self.config_dir):
            composition = self.composed(overrides)
        composition.check()
        return composition.completed()

    def composed(self, overrides: Sequence[str]) -> Composition:
        """Return what Hydra composes for a job."""
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
        return Composition(config, hydra, overrides, self.config_dir)

    def parse(self, word: str) -> Override:
        """Parse an override, which most jobs have in common."""
        if word not in self.parsed:
            (self.parsed[word],) = parse([word])
        return self.parsed[word]

    def is_value(self, override: Override) -> bool:
        """Return whether an override only sets a value, as Hydra would do it last of all."""
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
            self.bases[overrides] = (pickle.dumps(config), hydra)
        return self.bases[overrides]


@dataclass
class Composition:
    """What Hydra composed: a configuration to be checked, and to be completed from the data.

    Args:
        config: the config as Hydra composed it.
        hydra: Hydra's own part: the choices of the groups, and the folders that it was given.
        typed: the overrides.
        config_dir: the user's own folder of groups.
        of_layers: whether the model is only looked at: nothing trains, perhaps on another machine.
    """

    config: DictConfig
    hydra: Any
    typed: Sequence[str]
    config_dir: str | None
    of_layers: bool = False

    def __post_init__(self) -> None:
        """Resolve the values, and note which of them depend on the data."""
        self.settings = plain(self.config)
        infer_task(self.settings)
        self.is_open = needs_inference(self.settings["data"], *([SHAPE] if self.of_layers else []))

    def check(self) -> None:
        """Check what can be checked without the data.

        Raises:
            UserError: a value is not possible; the message names the file of the user's that it stands in.
        """
        trains = not self.of_layers
        try:
            check(self.settings, trains=trains, runs_here=trains, reads_data=trains or self.is_open)
        except UserError as error:
            raise with_origin(error, self.hydra.runtime.choices, self.typed, self.config_dir) from error

    def completed(self) -> dict[str, Any]:
        """Return the configuration as plain types, with what is found in the data; checked before.

        Raises:
            UserError: the data can't be used, or do not go with the other values.
        """
        if not self.of_layers and any(word.startswith("data.root=") for word in self.typed):
            check_typed_root(self.settings["data"])
        if self.is_open:
            infer_from_data(self.settings)
            infer_task(self.settings)
            self.check()
        elif self.of_layers and self.settings["data"].get("targets") == "auto":
            self.settings["data"]["targets"] = "classes"  # layers are shown without the data
            infer_task(self.settings)
        warn_of_unused(self.hydra.runtime.choices, self.config_dir)
        return self.settings


def infer_from_data(settings: dict[str, Any]) -> None:
    """Replace each ``auto`` by what the data say about the group ``data``: a folder, or sequences.

    Args:
        settings: a configuration, checked, as plain types.

    Raises:
        UserError: the data do not tell, or can't be used.
    """
    data = settings["data"]
    if inputs_of(data) != IMAGES:
        complete_sequences(data, lambda train: build_source(data, None, train=train))
        return
    wanted = [name for name in INFERRED if data[name] == "auto"]
    if not wanted:
        return
    if data["source"]["_target_"] != FOLDER:
        raise UserError(f"data.{wanted[0]}=auto is for data=folder: give its value")
    learnt = TARGETS_OF.get(str(settings["task"]["_target_"]), "auto")
    asked = annotation_options(data if data["targets"] != "auto" else {**data, "targets": learnt})
    root, how = data["root"], (data["on_bad_image"], data["max_megapixels"], settings["verbose"])
    try:
        inventory, source = inventory_of(root, asked, *how), data["source"]
    except UserError as error:
        if inputs := inputs_in(str(root)):
            typed = f"data={inputs}_folder data.root={shlex.quote(str(root))} model=lstm"
            raise UserError(f"data.root={printable(root)} holds {inputs}, and no images: {typed}") from error
        raise
    test_fraction = source.get("test_fraction", default("source.test_fraction", "data/folder"))
    data |= inferred(wanted, root, inventory, test_fraction, data["channels"], data["value_range"])


def infer_task(settings: dict[str, Any]) -> None:
    """Replace ``auto`` by the task that the data are for, its loss and its first score.

    Data that can have several kinds of targets, such as canvases, have those that a chosen task learns from.

    Args:
        settings: a configuration as plain types. While ``data.targets`` is ``auto`` itself, or is not
            possible, task and loss are left as they are.
    """
    data, task = settings.get("data"), settings.get("task")
    if isinstance(data, dict):
        chosen = str(task.get("_target_")) if isinstance(task, Mapping) else ""
        complete_canvas(data, TARGETS_OF.get(chosen, ""))
    targets = str(data.get("targets")) if isinstance(data, Mapping) else "auto"
    for group, choice in (("task", TASK_OF.get(targets)), ("criterion", loss_of(targets))):
        node = settings.get(group)
        if choice is not None and isinstance(node, Mapping) and node.get("_target_") == AUTO:
            own, unset = read_yaml(choice_file(group, choice)), read_yaml(choice_file(group, AUTO))
            typed = {name: v for name, v in node.items() if name in own or v != unset.get(name)}
            settings[group] = {**own, **typed, "_target_": own["_target_"]}
    task = settings.get("task")
    scores = SCORES.get(str(task.get("_target_"))) if isinstance(task, Mapping) else None
    if settings.get("monitor") == "auto" and scores is not None:
        settings["monitor"] = scores.monitors[0]


def warn_of_unused(choices: Mapping[str, Any], config_dir: str | None) -> None:
    """Warn of files of the user's own that bear the name of one of cnntrain's."""
    for file in user_files(choices, config_dir):
        if choice_file(file.parent.name, file.stem, config_dir) != file:
            choice = f"{file.parent.name}={file.stem}"
            Reporter.remark(
                f"warning: {shortest(file)} is not used: cnntrain has its own {choice}; rename yours"
            )


def composed(
    overrides: Sequence[str], config_dir: str | None, name: str = "train", of_layers: bool = False
) -> Composition:
    """Compose a configuration and check what can be checked without the data.

    Args:
        overrides: normalized.
        config_dir: the user's own folder of groups.
        name: the file of defaults in conf/.
        of_layers: whether the model is only looked at.

    Raises:
        UserError: it can't be composed, or makes no sense.
    """
    with explaining_errors(overrides, config_dir):
        config = compose(overrides, config_dir, name, with_hydra=True)
        composition = Composition(config, config.hydra, overrides, config_dir, of_layers)
    composition.check()
    return composition


@contextmanager
def explaining_errors(overrides: Sequence[str], config_dir: str | None) -> Iterator[None]:
    """Explain plainly what goes wrong while a configuration is composed: a mistake in the overrides."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        yield
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError, OSError) as error:
        raise explain_error(error, overrides, config_dir) from error
