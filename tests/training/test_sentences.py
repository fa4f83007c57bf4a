"""Sentences chosen from figures: each branch says what its figures say, and nothing that contradicts them."""

from __future__ import annotations

from typing import Any

import pytest

from cnntrain.tasks.classification.report.sentences import Translated, on_calibration, on_translation
from cnntrain.tasks.classification.scores import SCORES
from cnntrain.training import sentences
from cnntrain.training.sentences import Trial


def moved(
    *accuracies: float, name: str = "CNN", conv: bool = True, shift: float = 0, images: int = 5000
) -> Translated:
    return Translated(name, accuracies, conv, shift, images)


@pytest.mark.parametrize(
    ("models", "told", "untold"),
    [
        (  # the run of finding 12: it keeps its accuracy, and was trained with shifts
            [moved(0.595, 0.610, 0.604, 0.583, 0.586, name="SMALL", shift=4)],
            ["Moved by 4 pixels: SMALL keeps its accuracy, within 1 point."],
            ["loses", "helps", "pooling", "augment.shift=2"],
        ),
        ([moved(0.6, 0.5, images=50)], ["CNN keeps its accuracy, within 14 points."], ["loses", "filters"]),
        ([moved(0.106, 0.117, images=1000)], ["CNN keeps its accuracy, within 2 points."], ["gains"]),
        ([moved(0.6, 0.65, name="A")], ["A gains 5 points."], ["loses", "helps", "pooling"]),
        (
            [moved(0.9, 0.5)],
            ["CNN loses 40 points", "same small filters", "helps: augment.shift=2."],
            ["weight of its own", "already"],
        ),
        (
            [moved(0.9, 0.5, name="MLP", conv=False)],
            ["MLP loses 40 points", "weight of its own for every pixel", "helps"],
            ["filters", "pooling"],
        ),
        (
            [moved(0.9, 0.7, shift=2)],
            ["CNN loses 20 points", "shifted already: augment.shift=2."],
            ["helps"],
        ),
        (
            [moved(0.9, 0.1, name="MLP", conv=False), moved(0.9, 0.5)],
            ["CNN loses less.", "weight of its own", "same small filters"],
            ["MLP loses less"],
        ),
        (
            [moved(0.9, 0.4, name="MLP", conv=False), moved(0.9, 0.8)],
            ["CNN loses less."],
            ["Both"],
        ),
        (
            [moved(0.9, 0.4, name="MLP", conv=False), moved(0.9, 0.41)],
            ["Both lose about as much."],
            ["less"],
        ),
        (  # at 4 pixels both are near chance; at 2 they are not
            [
                moved(0.92, 0.80, 0.46, 0.23, 0.14, name="MLP", conv=False),
                moved(0.93, 0.88, 0.68, 0.40, 0.19),
            ],
            ["Moved by 2 pixels: MLP loses 46 points; CNN loses 25 points. CNN loses less."],
            ["Both", "4 pixels"],
        ),
        (
            [moved(0.9, 0.6, 0.3, name="MLP", conv=False), moved(0.9, 0.62, 0.31)],
            ["Moved by 2 pixels: MLP loses 60 points; CNN loses 59 points. Both lose about as much."],
            ["1 pixel"],
        ),
        ([moved(0.9, 0.6, 0.5)], ["Moved by 2 pixels: CNN loses 40 points."], ["1 pixel"]),
        (
            [moved(0.9, 0.9, name="MLP", conv=False), moved(0.9, 0.9)],
            ["MLP keeps its accuracy, within 1 point; CNN keeps its accuracy, within 1 point."],
            ["Both", "weight of its own", "filters", "helps"],
        ),
        (
            [moved(0.9, 0.3, name="MLP", conv=False), moved(0.3, 0.9)],
            ["CNN gains 60 points", "CNN loses less."],
            ["same small filters"],
        ),
    ],
)
def test_translation(models: list[Translated], told: list[str], untold: list[str]) -> None:
    text = on_translation(models)
    assert all(part in text for part in told), text
    assert not any(part in text for part in untold), text


@pytest.mark.parametrize(
    ("purities", "told", "untold"),
    [
        ([0.34, 0.38, 0.80, 1.0], "rises with every layer, from 34% in the first layer to 100%", "hardly"),
        (
            [0.40, 0.39, 0.41, 0.50, 0.52],
            "rises on the whole, though not with every layer, from 40%",
            "hardly",
        ),
        ([0.45, 0.47, 0.50], "hardly changes, from 45% in the first layer to 50%", "rises"),
        ([0.60, 0.50, 0.45], "falls, from 60% in the first layer to 45%", "rises"),
        ([0.30, 0.31, 0.33], "No layer is clearly above that", "selective"),
        ([0.50], "at random it would be about 30%.", "layer"),
    ],
)
def test_filters(purities: list[float], told: str, untold: str) -> None:
    text = sentences.on_filters(purities, chance=0.30)
    assert told in text and untold not in text


GOOD = Trial(first=2.3, last=0.1, score=0.95, growth=1.0)


