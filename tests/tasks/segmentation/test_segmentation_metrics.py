"""What is measured in segmentation, against independent implementations and values computed by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cnntrain.annotations.regions import IGNORED
from cnntrain.tasks import Segmentation
from cnntrain.tasks.segmentation import metrics
from cnntrain.tasks.segmentation.boundary import DISTANCE
from cnntrain.tasks.segmentation.metrics import RunningIoU, SegmentationEvaluation, SegmentationResult

CPU = torch.device("cpu")
CLASSES = 5
NAMES = ["sky", "road", "car", "tree", "dog"]


def logits_for(predicted: Tensor) -> Tensor:
    """Logits of which the given class of each pixel is the largest, float (N, CLASSES, H, W)."""
    return F.one_hot(predicted, CLASSES).movedim(3, 1).float()


def evaluated(predicted: Tensor, y: Tensor, batch: int = 3) -> SegmentationResult:
    evaluation = SegmentationEvaluation(CPU, CLASSES)
    for some, true in zip(predicted.split(batch), y.split(batch), strict=True):
        evaluation.update(torch.tensor(1.0), logits_for(some), true)
    return evaluation.result()


def cases() -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield names, predicted and true classes, (N, H, W)."""
    generator = torch.Generator().manual_seed(0)

    def drawn(high: int = CLASSES, count: int = 7) -> Tensor:
        return torch.randint(high, (count, 9, 8), generator=generator)

    yield "random", drawn(), drawn()
    ignored = drawn()
    ignored[:3, :5] = IGNORED
    ignored[6] = IGNORED
    yield "some ignored", drawn(), ignored
    yield "all right", ignored.where(ignored != IGNORED, 0), ignored
    yield "absent classes", drawn(), drawn(3)
    yield "one class, all found", torch.full((2, 4, 4), 3), torch.full((2, 4, 4), 3)
    yield "one class, none found", torch.full((2, 4, 4), 1), torch.full((2, 4, 4), 3)
    yield "a class that is never predicted", drawn(4), drawn()
    yield "one pixel", drawn()[:1, :1, :1], drawn()[:1, :1, :1]


CASES = list(cases())
every_case = pytest.mark.parametrize(("predicted", "y"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])


def by_sets(predicted: Tensor, y: Tensor) -> dict[int, tuple[float, float]]:
    """Return IoU and Dice of each class that is there, by sets of pixels."""
    truth, said = y.numpy(), predicted.numpy()
    places = [place for place in np.ndindex(truth.shape) if truth[place] != IGNORED]
    found = {}
    for number in {int(truth[place]) for place in places}:
        of_truth = {place for place in places if truth[place] == number}
        of_said = {place for place in places if said[place] == number}
        both = len(of_truth & of_said)
        found[number] = both / len(of_truth | of_said), 2 * both / (len(of_truth) + len(of_said))
    return found


@every_case
def test_iou_and_dice_are_those_of_sets_of_pixels(predicted: Tensor, y: Tensor) -> None:
    result, expected = evaluated(predicted, y), by_sets(predicted, y)
    for number, row in enumerate(result.per_class(NAMES)):
        if number in expected:
            assert (row["iou"], row["dice"]) == pytest.approx(expected[number], abs=1e-12)
        else:
            assert row["iou"] is row["dice"] is row["boundary_f1"] is None and row["pixels"] == 0
    means = [sum(values) / len(values) for values in zip(*expected.values(), strict=True)]
    assert [result.miou, result.dice] == pytest.approx(means, abs=1e-12)
    assert result.absent(NAMES) == [name for n, name in enumerate(NAMES) if n not in expected]


@every_case
def test_scores_are_those_of_scikit_learn(predicted: Tensor, y: Tensor) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    result, counts = evaluated(predicted, y), y != IGNORED
    truth, said = y[counts].numpy(), predicted[counts].numpy()
    there = sorted(set(truth.tolist()))
    mean = {"labels": there, "average": "macro", "zero_division": 0}
    assert result.miou == pytest.approx(sklearn.jaccard_score(truth, said, **mean), abs=1e-6)
    assert result.dice == pytest.approx(sklearn.f1_score(truth, said, **mean), abs=1e-6)
    assert result.pixel_accuracy == pytest.approx(sklearn.accuracy_score(truth, said), abs=1e-6)
    matrix = sklearn.confusion_matrix(truth, said, labels=range(CLASSES))
    assert result.confusion.tolist() == matrix.tolist()


