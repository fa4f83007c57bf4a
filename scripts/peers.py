"""The contenders of bench_peers.py: the same networks, trained as each tool's own introduction shows it.

Every function trains for an epoch that warms up and one that counts. The tools are imported where they are
used, since each contender runs in a process of its own and pays for its own imports alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from bench_tables import BATCH_SIZES
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST
from torchvision.transforms import Compose, Normalize, ToTensor

EPOCHS = 2
LR = 1e-3
MEAN, STD = 0.1307, 0.3081


class Stopwatch:
    """Holds the seconds of the epoch that ended last; those before it were the warm-up."""

    def __init__(self) -> None:
        self.begin = self.seconds = 0.0

    def start(self, *ignored: Any) -> None:
        """Note that an epoch begins; takes whatever a tool hands its callbacks."""
        self.begin = time.perf_counter()

    def stop(self, *ignored: Any) -> None:
        """Note that it is over."""
        self.seconds = time.perf_counter() - self.begin


def images_per_second(tool: str, model: str, root: Path, images: int) -> float:
    """Train one of the models with one of the tools and return the speed of the last epoch."""
    watch = Stopwatch()
    TRAINERS[tool](model, root, images, watch)
    return images / watch.seconds


class RowReader(nn.Module):
    """An LSTM that reads an image row by row, and classifies its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(28, 128, batch_first=True)
        self.output = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map images, float (N, 1, 28, 28), to logits, float (N, 10)."""
        states, _ = self.rnn(x[:, 0])
        logits: Tensor = self.output(states[:, -1])
        return logits


def build(model: str) -> nn.Module:
    """Return MLP(784, 128, 10), the CNN of two convolutions, or an LSTM, for images (N, 1, 28, 28)."""
    if model == "lstm":
        return RowReader()
    if model == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def mnist(root: Path, train: bool = True, images: int | None = None) -> Any:
    """Return the first images of torchvision's MNIST, each transformed when it is asked for."""
    dataset = MNIST(root, train=train, transform=Compose([ToTensor(), Normalize((MEAN,), (STD,))]))
    # Cut here and not by a Subset, which would cost the loaders an indirection.
    dataset.data, dataset.targets = dataset.data[:images], dataset.targets[:images]
    return dataset


def in_memory(root: Path, images: int) -> tuple[Tensor, Tensor]:
    """Return normalised images, float32 (N, 1, 28, 28), and labels, int64 (N,)."""
    dataset = mnist(root, images=images)
    return dataset.data.unsqueeze(1).float().div(255).sub(MEAN).div(STD), dataset.targets


def textbook_loader(model: str, root: Path, images: int, workers: int = 0) -> DataLoader[Any]:
    """Return the loader that tutorials use."""
    dataset = mnist(root, images=images)
    return DataLoader(dataset, batch_size=BATCH_SIZES[model], shuffle=True, num_workers=workers)


def plain_loop(network: nn.Module, batches: Iterable[Any], watch: Stopwatch) -> None:
    """Train in plain torch, and measure nothing on the way."""
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    network.train()
    for _ in range(EPOCHS):
        watch.start()
        for x, y in batches:
            optimizer.zero_grad()
            F.cross_entropy(network(x), y).backward()
            optimizer.step()
        watch.stop()


def floor(model: str, root: Path, images: int, watch: Stopwatch) -> None:
    """Only what training cannot do without: no transforms, no shuffling, no loader."""
    x, y = in_memory(root, images)
    batch = BATCH_SIZES[model]
    plain_loop(build(model), list(zip(x.split(batch), y.split(batch), strict=True)), watch)


def textbook(model: str, root: Path, images: int, watch: Stopwatch) -> None:
    """The loop of the tutorials, over torchvision's data set and a DataLoader."""
    plain_loop(build(model), textbook_loader(model, root, images), watch)


def textbook_with_workers(model: str, root: Path, images: int, watch: Stopwatch) -> None:
    """The same with two processes that load, begun anew each epoch, as DataLoader does by default."""
    plain_loop(build(model), textbook_loader(model, root, images, workers=2), watch)


def with_lightning(model: str, root: Path, images: int, watch: Stopwatch) -> None:
    """A LightningModule and a Trainer, over the textbook loader, with nothing written to disk."""
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import LambdaCallback

    class Classifier(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = build(model)

        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
            x, y = batch
            loss = F.cross_entropy(self.network(x), y)
            self.log("train_loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=LR)

    trainer = Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[LambdaCallback(on_train_epoch_start=watch.start, on_train_epoch_end=watch.stop)],
    )
    trainer.fit(Classifier(), textbook_loader(model, root, images))


def with_keras(model: str, root: Path, images: int, watch: Stopwatch) -> None:
    """A Sequential model on Keras' torch backend, fitted to arrays whose channels are last, its default."""
    import keras
    from keras import layers

    hidden: list[Any] = [layers.Flatten(), layers.Dense(128, activation="relu")]
    if model == "cnn":
        convolutions = [layers.Conv2D(n, 3, padding="same", activation="relu") for n in (16, 32)]
        hidden = [layer for conv in convolutions for layer in (conv, layers.MaxPooling2D(2))] + hidden
    if model == "lstm":  # with one bias for each gate, where torch has two
        hidden = [layers.Reshape((28, 28)), layers.LSTM(128)]
    network = keras.Sequential([keras.Input((28, 28, 1)), *hidden, layers.Dense(10, activation="softmax")])
    network.compile(
        optimizer=keras.optimizers.Adam(LR), loss="categorical_crossentropy", metrics=["accuracy"]
    )
    x, y = in_memory(root, images)
    network.fit(
        x.permute(0, 2, 3, 1).contiguous().numpy(),
        keras.utils.to_categorical(y.numpy(), 10),
        batch_size=BATCH_SIZES[model],
        epochs=EPOCHS,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=watch.start, on_epoch_end=watch.stop)],
    )


def with_skorch(model: str, root: Path, images: int, watch: Stopwatch) -> None:
    """A NeuralNetClassifier, fitted to arrays; nothing split off, so that every image trains."""
    from skorch import NeuralNetClassifier
    from skorch.callbacks import Callback

    class Watch(Callback):
        def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
            watch.start()

        def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
            watch.stop()

    classifier = NeuralNetClassifier(
        build(model),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=LR,
        batch_size=BATCH_SIZES[model],
        max_epochs=EPOCHS,
        iterator_train__shuffle=True,
        train_split=None,
        callbacks=[Watch()],
        verbose=0,
    )
    x, y = in_memory(root, images)
    classifier.fit(x.numpy(), y.numpy())


TRAINERS = {
    "floor": floor,
    "textbook": textbook,
    "textbook-2": textbook_with_workers,
    "lightning": with_lightning,
    "keras": with_keras,
    "skorch": with_skorch,
}