@pytest.mark.parametrize(
    ("cleared", "kept", "optimizer", "told", "untold"),
    [
        (
            GOOD,
            Trial(2.3, 28.5, 0.1, 108.0),
            "SGD",
            ["diverges", "12.4 times", "108 times", "10.0%"],
            ["costs"],
        ),
        (
            GOOD,
            Trial(2.3, float("nan"), 0.1, 1e9, lost_at=57),
            "SGD",
            ["not finite from step 57 on", "1e+09 times"],
            ["nan", "costs"],
        ),
        (
            GOOD,
            Trial(2.3, 0.9, 0.74, 30.0),
            "Adam",
            ["costs 21 points", "30 times", "does not diverge", "optim=sgd diverges"],
            ["little"],
        ),
        (GOOD, Trial(2.3, 0.9, 0.74, 1.1), "SGD", ["costs 21 points"], ["optim=sgd", "gradient norm"]),
        (
            GOOD,
            Trial(2.3, 0.1, 0.94, 3.0),
            "SGD",
            ["matters little", "a higher optim.lr"],
            ["optim=sgd", "costs"],
        ),
        (GOOD, Trial(2.3, 0.1, 0.94, 3.0), "Adam", ["matters little", "optim=sgd"], ["costs"]),
        (
            Trial(2.3, 1.5, 0.5, 1.0),
            Trial(2.3, 0.5, 0.8, 2.0),
            "SGD",
            ["even 30 points better"],
            ["costs", "little"],
        ),
        (
            Trial(2.3, 9.0, 0.1, 50.0),
            Trial(2.3, 99.0, 0.1, 50.0),
            "SGD",
            ["both trainings diverge"],
            ["costs"],
        ),
        (
            Trial(2.3, 2.3, 0.1, 1.0),
            Trial(2.3, 28.5, 0.1, 108.0),
            "SGD",
            ["diverges without it", "With it, little is learnt either"],
            ["in place of"],
        ),
    ],
)
def test_zero_grad(cleared: Trial, kept: Trial, optimizer: str, told: list[str], untold: list[str]) -> None:
    text = sentences.on_zero_grad(cleared, kept, optimizer, SCORES.main)
    assert all(part in text for part in told), text
    assert not any(part in text for part in untold), text


def test_a_first_step_and_a_first_loss() -> None:
    assert sentences.on_step(2.3, 2.2, "SGD") == "lower"
    assert sentences.on_step(2.3, 2.9, "SGD") == "not lower: the step was too long"
    assert sentences.on_step(2.3, 2.3, "SGD") == "unchanged"
    assert "first steps of RMSprop" in sentences.on_step(2.3, 2.9, "RMSprop")
    assert "untrained" in sentences.on_first_loss(2.4, 2.3)
    assert "too large" in sentences.on_first_loss(20, 2.3)
    assert "knows something" in sentences.on_first_loss(0.5, 2.3)


def epochs(*rows: tuple[float, float, float | None, float | None]) -> list[dict[str, Any]]:
    names = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
    return [{"epoch": n, **dict(zip(names, row, strict=True))} for n, row in enumerate(rows, 1)]


@pytest.mark.parametrize(
    ("history", "told"),
    [
        (epochs((1, 0.7, 0.8, 0.75), (0.3, 0.9, 1.0, 0.75)), "After epoch 1 the validation loss rises"),
        (epochs((1, 0.7, 0.8, 0.7), (0.3, 0.93, 0.8, 0.63)), "Training accuracy is 30 points above"),
        (epochs((7e12, 0.09, 2e13, 0.11), (45, 0.10, 7e18, 0.10)), ""),  # at chance, nothing overfits
        (epochs((1, 0.5, 1, 0.5), (30, 0.1, 2, 0.1)), "The training loss rises to 30 times that of epoch 1."),
        (epochs((1, 0.72, 0.3, 0.95)), "Validation is more accurate than training, which is measured while"),
        (epochs((1, 0.7, 0.8, 0.68)), ""),
        (epochs((1, 0.7, None, None)), ""),
        (epochs((1, 0.9, 0.8, 0.88), (1.2, 0.89, 1.0, 0.87)), ""),  # both got worse
    ],
)
def test_curves(history: list[dict[str, Any]], told: str) -> None:
    text = sentences.on_curves(history, SCORES)
    assert text.startswith(told) and bool(text) == bool(told)


def test_the_running_mean_is_explained_where_it_shows() -> None:
    assert "means over the epoch" in sentences.on_running_mean(
        epochs((1, 0.72, 0.3, 0.95), (1, 0.9, 1, 0.8)), SCORES
    )
    assert sentences.on_running_mean(epochs((1, 0.9, 0.3, 0.8)), SCORES) == ""
    assert sentences.on_running_mean(epochs((1, 0.9, None, None)), SCORES) == ""


@pytest.mark.parametrize(
    ("confidence", "accuracy", "told"),
    [
        (0.95, 0.90, "overconfident"),
        (0.80, 0.90, "underconfident"),
        (0.91, 0.90, "as confident as it is right"),
    ],
)
def test_calibration(confidence: float, accuracy: float, told: str) -> None:
    assert on_calibration(confidence, accuracy).endswith(f"{told}.")
