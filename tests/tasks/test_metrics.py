"""What is measured, against values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cnntrain.tasks.classification.metrics import (
    ClassificationEvaluation,
    ClassificationResult,
    RunningAccuracy,
)

CPU = torch.device("cpu")


def logits_for(predicted: list[int], classes: int) -> Tensor:
    """Logits of which the given class is the largest."""
    return torch.nn.functional.one_hot(torch.tensor(predicted), classes).float()


def evaluated(true: list[int], predicted: list[int], classes: int) -> ClassificationResult:
    evaluation = ClassificationEvaluation(CPU, classes)
    evaluation.update(torch.tensor(1.0), logits_for(predicted, classes), torch.tensor(true))
    return evaluation.result()


# Three classes: of three 0s two are found; one 1, taken for a 0; both 2s are found.
TRUE, PREDICTED = [0, 0, 0, 1, 2, 2], [0, 0, 2, 0, 2, 2]


def test_rows_of_the_confusion_matrix_are_true_classes_and_columns_predicted_ones() -> None:
    assert evaluated(TRUE, PREDICTED, 3).confusion.tolist() == [[2, 0, 1], [1, 0, 0], [0, 0, 2]]


def test_accuracy_is_the_share_on_the_diagonal() -> None:
    result = evaluated(TRUE, PREDICTED, 3)
    assert result.examples == 6
    assert result.accuracy == 4 / 6
    assert result.as_dict() == {
        "loss": 1.0,
        "accuracy": 4 / 6,
        "balanced_accuracy": pytest.approx((2 / 3 + 0 + 1) / 3),
        "macro_f1": pytest.approx((2 / 3 + 0 + 4 / 5) / 3),
        "examples": 6,
    }


def test_classes_without_examples_count_for_nothing() -> None:
    """As in scikit-learn: recall needs examples, F1 examples or predictions."""
    result = evaluated([0, 0, 1, 1], [0, 2, 1, 1], 4)
    assert result.balanced_accuracy == pytest.approx((1 / 2 + 1) / 2)
    assert result.macro_f1 == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert result.is_imbalanced
    assert not evaluated([0, 0, 1, 1, 1], [0, 0, 1, 1, 1], 2).is_imbalanced


def test_precision_recall_and_f1_of_each_class() -> None:
    zero, one, two = evaluated(TRUE, PREDICTED, 3).per_class(("zero", "one", "two"))
    # 0: found 2 of 3, and 2 of 3 that were called 0 were 0.
    assert zero == pytest.approx(
        {"class": "zero", "precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "support": 3}
    )
    # 1: never found, and nothing was called 1.
    assert one == {"class": "one", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    # 2: found 2 of 2, and 2 of 3 that were called 2 were 2: 2 · (2/3 · 1) / (2/3 + 1) = 4/5.
    assert two == pytest.approx(
        {"class": "two", "precision": 2 / 3, "recall": 1.0, "f1": 4 / 5, "support": 2}
    )


def test_a_class_without_examples_counts_as_zero_and_not_as_nan() -> None:
    _, absent = evaluated([0, 0], [0, 1], 2).per_class(("here", "absent"))
    assert absent == {"class": "absent", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}


def test_an_evaluation_of_nothing_is_zero() -> None:
    result = ClassificationEvaluation(CPU, 3).result()
    assert (result.loss, result.accuracy, result.examples) == (0.0, 0.0, 0)


def test_top5_counts_the_five_likeliest_classes() -> None:
    """The logits fall from class 0 to class 6, so that classes 0 to 4 are the five likeliest."""
    evaluation = ClassificationEvaluation(CPU, 7)
    evaluation.update(torch.tensor(0.0), -torch.arange(7.0).repeat(7, 1), torch.arange(7))
    result = evaluation.result()
    assert result.top5 == 5 / 7
    assert result.accuracy == 1 / 7
    assert result.as_dict()["top5_accuracy"] == 5 / 7


@pytest.mark.parametrize(("classes", "says_something"), [(2, False), (5, False), (6, True)])
def test_top5_is_left_out_where_it_would_always_be_one(classes: int, says_something: bool) -> None:
    result = evaluated([0, 1], [1, 1], classes)
    assert (result.top5 is not None) is says_something
    assert ("top5_accuracy" in result.as_dict()) is says_something


def test_batches_of_different_sizes_weigh_by_their_examples() -> None:
    evaluation = ClassificationEvaluation(CPU, 2)
    evaluation.update(torch.tensor(1.0), logits_for([0, 0, 0], 2), torch.tensor([0, 0, 1]))
    evaluation.update(torch.tensor(5.0), logits_for([1], 2), torch.tensor([1]))
    result = evaluation.result()
    assert result.loss == (3 * 1.0 + 1 * 5.0) / 4
    assert result.confusion.tolist() == [[2, 0], [1, 1]]


def test_the_loss_of_many_batches_does_not_drift() -> None:
    """In fp32, 20,000 additions of 0.1 are off in the fourth digit."""
    evaluation = ClassificationEvaluation(CPU, 2)
    loss, output, y = torch.tensor(0.1), logits_for([0], 2), torch.tensor([0])
    for _ in range(20_000):
        evaluation.update(loss, output, y)
    assert evaluation.result().loss == pytest.approx(loss.item(), rel=1e-9)


def test_a_loss_in_16_bits_is_added_up_in_more() -> None:
    """60,000 would be beyond fp16's range once it is multiplied by the size of the batch."""
    evaluation, mean = ClassificationEvaluation(CPU, 2), RunningAccuracy(CPU)
    for measure in (evaluation, mean):
        measure.update(
            torch.tensor(6e4, dtype=torch.float16), logits_for([0, 0], 2).half(), torch.tensor([0, 1])
        )
    assert evaluation.result().loss == mean.loss == 60_000


