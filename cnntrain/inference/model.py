"""A trained model with all that it takes to use it: ``load("outputs/train/RUN").predict(images)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cnntrain.compute.autotune import tune
from cnntrain.compute.outputs import predictions_of
from cnntrain.compute.precision import Precision
from cnntrain.config.inputs import IMAGES, TEXT
from cnntrain.config.keys import OVERRIDABLE
from cnntrain.config.saved.from_checkpoint import check_overridable
from cnntrain.config.sections import DataSettings, TrainedSettings
from cnntrain.data.augment.crop import central
from cnntrain.data.images import fit_images
from cnntrain.data.resize import boxes_to_file, side_or_both
from cnntrain.data.sequences.batch import batch_of
from cnntrain.data.sequences.dataset import as_steps
from cnntrain.data.sequences.standardize import normalizing
from cnntrain.errors import UserError, describe_error
from cnntrain.image_folder.opening import Decoding
from cnntrain.inference.saved_run import open_best
from cnntrain.runtime import distributed
from cnntrain.sequences.reading import series, text
from cnntrain.sequences.tokens import Tokens
from cnntrain.tasks.boxes import BoxTask
from cnntrain.training.components.components import build_model, build_task, load_weights
from cnntrain.training.components.criterion import build_criterion
from cnntrain.training.components.device import compile_model, find_device
from cnntrain.training.components.foresight import check_size


class Trained:
    """A model from a checkpoint, with its preprocessing and the names of its classes.

    Args:
        settings: what the checkpoint's configuration, overridden by the command's, says about the model.
        path: the checkpoint file.
        state: its contents.
    """

    def __init__(self, settings: TrainedSettings, path: Path, state: Mapping[str, Any]) -> None:
        self.path = path
        self.age = age_of(state["progress"])
        self.class_names = tuple(state["class_names"])
        self.normalization: dict[str, list[float]] = state["normalization"]
        data, trust = settings.data, settings.trust
        self.trust = trust
        self.shape = data.shape
        self.inputs, self.features = data.inputs, data.features
        self.tokens = Tokens(data.tokens, data.vocabulary) if data.inputs == TEXT else None
        check_shape(data, state)
        self.resize, self.resize_size = data.resize, side_or_both(data.read_size)
        self.decoding = Decoding(data.max_megapixels, data.value_range)
        self.device = find_device(settings.device)
        check_size(settings.model, state["model"], path, trust)
        self.task = build_task(settings.model, trust)
        self.task.use(state["progress"].get("chosen", {}))
        model = build_model(settings.model, trust)
        load_weights(model, state["model"], path)
        self.model: nn.Module = model.to(self.device).eval()
        criterion = build_criterion(settings.criterion, trust, self.task)
        self.criterion = criterion.to(self.device)
        engine, _ = distributed.on_rank_zero(
            lambda: tune(settings.engine, self.model, self.criterion, self.task.dummy, self.device)
        )
        engine.prepare(self.model)
        if settings.compile:
            compile_model(self.model, self.shape, self.device)
        self.precision = Precision(engine.precision, self.device)
        known = replace(data, mean=self.normalization["mean"], std=self.normalization["std"])
        self.normalize = normalizing(known, self.device, engine.memory_format)

    def predict(self, images: Tensor | np.ndarray | Sequence[Any]) -> Tensor:
        """Return what the task makes of the outputs, on the CPU: probabilities, float32 (N, classes), say.

        Boxes are in pixels of the images that are given.

        Args:
            images: uint8 (N, C, H, W); grey or colour, and of any size, as long as all have the same.
                Those of the network's own size are taken as they are, others are scaled as in training.
                A model of sequences takes a list of series, arrays (T, F), or of texts.

        Raises:
            UserError: they are something else.
        """
        if self.inputs != IMAGES:
            return self.seen(batch_of(self.steps_of(images)))
        images = checked_images(images)
        channels, size = self.shape[0], self.shape[1:]
        side = size if images.shape[2:] == size else self.resize_size
        given = images.shape[2], images.shape[3]
        found = self.seen(central(fit_images(images.cpu(), channels, side, self.resize), size))
        if isinstance(self.task, BoxTask):
            found[..., :4] = boxes_to_file(found[..., :4], given, size, self.resize, side)
        return found

    def steps_of(self, sequences: Sequence[Any] | Tensor | np.ndarray) -> list[Tensor]:
        """Return the steps of sequences as the network gets them, float32 (T, F) each.

        Raises:
            UserError: one is no sequence such as the network was trained on.
        """
        found, check = [], text if self.tokens is not None else series
        for number, sequence in enumerate(sequences):
            try:
                steps = as_steps(check(sequence), self.tokens)
            except (TypeError, ValueError) as error:
                raise UserError(f"predict: sequence {number}: {describe_error(error)}") from error
            if steps.shape[1] != self.features:
                raise UserError(
                    f"predict: sequence {number} has {steps.shape[1]} features, and the model takes "
                    f"{self.features}"
                )
            found.append(torch.from_numpy(steps[: self.shape[1]]))
        return found

    def seen(self, images: Tensor) -> Tensor:
        """Return what the task makes of the outputs, on the CPU, for images that are not scaled any more.

        Args:
            images: uint8 (N, C, H, W), of a size that the network takes.
        """
        return self.task.activate(self.output(images)).cpu()

    @torch.no_grad()
    def output(self, images: Tensor) -> Tensor:
        """Return the outputs, float32 on the model's device, likewise."""
        x = self.normalize(images.to(self.device))
        with self.precision.autocast():
            output = self.model(x)
        return predictions_of(output)


