"""What a task declares as its scores is what columns, headings and ``monitor`` follow from."""

from __future__ import annotations

from cnntrain.tasks.classification.scores import SCORES
from cnntrain.tasks.scores import LOSS, TRAIN, Score, Scores

MIOU = Score("miou", "mIoU", higher_is_better=True, is_fraction=True, bounds=(0.0, 1.0))
SEGMENTATION = Scores((LOSS, MIOU))


def test_each_score_is_measured_in_training_and_in_validation() -> None:
    assert [figure.name for figure in SEGMENTATION.epoch] == [
        "train_loss",
        "train_miou",
        "val_loss",
        "val_miou",
    ]
    assert [figure.heading for figure in SEGMENTATION.epoch] == [
        "train loss",
        "train mIoU",
        "val loss",
        "val mIoU",
    ]
    assert [figure.tag for figure in SEGMENTATION.on(TRAIN)] == ["train/loss", "train/miou"]


def test_monitor_takes_the_validation_figures_the_loss_last() -> None:
    assert SEGMENTATION.monitors == ("val_miou", "val_loss")
    assert SCORES.monitors == ("val_accuracy", "val_loss")
    assert SEGMENTATION.monitored("val_miou").score is MIOU
    assert SEGMENTATION.val_loss.score is LOSS


def test_a_score_is_shown_as_a_percentage_if_it_is_a_fraction() -> None:
    assert MIOU.text(0.5) == "50.00%"
    assert LOSS.text(0.5) == "0.5000"
