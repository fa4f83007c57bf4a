"""PyTorch's MNIST example, timed until it reaches 99 % of the test images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from bench_tables import GOAL
from peers import mnist
from torch import nn
from torch.utils.data import DataLoader


def mnist_example(root: Path, most_epochs: int) -> dict[str, Any]:
    """Train by the recipe that everyone starts from until 99 % of the test images are right.

    Two convolutions and 1.2 million parameters, Adadelta, the learning rate × 0.7 after each epoch.

    Returns:
        The epochs it took, and the accuracy on the test images after the last of them.
    """
    torch.manual_seed(1)
    train_batches = DataLoader(mnist(root), batch_size=64, shuffle=True)
    test_batches = DataLoader(mnist(root, train=False), batch_size=1000)
    network = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(64 * 12 * 12, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
        nn.LogSoftmax(dim=1),
    )
    optimizer = torch.optim.Adadelta(network.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
    epoch, accuracy = 0, 0.0
    while epoch < most_epochs and accuracy < GOAL:
        network.train()
        for x, y in train_batches:
            optimizer.zero_grad()
            F.nll_loss(network(x), y).backward()
            optimizer.step()
        schedule.step()
        epoch += 1
        accuracy = accuracy_of(network, test_batches)
    return {"epochs": epoch, "accuracy": accuracy}


@torch.no_grad()
def accuracy_of(network: nn.Module, batches: Iterable[Any]) -> float:
    """Return the share of images classified correctly, from 0 to 1."""
    network.eval()
    right = [network(x).argmax(dim=1) == y for x, y in batches]
    return float(torch.cat(right).double().mean())