def checked_images(images: Any) -> Tensor:
    """Return images as a tensor, uint8 (N, C, H, W).

    Raises:
        UserError: they are something else, such as floats, which would be taken for values up to 255.
    """
    if isinstance(images, np.ndarray):
        images = torch.from_numpy(images)
    if not isinstance(images, Tensor):
        raise UserError(f"predict takes images as a tensor or an array, not {type(images).__name__}")
    if images.dtype != torch.uint8 or images.dim() != 4:
        kind, shape = str(images.dtype).removeprefix("torch."), "x".join(map(str, images.shape))
        raise UserError(f"predict takes images as uint8 (N, C, H, W), not {kind} of {shape}")
    return images


def check_shape(data: DataSettings, state: Mapping[str, Any]) -> None:
    """Check that data which were named for a model have images and classes such as it takes.

    Raises:
        UserError: they have not.
    """
    known = tuple(state["input_shape"])
    if data.shape != known or data.num_classes != len(state["class_names"]):
        given, taken = ("×".join(map(str, shape)) for shape in (data.shape, known))
        raise UserError(
            f"the model takes images of {taken} in {len(state['class_names'])} classes, but the data "
            f"have {given} in {data.num_classes} classes: name data of the same classes"
        )


def age_of(progress: Mapping[str, Any]) -> str:
    """Describe how long a model was trained: to the end of an epoch, or to a step in the middle of one."""
    if progress.get("step_in_epoch"):
        return f"step {progress['step']:,}, in epoch {progress['epoch'] + 1}"
    return f"epoch {progress['epoch']}"


def load(run: str | Path = "last", overrides: Sequence[str] = ()) -> Trained:
    """Return the trained model of a run.

    Args:
        run: a run folder, a checkpoint file, or ``last``.
        overrides: the overrides of the keys device, precision, channels_last, threads, compile and trust.

    Raises:
        CheckpointError: there is no such run, or its checkpoint is damaged.
    """
    parsed = check_overridable(overrides, (*OVERRIDABLE["load"], "trust"), "load")
    saved = open_best(str(run), "predict", parsed)
    return Trained(TrainedSettings.from_config(saved.config), saved.path, saved.state)
