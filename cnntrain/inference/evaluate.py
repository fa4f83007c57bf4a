"""``cnntrain eval``: what a trained model makes of one of the splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnntrain import loop
from cnntrain.config.sections import DataSettings, EndSettings, EvalSettings, PreviousRunSettings
from cnntrain.data.loader import EvalLoader
from cnntrain.data.open import Data, open_data, warn_of_no_record, warn_of_other_data
from cnntrain.data.trained_on import Images, PreviousRun
from cnntrain.errors import CheckpointError, RunFailed, UserError
from cnntrain.image_folder.members import recorded_split
from cnntrain.inference.model import Trained
from cnntrain.runs import checkpoint, run_folder
from cnntrain.runs.records import CheckpointState
from cnntrain.runtime import distributed
from cnntrain.runtime.console import Console, count
from cnntrain.runtime.ranks import is_main
from cnntrain.tasks.classes import renumbered, renumbering
from cnntrain.tasks.metrics import Result
from cnntrain.text import argument, shown_path, together

OTHERWISE = (
    "name the folder as other data, whose training images are left out of the test: "
    "eval RUN data=folder data.root=DIR"
)


def is_finished(path: Path, state: CheckpointState) -> bool:
    """Return whether the run of a checkpoint has been trained to its end, and tested."""
    run = path.parent.parent
    try:
        last = state if path.name == checkpoint.LAST else checkpoint.load(path.with_name(checkpoint.LAST))
    except CheckpointError:  # it was removed, say; this one can be evaluated all the same
        return (run / "summary.json").exists()
    end = EndSettings.from_config(last["config"])
    return run_folder.is_finished(run, last, end.epochs, end.early_stopping)


def evaluate(
    settings: EvalSettings,
    path: Path,
    state: CheckpointState,
    command: str,
    other_data: bool = False,
    data_trust: Sequence[str] | None = (),
) -> Result:
    """Evaluate a checkpoint on one of the splits, and write ``eval_<split>.json`` beside a run's other files.

    Args:
        settings: the model, and what it is evaluated on.
        path: the checkpoint file.
        state: its contents.
        command: the command as typed.
        other_data: whether data were named in it, rather than those of the run moved or left in their place.
        data_trust: packages that the configuration may name under ``data``; None for what the user typed.
    """
    console = Console(settings.trained.engine.verbose if is_main() else -1)
    trained, split = Trained(settings.trained, path, state), settings.split
    device, class_names = trained.device, trained.class_names
    run = path.parent.parent if path.parent.name == run_folder.CHECKPOINTS else None
    data, is_recorded = data_for(settings, trained, state, run, console, other_data, data_trust)
    numbers = renumbering(data.train.class_names, class_names)
    if numbers is not None:
        console.line("the data have the classes of the model in another order: they are matched by name")
    images, indices = images_of(split, data, settings.trained.data, console)
    if run is not None and split == "test" and not is_finished(path, state):
        console.warn(
            f"{shown_path(run)} is not finished: keep the test set for the end; use split=val\n"
            f"to go on: cnntrain resume {argument(run)}"
        )
    workers = settings.trained.data.workers
    loader = EvalLoader(images, indices, settings.eval_batch_size, trained.normalize, device, workers)
    model = trained.task.views(trained.model, settings.tta) if settings.tta else trained.model
    batches = renumbered(console.followed(loader, f"evaluating on {split}"), numbers)
    evaluation = trained.task.evaluation(device)
    result = loop.evaluate(
        model, trained.task.collate(batches), trained.criterion, evaluation, trained.precision
    )
    if not torch.isfinite(torch.tensor(result.loss)):
        raise RunFailed(f"the loss on {split} is {result.loss}: the checkpoint's weights are unusable")

    if data.members is not None:
        recorded = ", those that the run recorded" if is_recorded else ""
        root = shown_path(settings.trained.data.root or "")
        console.line("data.root={}: {}", root, f"{count(len(indices), f'{split} image')}{recorded}")
    views = f", mean over views by {together(settings.tta)}" if settings.tta else ""
    console.line("{}  {}", shown_path(path), f"{trained.age}, {device}, {trained.precision.name}{views}")
    trained.task.show_result(console, split, result, class_names)
    if run is not None and is_main():
        about = {"checkpoint": path.name, "split": split, "tta": settings.tta}
        report = {**about, **result.as_dict(), **result.details(class_names), "command": command}
        write_result(run / f"eval_{split}.json", report, console)
    return result


def data_for(
    settings: EvalSettings,
    trained: Trained,
    state: CheckpointState,
    run: Path | None,
    console: Console,
    other_data: bool,
    trust: Sequence[str] | None,
) -> tuple[Data, bool]:
    """Return the data to evaluate on, and whether their split is the one that the run recorded.

    Warn of data that may hold images on which the model was trained.

    Args:
        settings: what the model is evaluated on.
        trained: the model.
        state: the contents of its checkpoint.
        run: its run folder; None if the checkpoint lies in none.
        console: where warnings are printed.
        other_data: see :func:`evaluate`.
        trust: packages that the configuration may name under ``data``; None for what the user typed.
    """
    known, before = settings.trained.data, PreviousRunSettings.from_config(state["config"]).source
    run_split = recorded_split(
        known.source, before, state.get("split"), run, (settings.split,), other_data, OTHERWISE
    )
    earlier = PreviousRun(trained.path, state)
    data = distributed.rank_zero_first(
        lambda: open_data(known, trained.device, console, trust, trained.class_names, run_split, earlier)
    )
    if run_split is None:
        if not other_data and not earlier.has_same_data(known, data.train):
            warn_of_other_data(console)
        return data, False
    if run_split.members is None:
        warn_of_no_record(run_split, state, data, known.root or "", console)
    return data, bool(run_split.members) and run_split.binds


def images_of(split: str, data: Data, settings: DataSettings, console: Console) -> tuple[Images, Tensor]:
    """Return the images that hold a split, and the indices of its own.

    Args:
        split: ``train``, ``val`` or ``test``.
        data: all images.
        settings: what they are called, and the share that is the validation set.
        console: where to print what is left out.

    Raises:
        UserError: there are none.
    """
    if split == "test":
        images, indices = data.test, torch.arange(len(data.test))
    else:
        images, indices = data.train, data.train_indices if split == "train" else data.val_indices
    if split == "val" and data.held_back:
        held_back = count(data.held_back, settings.called.word)
        left = f"{held_back} of the val part left out: the model was trained on them"
        if len(indices) == 0:
            raise UserError(f"split=val holds no {settings.called.words}: {left}")
        console.warn(left)
    if len(indices) == 0:
        fraction = settings.val_fraction
        raise UserError(f"split={split} holds no {settings.called.words}: data.val_fraction is {fraction}")
    return images, indices


def write_result(target: Path, report: Mapping[str, Any], console: Console) -> None:
    """Write what was evaluated beside a run's other files, if that is possible."""
    try:
        run_folder.write_json(target, report)
    except OSError as error:  # a colleague's run, or a read-only disk: the result is on the screen
        console.warn(f"{shown_path(target)} can't be written: {error.strerror or error}")
    else:
        console.line("[dim]written to {}[/]", shown_path(target))
