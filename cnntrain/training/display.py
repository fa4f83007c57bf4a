"""What a run says about itself on the screen: the header before it begins, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from cnntrain import __version__
from cnntrain.config.inputs import IMAGES
from cnntrain.config.schema import Config
from cnntrain.config.sections import DataSettings, HeaderSettings, strengths
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.open import Data
from cnntrain.data.sequences.words import steps_in_words
from cnntrain.runtime.console import Console, Verbatim, count, joined
from cnntrain.runtime.hardware import cores
from cnntrain.tasks.doctor import Finding
from cnntrain.tasks.metrics import Result
from cnntrain.tasks.scores import VAL_LOSS
from cnntrain.text import argument, network_name, shown_path
from cnntrain.training.doctor.diagnosis import show_finding
from cnntrain.training.init_from import in_words
from cnntrain.training.sentences import on_running_mean
from cnntrain.training.trainer import Trainer

MOST_TOLD = 3  # findings of the doctor; the others are in summary.json


def show_header(
    trainer: Trainer,
    settings: HeaderSettings,
    data: Data,
    engine: str,
    started: Mapping[str, Any] | None,
    level: int = 1,
) -> None:
    """Print what is about to be trained, on what, and where it goes."""
    model, freezing = trainer.learner.model, trainer.learner.freezing
    console, device = trainer.output.console, trainer.train_batches.device
    sizes = [
        f"{len(data.train_indices):,} train",
        f"{len(data.val_indices):,} val",
        f"{len(data.test):,} test",
    ]
    shape = "×".join(map(str, settings.data.shape))
    if settings.data.inputs != IMAGES:
        shape = steps_in_words(settings.data)
    optim = settings.optim
    lr = optim.get("lr", "of its own")
    scales = joined([f"{name} ×{scale:g}" for name, scale in settings.lr_scale.items()])
    scales = f" ({scales})" if scales else ""
    fused = " (fused)" if optim.get("fused") else ""
    name_of_gpu = f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
    averaged = f", averaged over steps (ema {settings.ema:g})" if settings.ema is not None else ""
    source = settings.data.source
    name = source.get("dataset", source["_target_"].rpartition(".")[2])
    warn_of_workers(console, settings.data, data)
    console.line(f"[bold]cnntrain {__version__}[/]", level=level)
    console.facts(
        {
            "data": f"{name}: {', '.join(sizes)}; {shape}, {data_classes(data)}",
            "": data.path,
            "augment": ", ".join(f"{k} {v:g}" for k, v in strengths(settings.augment).items()) or "none",
            "model": f"{network_name(settings.model, type(model).__name__)}, {freezing}{averaged}",
            **({"start": in_words(started, data.train.class_names)} if started is not None else {}),
            "optimizer": joined(
                [
                    f"{optim['_target_'].rpartition('.')[2]}{fused}, lr {lr}{scales}",
                    f"{name_of_schedule(settings.schedule['_target_'])} schedule",
                    f"batch size {settings.batch_size}",
                ]
            ),
            "device": f"{device}{name_of_gpu}",
            "precision": engine,
            "run folder": shown_path(trainer.output.folder),
        },
        level,
    )


def show_configuration(console: Console, config: Config) -> None:
    """Print the whole configuration, with verbose=2."""
    if console.verbose >= 2:
        from omegaconf import OmegaConf

        console.line("\n{}", Verbatim(OmegaConf.to_yaml(config)), level=2)


def name_of_schedule(target: str) -> str:
    """Return the name of a schedule's class; of one of our own, the name that is typed."""
    name = target.rpartition(".")[2]
    return name.lower() if target.startswith("cnntrain.") else name


def warn_of_workers(console: Console, settings: DataSettings, data: Data) -> None:
    """Explain why worker processes will not make loading faster, if they will not."""
    workers = settings.workers
    if workers and isinstance(data.train, InMemoryDataset):
        console.warn(
            f"workers={workers}: the {settings.called.words} are in memory, and worker processes cost more "
            "time there than they save: workers=0 is faster"
        )
    elif workers > cores():
        console.warn(
            f"workers={workers}: this process may use {count(cores(), 'core')}, and more workers than cores "
            "load no faster"
        )


def data_classes(data: Data) -> str:
    """Return the number of classes in words."""
    return count(len(data.train.class_names), "class")


def show_end(
    console: Console,
    folder: Path,
    trainer: Trainer,
    result: Result,
    class_names: tuple[str, ...],
    tells_test: bool,
) -> None:
    """Print the test result, if it is to be shown, where everything is, and what to type next."""
    best = trainer.progress.best
    chosen = f"epoch {best['epoch']}, the best by {trainer.budget.monitor.name}" if best else "the last epoch"
    console.line()
    if tells_test:
        trainer.task.show_result(console, "test", result, class_names, level=2)
    elif best:
        main = trainer.progress.scores.ranked[0]
        loss = f"{VAL_LOSS.score.words} {VAL_LOSS.text_in(best)}"
        console.line(f"[bold]{main.words} {main.text_in(best)}[/]  {loss}")
    loading = f"data loading: {trainer.train_batches.stopwatch.share:.0%} of training time"
    console.line(f"[dim]weights of {chosen}; {loading}[/]")
    if tells_test and (text := on_running_mean(trainer.progress.history, trainer.task.scores)):
        console.line(f"[dim]{text}[/]")
    console.line("run folder: [bold]{}[/]", shown_path(folder))
    if tells_test and trainer.task.details:
        console.command(trainer.task.details, f"cnntrain eval {argument(folder)}")


def show_findings(console: Console, findings: Sequence[Finding]) -> None:
    """Print what the training doctor has found: the first few, the others are in summary.json."""
    for finding in findings[:MOST_TOLD]:
        show_finding(console, finding)