@every_case
def test_nothing_depends_on_the_batches(predicted: Tensor, y: Tensor) -> None:
    one, three, all_of_them = (evaluated(predicted, y, batch) for batch in (1, 3, 100))
    for result in (one, three):
        assert result.as_dict() == all_of_them.as_dict()
        assert result.details(NAMES) == all_of_them.details(NAMES)


def test_images_that_are_ignored_have_no_scores_and_raise_nothing() -> None:
    result = evaluated(torch.zeros(2, 4, 4, dtype=torch.int64), torch.full((2, 4, 4), IGNORED))
    scores = (result.miou, result.dice, result.pixel_accuracy, result.boundary_f1)
    assert scores == (0, 0, 0, 0) and result.miou_interval == (0, 0)
    assert result.absent(NAMES) == NAMES


def test_no_images_have_no_scores_and_raise_nothing() -> None:
    result = SegmentationEvaluation(CPU, CLASSES).result()
    assert (result.miou, result.examples, result.miou_interval) == (0, 0, (0, 1))


def test_details_are_plain_json() -> None:
    predicted, y = CASES[3][1:]
    details = evaluated(predicted, y).details(NAMES)
    assert json.loads(json.dumps(details, allow_nan=False)) == details
    assert details["absent_classes"] == ["tree", "dog"]


# --- borders ---