def random_batches(count: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        (
            torch.rand((), generator=generator).exp(),
            torch.randn(5, 3, generator=generator),
            torch.randint(0, 3, (5,), generator=generator),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("count", [1, 31, 32, 33, 100])
def test_running_mean_equals_the_mean_by_hand(count: int) -> None:
    batches, mean = random_batches(count), RunningAccuracy(CPU)
    for batch in batches:
        mean.update(*batch)
    assert mean.loss == pytest.approx(sum(loss.item() for loss, _, _ in batches) / count, rel=1e-12)
    hits = sum(int((output.argmax(1) == y).sum()) for _, output, y in batches)
    assert mean.accuracy == hits / (5 * count)
    assert (mean.seen, mean.batches) == (5 * count, count)


@pytest.mark.parametrize("interruption", [0, 1, 31, 32, 33, 69, 70])
def test_a_running_mean_that_was_stored_and_loaded_ends_like_one_that_was_not(interruption: int) -> None:
    batches = random_batches(70)
    whole, first, second = RunningAccuracy(CPU), RunningAccuracy(CPU), RunningAccuracy(CPU)
    for batch in batches:
        whole.update(*batch)
    for batch in batches[:interruption]:
        first.update(*batch)
    second.load_state_dict(first.state_dict())
    for batch in batches[interruption:]:
        second.update(*batch)
    assert second.state_dict() == whole.state_dict()
    assert (second.loss, second.accuracy) == (whole.loss, whole.accuracy)


def test_the_state_holds_plain_numbers() -> None:
    mean = RunningAccuracy(CPU)
    mean.update(torch.tensor(2.0), logits_for([1, 0], 2), torch.tensor([1, 1]))
    assert mean.state_dict() == {"loss_sum": 4.0, "correct": 1, "weight": 2.0, "seen": 2, "batches": 1}


def test_loading_a_state_forgets_what_was_counted_before() -> None:
    mean = RunningAccuracy(CPU)
    mean.update(torch.tensor(math.nan), logits_for([0], 2), torch.tensor([0]))
    mean.load_state_dict({"loss_sum": 6.0, "correct": 2, "seen": 3, "batches": 1})
    assert (mean.loss, mean.accuracy, mean.diverged_at()) == (2.0, 2 / 3, None)


def test_a_running_mean_of_nothing_is_zero() -> None:
    mean = RunningAccuracy(CPU)
    assert (mean.loss, mean.accuracy, mean.diverged_at()) == (0.0, 0.0, None)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("first", [0, 5, 31, 32, 40, 63])
def test_diverged_at_names_the_first_bad_batch(first: int, bad: float) -> None:
    mean = RunningAccuracy(CPU)
    for index, (_, output, y) in enumerate(random_batches(70)):
        mean.update(torch.tensor(bad if index in (first, first + 3, 66) else 1.0), output, y)
    assert mean.diverged_at() == first


@pytest.mark.parametrize("look_every", [1, 3, 32, 50])
def test_looking_at_the_loss_in_between_changes_nothing(look_every: int) -> None:
    unwatched, watched = RunningAccuracy(CPU), RunningAccuracy(CPU)
    for index, (loss, output, y) in enumerate(random_batches(70)):
        for mean in (unwatched, watched):
            mean.update(torch.tensor(math.inf) if index == 45 else loss, output, y)
        if index % look_every == 0:
            watched.diverged_at()
    assert watched.diverged_at() == unwatched.diverged_at() == 45
    assert watched.accuracy == unwatched.accuracy


def test_batches_before_an_interruption_are_counted_by_diverged_at() -> None:
    mean = RunningAccuracy(CPU)
    mean.load_state_dict({"loss_sum": 10.0, "correct": 10, "seen": 10, "batches": 10})
    for loss in (1.0, math.nan):
        mean.update(torch.tensor(loss), logits_for([0], 2), torch.tensor([0]))
    assert mean.diverged_at() == 11


def test_measuring_keeps_no_graph_alive() -> None:
    weight = torch.ones(2, 2, requires_grad=True)
    mean = RunningAccuracy(CPU)
    output = torch.ones(1, 2) @ weight
    mean.update(output.sum(), output, torch.tensor([0]))
    assert all(not tensor.requires_grad for loss, noted, *_ in mean.pending for tensor in (loss, *noted))


def test_the_loss_so_far_is_the_mean_of_counted_and_waiting_batches() -> None:
    mean, y = RunningAccuracy(CPU), torch.tensor([0, 1])
    assert mean.loss_so_far == 0.0
    mean.update(torch.tensor(1.0), logits_for([0, 1], 2), y, weight=1.0)
    assert mean.loss == mean.loss_so_far == 1.0  # which adds it up
    mean.update(torch.tensor(4.0), logits_for([0, 1], 2), y, weight=torch.tensor(2.0))
    assert len(mean.pending) == 1
    assert mean.loss_so_far == pytest.approx((1.0 + 2 * 4.0) / 3)
    assert len(mean.pending) == 1  # looking changes nothing
