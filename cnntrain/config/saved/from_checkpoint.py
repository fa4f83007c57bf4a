"""The configuration that a checkpoint holds, which is not to be trusted, and what may change in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.config import own_runs
from cnntrain.config.compose import add_current_folder, compose, plain
from cnntrain.config.conf_files import conf_folder, groups, owners, read_yaml
from cnntrain.config.derived import with_folder
from cnntrain.config.inputs import inputs_of
from cnntrain.config.keys import KEYS, is_described, with_lists
from cnntrain.config.mistakes.suggestions import check_value, fill_in, other_tool_hint
from cnntrain.config.overrides import check_choice, parse, quoted
from cnntrain.config.saved.other_versions import upgraded_config
from cnntrain.config.validation.data import check_typed_root
from cnntrain.config.validation.machine import check_device, remark_on_threads
from cnntrain.config.validation.untrusted import refuse_interpolations, refuse_side_effects, without_servers
from cnntrain.config.validation.validate import check
from cnntrain.errors import CheckpointError, UserError, nearest
from cnntrain.runtime.ranks import Reporter
from cnntrain.text import printable, shown

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

# Whatever the images are, the network gets them as it got those that it was trained on.
PREPROCESSING = tuple(key.removeprefix("data.") for key, rule in KEYS.items() if rule.prepares)


def check_overridable(overrides: Sequence[str], allowed: Sequence[str], command: str) -> list[Override]:
    """Parse and check, before the checkpoint is read, what is typed after ``resume RUN`` or ``eval RUN``.

    Args:
        overrides: the overrides as typed; ``data=mnist`` takes a whole group from conf/.
        allowed: keys that the command takes, with all that is below them.
        command: its name, for messages.
    """
    offered = groups()
    parsed = parse([quoted(override) for override in overrides])
    for override in parsed:
        key = override.key_or_group
        if override.is_sweep_override():
            raise UserError(f"{override.input_line} names several values, and {command} takes one")
        if override.is_delete():
            raise UserError(f"{override.input_line}: {command} can change keys, but not remove them")
        if key not in allowed and not (key.startswith("data.source.") and "data.source" in allowed):
            value = (override.input_line or "").partition("=")[2]
            raise UserError(not_overridable(key, value, allowed, command, offered))
        if key in offered:
            check_choice(override, offered)
        else:
            check_value(key, override.value())
        if key == "threads":
            remark_on_threads(override.value())
        if key == "device":
            check_device(str(override.value()))
    # A group comes first, so that its keys can be changed.
    return sorted(parsed, key=lambda override: override.key_or_group not in offered)


def not_overridable(
    key: str, value: str, allowed: Sequence[str], command: str, offered: Mapping[str, Any]
) -> str:
    """Return the message for a key that a command does not take."""
    if key in KEYS or key in offered:
        anew = f": a new run can begin with its weights: cnntrain train init_from=last {key}=..."
        anew = anew if command == "resume" and key != "init_from" else ""
        return f"{key} can't be changed by {command}{anew}\n{command} takes {', '.join(allowed)}"
    near = nearest(key, allowed)
    instead = f"did you mean {fill_in(near[0], value)}?" if near else other_tool_hint(key, value)
    return f"unknown key {key}{f': {instead}' if instead else ''}\n{command} takes {', '.join(allowed)}"


def overridden(config: Mapping[str, Any], parsed: Sequence[Override]) -> dict[str, Any]:
    """Return a saved configuration with overrides laid over it.

    Args:
        config: plain types, from a checkpoint.
        parsed: the overrides, from :func:`check_overridable`.

    Raises:
        UserError: the data have no use for a key.
    """
    from omegaconf import OmegaConf

    offered = groups()
    result = OmegaConf.create(dict(config))
    names_class = any(override.key_or_group.startswith("data.source") for override in parsed)
    for override in parsed:
        key = override.key_or_group
        if key in offered:
            result[key] = compose([override.input_line or ""])[key]
            continue
        group, _, name = key.partition(".")
        if group == "data" and not names_class:
            check_has_key(result.data, name, override)
        OmegaConf.update(result, key, override.value(), merge=False, force_add=True)
    return plain(result)


def check_has_key(data: Mapping[str, Any], name: str, override: Override) -> None:
    """Raise a UserError if a class of ours that reads the data has no use for a key that is typed."""
    target = str(data["source"]["_target_"])
    if name in data or not is_described(target):
        return
    raise UserError(
        f"{override.key_or_group}={shown(override.value())}: the data are {target.rpartition('.')[2]}, which "
        f"takes no {name}: leave it out; it is for data={'|'.join(owners(override.key_or_group))}"
    )


def command_config(
    state: Mapping[str, Any],
    path: Path,
    command: str,
    parsed: Sequence[Override],
    folder: Path | None = None,
    own: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the configuration with which a command works on a checkpoint, checked.

    Its ``trust`` becomes None if the run is one of the user's own: then it is as if typed by the user.

    Args:
        state: the checkpoint.
        path: its file.
        command: whose YAML file in conf/ adds keys of its own.
        parsed: what was typed, from :func:`check_overridable`.
        folder: the run folder that it trains in; None: nothing trains, and only what matters then is checked.
        own: what the command adds besides.

    Raises:
        CheckpointError: the configuration is none that ``train`` would have written, or is not to be trusted.
        UserError: what was typed does not go with it.
    """
    added = {**read_yaml(conf_folder() / f"{command}.yaml"), **(own or {})}
    typed = with_lists({override.key_or_group: override.value() for override in parsed})
    trust = [str(package) for package in typed.get("trust", added["trust"])]
    is_of_this_user = own_runs.is_own(state)
    saved = saved_config(state, path, added, None if is_of_this_user else trust)
    config = overridden(saved, parsed)
    if "data.root" in typed:
        check_typed_root(config["data"])
    if folder is None:
        keep_preprocessing(config, saved["data"])
    else:
        config = with_folder(config, folder)
    check(config, trains=folder is not None)
    if trust or is_of_this_user:
        add_current_folder()
    if is_of_this_user:
        config["trust"] = None
    return config