def slow_boundary_f1(predicted: Tensor, y: Tensor, number: int) -> float | None:
    """Return the boundary F1 of a class, pixel by pixel; None if it has no border."""

    def border(classes: np.ndarray, image: int) -> set[tuple[int, int]]:
        height, width = classes.shape[1:]
        own = set()
        for row, column in np.ndindex(height, width):
            if classes[image, row, column] != number or y[image, row, column] == IGNORED:
                continue
            beside = [
                (r, c)
                for r in range(max(0, row - 1), min(height, row + 2))
                for c in range(max(0, column - 1), min(width, column + 2))
            ]
            if any(y[image, r, c] != IGNORED and classes[image, r, c] != number for r, c in beside):
                own.add((row, column))
        return own

    def close(one: set[tuple[int, int]], other: set[tuple[int, int]]) -> int:
        return sum(any(max(abs(a - c), abs(b - d)) <= DISTANCE for c, d in other) for a, b in one)

    said = [border(predicted.numpy(), image) for image in range(len(y))]
    true = [border(y.numpy(), image) for image in range(len(y))]
    if not any(said) and not any(true):
        return None
    pairs = list(zip(said, true, strict=True))
    precision = sum(close(s, t) for s, t in pairs) / max(1, sum(map(len, said)))
    recall = sum(close(t, s) for s, t in pairs) / max(1, sum(map(len, true)))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def blobs(seed: int) -> Tensor:
    """Return classes in large patches, so that borders are rare, (N, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.randint(3, (2, 3, 4), generator=generator)
    return small.repeat_interleave(6, dim=1).repeat_interleave(5, dim=2)


@pytest.mark.parametrize("ignores", [False, True])
def test_boundary_f1_is_that_of_a_loop_over_pixels(ignores: bool) -> None:
    y, predicted = blobs(0), blobs(1).roll((2, 1), dims=(1, 2))
    if ignores:
        y = y.clone()
        y[:, 5:9] = IGNORED
        y[1, :, 12:] = IGNORED
    rows = evaluated(predicted, y).per_class(NAMES)
    for number in range(3):
        expected = slow_boundary_f1(predicted, y, number)
        assert expected is not None and 0 < expected < 1
        assert rows[number]["boundary_f1"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("off", "expected"), [(0, 1), (1, 1), (2, 1), (3, 0), (10, 0)])
def test_a_border_may_be_two_pixels_off(off: int, expected: float) -> None:
    """The true border lies between columns 9 and 10, and so do two columns of pixels, one of each class."""
    columns = torch.arange(30).expand(1, 30, 30)
    y, predicted = (columns >= 10).long(), (columns >= 10 + off).long()
    result = evaluated(predicted, y)
    assert result.boundary_f1 == pytest.approx(expected)
    assert (result.miou < 1) == (off > 0)


def test_classes_without_a_border_are_left_out_of_the_mean() -> None:
    y = torch.zeros(1, 8, 8, dtype=torch.int64)
    assert math.isnan(evaluated(y, y).boundary_f1s[0]) and evaluated(y, y).boundary_f1 == 0
    predicted = y.clone()
    predicted[:, 3:5, 3:5] = 1
    assert evaluated(predicted, y).boundary_f1 == 0


# --- intervals ---


def test_the_interval_holds_the_mean_iou_and_shrinks_with_the_images() -> None:
    widths = []
    for count in (20, 500):
        y = torch.randint(CLASSES, (count, 8, 8), generator=torch.Generator().manual_seed(0))
        wrong = torch.rand(count, 1, 1) * torch.rand(count, 8, 8) > 0.3
        result = evaluated(y.where(~wrong, 0), y, 100)
        low, high = result.miou_interval
        assert low < result.miou < high
        assert result.miou_interval == evaluated(y.where(~wrong, 0), y, 7).miou_interval
        widths.append(high - low)
    assert widths[1] < widths[0] / 3


def test_the_interval_is_as_wide_as_the_scores_of_such_sets_vary() -> None:
    generator = torch.Generator().manual_seed(0)

    def drawn() -> SegmentationResult:
        y = torch.randint(2, (60, 6, 6), generator=generator)
        wrong = torch.rand(60, 1, 1, generator=generator) > torch.rand(60, 6, 6, generator=generator)
        return evaluated(y.where(~wrong, 1 - y), y, 60)

    scores = torch.tensor([drawn().miou for _ in range(200)])
    low, high = drawn().miou_interval
    assert high - low == pytest.approx(2 * 1.96 * float(scores.std()), rel=0.35)


def test_memory_does_not_grow_with_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    y = torch.randint(CLASSES, (50, 6, 6), generator=torch.Generator().manual_seed(0))
    predicted = y.where(torch.rand(50, 6, 6) > 0.2, 0)
    whole = evaluated(predicted, y)
    monkeypatch.setattr(metrics, "GROUPS", 16)
    grouped = evaluated(predicted, y)
    assert grouped.groups.shape == (16, 3, CLASSES) and whole.groups.shape == (50, 3, CLASSES)
    assert torch.equal(grouped.groups.sum(dim=0), whole.groups.sum(dim=0))
    assert grouped.as_dict() == whole.as_dict()
    assert SegmentationEvaluation(CPU, 1000).sums["groups"].numel() <= 3 * metrics.NUMBERS


def test_several_processes_count_each_image_once(monkeypatch: pytest.MonkeyPatch) -> None:
    predicted, y = CASES[1][1:]
    whole, parts = evaluated(predicted, y), []
    for rank in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(metrics, "rank", lambda rank=rank: rank)
            patch.setattr(metrics, "world_size", lambda: 2)
            evaluation = SegmentationEvaluation(CPU, CLASSES)
            # The first process has one image more.
            for some, true in zip(predicted[rank::2].split(2), y[rank::2].split(2), strict=True):
                evaluation.update(torch.tensor(1.0), logits_for(some), true)
            parts.append(evaluation)
    sums = {name: parts[0].sums[name] + parts[1].sums[name] for name in parts[0].sums}
    together = parts[0].summed(1.0, 7, sums)
    assert together.as_dict() == whole.as_dict()
    assert together.details(NAMES) == whole.details(NAMES)


# --- training ---


def test_the_running_mean_counts_an_epoch_as_an_evaluation_does() -> None:
    predicted, y = CASES[1][1:]
    mean, result = RunningIoU(CPU, CLASSES), evaluated(predicted, y)
    for some, true in zip(predicted.split(2), y.split(2), strict=True):
        mean.update(torch.tensor(1.0), logits_for(some), true)
    assert (mean.miou, mean.dice, mean.loss) == (result.miou, result.dice, 1.0)
    stored = RunningIoU(CPU, CLASSES)
    stored.load_state_dict(json.loads(json.dumps(mean.state_dict())))
    assert stored.state_dict() == mean.state_dict() and stored.miou == mean.miou


def test_an_image_is_decoded_as_the_shares_of_its_classes() -> None:
    task = Segmentation((1, 2, 4), CLASSES)
    output = logits_for(torch.tensor([[[2, 2, 2, 2], [2, 0, 0, 4]], [[1, 1, 1, 1], [1, 1, 1, 1]]]))
    assert torch.allclose(task.activate(output).sum(dim=1), torch.ones(2, 2, 4))
    first, second = task.decode(task.activate(output), NAMES, most=2)
    assert first == (("car", 5 / 8), ("sky", 2 / 8))
    assert second == (("road", 1.0),)
