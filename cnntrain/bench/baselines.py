"""Ways of training one model that ``cnntrain bench`` compares."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cnntrain.bench.candidate import Candidate, Epoch, OwnLoop
from cnntrain.bench.reference import Reference, as_published
from cnntrain.bench.textbook.datasets import in_lists, stacked, textbook_dataset
from cnntrain.bench.textbook.sequences import padded_batch
from cnntrain.compute.autotune import tune
from cnntrain.compute.engine import ALL_THREADS, Engine
from cnntrain.compute.micro_batches import BatchPlan
from cnntrain.config.sections import BenchSettings, OptimizerSettings
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.loader import Normalize, ShuffledBatches, TrainLoader
from cnntrain.data.open import Data
from cnntrain.data.sequences.dataset import SequenceDataset
from cnntrain.data.sequences.standardize import normalizing
from cnntrain.errors import UserError
from cnntrain.models.copying import copied
from cnntrain.models.detection.of_torchvision import OfTorchvision
from cnntrain.run.components import Components
from cnntrain.runtime.console import Console
from cnntrain.training.components.device import compile_model

FLOOR, TEXTBOOK = "floor", "textbook loop"
IMAGES = 10_000  # on which all candidates train: more than fit into the processor's caches
EXPLAINED = "eager fp32 loop over tensors that are normalised already, torch's own defaults"  # the floor
Plain = tuple[Engine, Components, OptimizerSettings]  # what loops without this tool train


def clipped(settings: BenchSettings, built: Components, data: Data, console: Console) -> BenchSettings:
    """Return the settings with a batch that the images fill, and warn if it was larger."""
    asked = settings.engine
    plan = BatchPlan(asked.batch_size, asked.accumulate)
    plan = plan.clipped(min(IMAGES, len(data.train)), asked.model.shape, console, built.task.called.words)
    return replace(settings, engine=replace(asked, batch_size=plan.size, accumulate=plan.accumulate))


def build_candidates(settings: BenchSettings, built: Components, data: Data) -> list[Candidate]:
    """Build all ways of training, the floor first.

    Args:
        settings: the settings of the run.
        built: its components.
        data: its images.

    Raises:
        UserError: the images are not in memory.
    """
    if not isinstance(data.train, InMemoryDataset):
        raise UserError("bench needs the data in memory, for the floor: data.cache=ram, or fewer data")
    dataset, device = data.train, next(built.model.parameters()).device
    indices = torch.arange(min(IMAGES, len(dataset)))
    asked = settings.engine
    typed, _ = tune(asked, built.model, built.criterion, built.task.dummy, device)
    as_fp32 = replace(asked, precision="fp32")
    fp32, _ = tune(as_fp32, built.model, built.criterion, built.task.dummy, device)

    optimization = replace(settings.optimization, optim=built.optim)
    plain_optim = {name: None if name == "fused" else value for name, value in built.optim.items()}
    plain: Plain = Engine("fp32", False, ALL_THREADS), built, replace(optimization, optim=plain_optim)
    normalize = normalizing(settings.data, device, torch.contiguous_format)
    floor = floor_batches(dataset, asked.batch_size, normalize, device)
    found = [Candidate(FLOOR, EXPLAINED, *plain, floor)]
    for engine in dict.fromkeys((typed, fp32)):
        normalize, workers = normalizing(settings.data, device, engine.memory_format), settings.data.workers
        loader = TrainLoader(
            dataset, indices, asked.batch_size, settings.seed, built.augment, normalize, device, workers
        )
        name, batches = f"cnntrain, {engine.precision}", own_batches(loader)
        how = f"{engine}{', compiled' if settings.compile else ''}"
        own = OwnLoop(name, how, engine, built, optimization, batches)
        if settings.compile:
            compile_model(own.model, asked.model.shape, device)
        found.append(own)
    found.append(of_textbook(settings, built, dataset, plain))
    return found


def of_textbook(
    settings: BenchSettings, built: Components, dataset: InMemoryDataset, plain: Plain
) -> Candidate:
    """Return the loop of a textbook, which for detectors of torchvision is that of its references.

    Args:
        settings: the settings of the run.
        built: its components.
        dataset: the images.
        plain: what it trains.
    """
    detector = copied(built.model)
    normalizes = not isinstance(detector, OfTorchvision)
    device, workers = next(built.model.parameters()).device, settings.data.workers
    textbook, explained = textbook_dataset(
        settings.data, dataset, IMAGES, built.augment.strengths, normalizes
    )
    explained += f", DataLoader {f'with {workers} workers' if workers else 'in this process'}"
    with_boxes = settings.data.targets == "boxes"
    collate = in_lists if with_boxes else padded_batch if isinstance(dataset, SequenceDataset) else None
    loader: DataLoader[Any] = DataLoader(
        textbook,
        settings.engine.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=collate,
    )
    if isinstance(detector, OfTorchvision):
        model = as_published(detector, dataset.image_size, settings.data.mean, settings.data.std)
        engine, _, optimization = plain
        own = replace(built, model=model)
        explained = f"torchvision's reference: {explained}"
        return Reference(TEXTBOOK, explained, engine, own, optimization, lambda: iter(loader))

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of one epoch."""
        for batch in loader:
            x, y = stacked(*batch) if with_boxes else batch
            yield x.to(device), y.to(device)

    return Candidate(TEXTBOOK, explained, *plain, batches)


def floor_batches(dataset: InMemoryDataset, size: int, normalize: Normalize, device: torch.device) -> Epoch:
    """Return what gives the batches of tensors that are normalised already.

    Sequences of like length share a batch, as they do in ``train``, and are padded already.
    """
    if isinstance(dataset, SequenceDataset):
        order = torch.arange(min(IMAGES, len(dataset)))
        some = ShuffledBatches(order, size, 0, regroup=dataset.grouped)
        ready = [(normalize(x.to(device)), y.to(device)) for x, y in map(dataset.__getitems__, some)]
        return lambda: iter(ready)
    images = normalize(dataset.first(IMAGES).to(device))
    labels = dataset.labels[:IMAGES].to(device)
    return lambda: zip(images.split(size), labels.split(size), strict=True)


def own_batches(loader: TrainLoader) -> Epoch:
    """Return what gives the batches of one epoch after the other, as ``train`` makes them."""
    epochs = itertools.count()
    return lambda: loader.epoch(next(epochs))