def keep_preprocessing(config: dict[str, Any], trained_on: Mapping[str, Any]) -> None:
    """Let images reach the network in the form of those that it was trained on."""
    taken, given = inputs_of(trained_on), inputs_of(config["data"])
    if taken != given:
        raise UserError(f"the model takes {taken}, and these data have {given} (data.inputs)")
    config["data"].update({name: trained_on[name] for name in PREPROCESSING if name in trained_on})
    for name in ("num_classes", "targets"):  # a folder may lack some of the classes
        if config["data"][name] == "auto":
            config["data"][name] = trained_on[name]


def data_trust(config: Mapping[str, Any], parsed: Sequence[Override]) -> Sequence[str] | None:
    """Return what may be named as data: anything, if the user typed which data to take."""
    is_typed = any(o.key_or_group == "data" or o.key_or_group.startswith("data.source") for o in parsed)
    return None if is_typed else config["trust"]


def names_data(parsed: Sequence[Override]) -> bool:
    """Return whether the user typed where the data are, or which."""
    keys = [override.key_or_group for override in parsed]
    return any(key in ("data", "data.root") or key.startswith("data.source") for key in keys)


def saved_config(
    state: Mapping[str, Any], path: Path, own: Mapping[str, Any], trust: Sequence[str] | None = ()
) -> dict[str, Any]:
    """Return the configuration of a checkpoint with what the command's own YAML file adds to it.

    Args:
        state: the checkpoint.
        path: its file.
        own: keys of the command.
        trust: packages that it may name; None for a run of the user's own.

    Raises:
        CheckpointError: it is none that ``train`` would have written.
    """
    refuse_interpolations(state["config"], path)
    config, left_out = upgraded_config(state["config"])
    if left_out:
        Reporter.remark(
            f"warning: {printable(path)} comes from another version of cnntrain: this one does not know "
            f"{printable(', '.join(left_out))}, and ignores that"
        )
    config = with_lists({**config, **own})
    if trust is not None and config.get("compile") is True:
        config["compile"] = False
        Reporter.remark("compile=true in this checkpoint is ignored; type compile=true to compile")
    model = config.get("model")
    if isinstance(model, Mapping) and model.get("weights") is not None:
        # The checkpoint brings them; and those that were downloaded kept the stem that they came with.
        stem = {"small": False} if model.get("small") == "auto" else {}
        config["model"] = {**model, **stem, "weights": None}
    config["logger"] = without_servers(config.get("logger"))
    try:
        check(config, trains=False, runs_here=False)
        if trust is not None:
            for key, node in config.items():
                refuse_side_effects(key, node, trust)
    except CheckpointError:
        raise
    except (UserError, RecursionError) as error:
        raise CheckpointError(
            f"{printable(path)} holds a configuration that train does not write: {printable(error, 400)}"
        ) from error
    return config
