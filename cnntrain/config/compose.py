"""How Hydra composes the configuration, and what it does around a job.

Imports no torch. Hydra is imported inside the functions that need it, since ``--help`` does not.
"""

from __future__ import annotations

import functools
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.config.conf_files import conf_folder, conf_folders
from cnntrain.config.keys import with_current_paths, with_lists
from cnntrain.errors import UserError

if TYPE_CHECKING:
    from hydra.experimental.callback import Callback
    from omegaconf import DictConfig


def prepare_hydra(config_dir: str | None = None) -> None:
    """Let Hydra raise its exceptions, and let it find ``conf/`` and classes in the current folder.

    Args:
        config_dir: the user's own folder of groups, unless Hydra knows it in another way.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"
    search_path_plugin().config_dir = config_dir
    add_current_folder()


@functools.cache  # a process can register a plugin only once
def search_path_plugin() -> Any:
    """Let Hydra find ``conf/`` in the current folder, whatever folder that is by then."""
    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.core.plugins import Plugins
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    class UserFolders(SearchPathPlugin):
        config_dir: str | None = None

        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            for folder in conf_folders(self.config_dir)[1:]:
                search_path.append(provider="a folder of one's own", path=f"file://{folder}")

    Plugins.instance().register(UserFolders)
    return UserFolders


def add_current_folder() -> None:
    """Let ``model._target_=my_pkg.MyNet`` find my_pkg here; last in the path, so that it shadows nothing."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def compose(
    overrides: Sequence[str], config_dir: str | None = None, name: str = "train", with_hydra: bool = False
) -> DictConfig:
    """Compose a configuration as ``train`` would, without running anything."""
    from hydra import compose as hydra_compose

    # Hydra takes no null for a group. It is the default here, and among several values it is one to choose.
    overrides = [override for override in overrides if override != "experiment=null"]
    with initialized(config_dir):
        return hydra_compose(name, overrides=overrides, return_hydra_config=with_hydra)


def initialized(config_dir: str | None) -> AbstractContextManager[None]:
    """Return what lets Hydra compose from conf/ and the user's own folder of groups, once it is entered."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    prepare_hydra(config_dir)
    GlobalHydra.instance().clear()
    entered: AbstractContextManager[None] = initialize_config_dir(
        str(conf_folder()), job_name="cnntrain", version_base="1.3"
    )
    return entered


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a configuration as plain types, every interpolation resolved."""
    from omegaconf import OmegaConf
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

    own = config
    if "hydra" in config:
        own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    try:
        container = OmegaConf.to_container(own, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        value = "my_pkg.MyClass" if str(error.full_key).endswith("_target_") else "VALUE"
        raise UserError(f"{error.full_key} is missing: give it as {error.full_key}={value}") from error
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key or 'the configuration'}: {first_line(error)}") from error
    assert isinstance(container, dict)
    return with_lists({str(key): with_current_paths(value) for key, value in container.items()})


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's text that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


@contextmanager
def hydra_job(config: DictConfig, name: str) -> Iterator[Path | None]:
    """Do around some work what ``hydra.main`` does around a job: folder, logs, environment and callbacks.

    ``hydra.main`` itself would call the work, below ten functions of its own.

    Args:
        config: the config as Hydra composed it, with its own part.
        name: the file of defaults in conf/.

    Yields:
        The folder that ``hydra.run.dir`` names; None if it names none.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.utils import JobReturn, JobStatus, configure_log, env_override
    from omegaconf import OmegaConf, open_dict, read_write

    state, start, outcome = HydraConfig.instance(), Path.cwd(), JobReturn()
    before = state.cfg
    state.set_config(config)
    try:
        folder = Path(str(config.hydra.run.dir))
        with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
            config.hydra.runtime.output_dir = str(folder.absolute())
        state.set_config(config)
        outcome.cfg, outcome.hydra_cfg = config, config
        outcome.overrides = list(config.hydra.overrides.task)
        callbacks = build_callbacks(config)
        notify(callbacks, "on_run_start", config=config, config_name=name)
        folder.mkdir(parents=True, exist_ok=True)
        if config.hydra.job.chdir:
            os.chdir(folder)
        for logging in (config.hydra.hydra_logging, config.hydra.job_logging):
            configure_log(logging, config.hydra.verbose)
        if config.hydra.output_subdir is not None:
            saved = Path(config.hydra.runtime.output_dir) / config.hydra.output_subdir
            saved.mkdir(parents=True, exist_ok=True)
            OmegaConf.save(OmegaConf.masked_copy(config, ["hydra"]), saved / "hydra.yaml")
            OmegaConf.save(config.hydra.overrides.task, saved / "overrides.yaml")
            own = [str(key) for key in config if key != "hydra"]
            OmegaConf.save(OmegaConf.masked_copy(config, own), saved / "config.yaml")
        with env_override(config.hydra.job.env_set):
            notify(callbacks, "on_job_start", config=config, task_function=lambda config: None)
            outcome.status = JobStatus.FAILED
            try:
                yield folder if str(folder) != "." else None
                outcome.status, outcome.return_value = JobStatus.COMPLETED, None
            except Exception as error:
                outcome.return_value = error
                raise
            finally:
                callbacks.reverse()  # the last to begin is the first to end
                notify(callbacks, "on_job_end", config=config, job_return=outcome)
                notify(callbacks, "on_run_end", config=config, config_name=name, job_return=outcome)
    finally:
        state.cfg = before
        os.chdir(start)


def build_callbacks(config: DictConfig) -> list[Callback]:
    """Build the callbacks that a configuration names at ``hydra.callbacks``."""
    from hydra.utils import instantiate

    return [instantiate(node) for node in (config.hydra.get("callbacks") or {}).values()]


def notify(callbacks: Iterable[Callback], event: str, **details: Any) -> None:
    """Call a method of every callback. As in Hydra, an error in one is only a warning."""
    for callback in callbacks:
        try:
            getattr(callback, event)(**details)
        except Exception as error:
            name = f"{type(callback).__name__}.{event}"
            warnings.warn(f"Callback {name} raised {type(error).__name__}: {error}", stacklevel=2)
