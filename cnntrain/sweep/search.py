"""Hyperparameter search: Optuna is asked for the next point and told the outcome.

Its records are a file in the sweep's folder that it only appends to. So a search that was killed goes
on with what it had learnt, and a job that was under way is taken up again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cnntrain.config.keys import KEYS
from cnntrain.config.overrides import parse
from cnntrain.config.schema import WHOLE
from cnntrain.config.sections import SearchSettings
from cnntrain.errors import Pruned
from cnntrain.runs.records import EpochRow, JobRecord
from cnntrain.runtime.regular_files import append_regular
from cnntrain.sweep.plan import draws_logarithms
from cnntrain.tasks.scores import Figure

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

RECORDS = "optuna.log"
STUDY = "cnntrain"
JOB = "job"  # the attribute of a trial that names its job
STARTUP_TRIALS = 5  # that are never stopped early, so that there is something to compare with


class Search:
    """Asks for points and tells results.

    Args:
        folder: the sweep's folder.
        settings: what is searched, and how.
        monitor: the figure that counts.
    """

    def __init__(self, folder: Path, settings: SearchSettings, monitor: Figure) -> None:
        import optuna

        self.monitor = monitor
        self.n_trials = settings.n_trials
        self.space = {key: distribution(text) for key, text in settings.space.items()}
        self.typed_keys = {key: text.partition("=")[0] for key, text in settings.space.items()}  # ++
        self.study, _ = open_study(folder, monitor, settings.prune)
        for trial in self.trials():
            if not trial.state.is_finished() and JOB not in trial.user_attrs:  # killed before it began
                self.study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        samplers: dict[str, Any] = {
            "tpe": functools.partial(optuna.samplers.TPESampler, constant_liar=True),  # for jobs side by side
            "random": optuna.samplers.RandomSampler,
        }
        # Another seed when a search goes on, or it would draw again what it has drawn.
        self.study.sampler = samplers[settings.sampler](seed=settings.seed + len(self.trials()))

    def trials(self) -> list[Any]:
        """Return all trials, not to be changed: to copy them for every question takes ever longer."""
        trials: list[Any] = self.study.get_trials(deepcopy=False)
        return trials

    def left(self) -> int:
        """Return how many points are still to be asked for."""
        return max(0, self.n_trials - sum(JOB in trial.user_attrs for trial in self.trials()))

    def jobs(self) -> Iterator[tuple[str, list[str], int | None]]:
        """Yield each job that was asked for: its name, its overrides, and its trial if that is unfinished."""
        for trial in self.trials():
            if JOB in trial.user_attrs:
                unfinished = None if trial.state.is_finished() else trial.number
                yield trial.user_attrs[JOB], self.words(trial.params), unfinished

    def words(self, parameters: Mapping[str, Any]) -> list[str]:
        """Return the overrides of a point."""
        return [f"{self.typed_keys[key]}={typed(parameters[key])}" for key in self.space]

    def ask(self, name_for: Callable[[list[str]], str]) -> tuple[int, str, list[str]]:
        """Return a new trial's number, its job's name and its overrides.

        Args:
            name_for: names a job after its overrides.
        """
        trial = self.study.ask(self.space)
        words = self.words(trial.params)
        name = name_for(words)
        trial.set_user_attr(JOB, name)  # without which it never happened
        return trial.number, name, words

    def tell(self, number: int, record: JobRecord) -> None:
        """Record the outcome of a trial. One that failed or diverged is not the end of the search."""
        import optuna

        states = optuna.trial.TrialState
        if record["state"] == "finished":
            self.study.tell(number, self.monitor.in_row(record))
        else:
            state = states.PRUNED if record["state"] == "pruned" else states.FAIL
            self.study.tell(number, state=state)


class KernelLock:
    """A lock on the records that ends with its process. Optuna's own outlives one that is killed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def acquire(self) -> bool:
        """Wait for the lock."""
        self.file = append_regular(self.path)
        fcntl.lockf(self.file, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Release the lock."""
        self.file.close()


def lock(folder: Path) -> Any:
    """Return the lock on a search's records; None, which is Optuna's own, where the system has none."""
    return KernelLock(folder / f".{RECORDS}.lock") if fcntl is not None else None


def open_study(folder: Path, monitor: Figure, prunes: bool) -> tuple[Any, Any]:
    """Return a search as Optuna's study and the storage of its records, which are begun if there are none."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    median = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=1)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / RECORDS), lock(folder)))
    study = optuna.create_study(
        study_name=STUDY,
        storage=storage,
        direction="maximize" if monitor.score.higher_is_better else "minimize",
        pruner=median if prunes else optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    return study, storage


def pruning(folder: Path, monitor: Figure, number: int, epochs: int) -> Callable[[EpochRow], None]:
    """Return what a job calls after each epoch, which raises Pruned if there is no hope for it.

    After the last epoch there is nothing left to be saved.
    """
    study, storage = open_study(folder, monitor, prunes=True)
    study_id = storage.get_study_id_from_name(STUDY)
    trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, number)

    def after_epoch(row: EpochRow) -> None:
        value = monitor.in_row(row)
        if value is None or row["epoch"] == epochs:
            return
        storage.set_trial_intermediate_value(trial_id, row["epoch"], value)
        if study.pruner.prune(study, storage.get_trial(trial_id)):
            worse = f"{monitor.name} is worse than the median at that epoch"
            raise Pruned(f"stopped after epoch {row['epoch']}: {worse}")

    return after_epoch


def distribution(text: str) -> Any:
    """Return what Optuna draws from for an override such as ``optim.lr=interval(1e-4,1e-1)``."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    override = parse([text])[0]
    sweep: Any = override.value()
    if override.is_interval_sweep():
        low, high = float(sweep.start), float(sweep.end)
        log = draws_logarithms(override)
        rule = KEYS.get(override.key_or_group)
        if rule is not None and rule.kind in WHOLE:
            return IntDistribution(int(low), int(high), log=log)
        return FloatDistribution(low, high, log=log)
    if override.is_range_sweep() and all(isinstance(v, int) for v in (sweep.start, sweep.stop, sweep.step)):
        values = range(sweep.start, sweep.stop, sweep.step)
        return IntDistribution(min(values), max(values), step=abs(sweep.step))
    return CategoricalDistribution(list(override.sweep_string_iterator()))


def typed(value: Any) -> str:
    """Return a value as it would be typed, floats with four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
