"""Losses of segmentation, against torch's own and against values computed by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnntrain.annotations.regions import IGNORED
from cnntrain.config.conf_files import choice_file, read_yaml
from cnntrain.errors import UserError
from cnntrain.loop import evaluate, train_epoch
from cnntrain.tasks import Segmentation
from cnntrain.tasks.losses import check_mean, weigher
from cnntrain.tasks.segmentation.losses import (
    CrossEntropy,
    CrossEntropyDice,
    Dice,
    Focal,
    PixelLoss,
)

CLASSES = 4
WEIGHT = torch.tensor([1.0, 2.0, 0.5, 7.0])
LOSSES = [
    CrossEntropy(),
    CrossEntropy(WEIGHT, label_smoothing=0.1),
    Focal(),
    Focal(WEIGHT, gamma=0.5),
    Dice(),
    CrossEntropyDice(),
    CrossEntropyDice(WEIGHT),
]
NAMES = [f"{type(loss).__name__}{' weighted' if loss.weight is not None else ''}" for loss in LOSSES]
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=NAMES)


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Logits and classes of five images; ever more of each is ignored, and all of the last one."""
    generator = torch.Generator().manual_seed(0)
    output = 3 * torch.randn(5, CLASSES, 6, 7, generator=generator)
    y = torch.randint(CLASSES, (5, 6, 7), generator=generator)
    for image in range(1, 4):
        y[image, : 2 * image - 1] = IGNORED
    y[4] = IGNORED
    return output, y


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_torchs(
    batch: tuple[Tensor, Tensor], weight: Tensor | None, smoothing: float
) -> None:
    expected = F.cross_entropy(*batch, weight, ignore_index=IGNORED, label_smoothing=smoothing)
    assert CrossEntropy(weight, smoothing)(*batch).item() == pytest.approx(expected.item(), rel=1e-6)


def test_focal_without_focus_is_cross_entropy(batch: tuple[Tensor, Tensor]) -> None:
    for weight in (None, WEIGHT):
        expected = CrossEntropy(weight)(*batch).item()
        assert Focal(weight, gamma=0.0)(*batch).item() == pytest.approx(expected, rel=1e-6)


def test_focal_of_two_pixels_by_hand() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.4, 0.6]])  # of two pixels, true classes 0 and 0
    output = probabilities.log().T.reshape(1, 2, 1, 2)
    expected = -(0.1**2 * torch.tensor(0.9).log() + 0.6**2 * torch.tensor(0.4).log()) / 2
    assert Focal()(output, torch.zeros(1, 1, 2, dtype=torch.int64)).item() == pytest.approx(expected.item())


def test_dice_by_hand() -> None:
    # Four pixels: classes 0, 0, 1 and one that is ignored. Class 2 is absent.
    p = torch.tensor([[0.8, 0.1, 0.1], [0.5, 0.5, 0.0], [0.2, 0.6, 0.2], [0.0, 0.0, 1.0]])
    y = torch.tensor([[[0, 0, 1, IGNORED]]])
    of_0 = 2 * (0.8 + 0.5) / (0.8**2 + 0.5**2 + 0.2**2 + 2)
    of_1 = 2 * 0.6 / (0.1**2 + 0.5**2 + 0.6**2 + 1)
    found = Dice()((p + 1e-12).log().T.reshape(1, 3, 1, 4), y).item()
    assert found == pytest.approx(1 - (of_0 + of_1) / 2, rel=1e-5)


def test_dice_is_0_for_the_truth_and_counts_a_small_class_as_much_as_a_large_one() -> None:
    y = torch.zeros(1, 10, 10, dtype=torch.int64)
    y[0, 0, 0] = 1
    truth = F.one_hot(y, 2).movedim(3, 1).float()
    assert Dice()(100 * truth, y).item() == pytest.approx(0, abs=1e-6)
    all_0 = torch.zeros_like(truth)
    all_0[:, 0] = 100
    assert Dice()(all_0, y).item() == pytest.approx(1 - (2 * 99 / (100 + 99) + 0) / 2)


def test_the_sum_is_the_sum_of_both(batch: tuple[Tensor, Tensor]) -> None:
    expected = CrossEntropy()(*batch) + Dice()(*batch)
    assert CrossEntropyDice()(*batch).item() == pytest.approx(expected.item(), rel=1e-6)


@every_loss
def test_what_is_ignored_changes_nothing(loss: PixelLoss, batch: tuple[Tensor, Tensor]) -> None:
    output, y = batch
    other = output.where((y != IGNORED)[:, None], 5 * torch.randn(output.shape))
    assert loss(other, y).item() == pytest.approx(loss(output, y).item(), rel=1e-6)
    assert loss(output[:4], y[:4]).item() == pytest.approx(loss(output, y).item(), rel=1e-6)


@every_loss
def test_a_batch_that_is_ignored_has_no_loss_and_no_gradient(loss: PixelLoss) -> None:
    output = torch.randn(2, CLASSES, 3, 3, requires_grad=True)
    found = loss(output, torch.full((2, 3, 3), IGNORED))
    found.backward()
    assert found.item() == 0
    assert output.grad is not None and torch.equal(output.grad, torch.zeros_like(output))


@every_loss
def test_logits_of_any_size_give_a_finite_gradient(loss: PixelLoss) -> None:
    for size in (0.0, 1.0, 1e4):
        output = (size * torch.randn(2, CLASSES, 3, 3)).requires_grad_()
        loss(output, torch.randint(CLASSES, (2, 3, 3))).backward()
        assert output.grad is not None and output.grad.isfinite().all()


@every_loss
def test_half_precision_loses_nothing_in_the_loss(loss: PixelLoss, batch: tuple[Tensor, Tensor]) -> None:
    output, y = batch[0].half(), batch[1]
    assert loss(output, y).item() == pytest.approx(loss(output.float(), y).item(), rel=1e-6)


@every_loss
def test_nothing_depends_on_how_a_batch_is_cut(loss: PixelLoss, batch: tuple[Tensor, Tensor]) -> None:
    check_mean(loss, Segmentation((1, 8, 8), CLASSES), mixes=False)
    output, y = batch
    expected, weigh = loss(output, y).item(), weigher(loss)
    for sizes in ([1] * 5, [2, 3], [4, 1]):
        parts = list(zip(output.split(sizes), y.split(sizes), strict=True))
        total = sum(float(loss(*part) * weigh(part[1])) for part in parts)
        assert total / float(weigh(y)) == pytest.approx(expected, rel=1e-5)
    assert measured(loss, [(output, y)]) == pytest.approx(expected, rel=1e-5)
    assert measured(loss, list(zip(output.split(2), y.split(2), strict=True))) == pytest.approx(
        expected, rel=1e-5
    )


def measured(loss: PixelLoss, batches: list[tuple[Tensor, Tensor]]) -> float:
    evaluation = Segmentation((1, 6, 7), CLASSES).evaluation(torch.device("cpu"))
    return evaluate(nn.Identity(), batches, loss, evaluation).loss


@every_loss
@pytest.mark.parametrize("parts", [2, 5])
def test_accumulation_gives_the_gradient_of_the_whole_batch(
    loss: PixelLoss, batch: tuple[Tensor, Tensor], parts: int
) -> None:
    gradients = []
    for accumulate in (1, parts):
        model = nn.Conv2d(CLASSES, CLASSES, 1, bias=False)
        nn.init.ones_(model.weight)
        train_epoch(model, [batch], loss, torch.optim.SGD(model.parameters(), 0.0), accumulate=accumulate)
        gradients.append(model.weight.grad)
    assert gradients[0] is not None and gradients[1] is not None and gradients[0].abs().sum() > 0
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-4, atol=1e-7)


def built(node: dict[str, object]) -> nn.Module:
    return Segmentation((1, 8, 8), CLASSES).criterion(node, None)


def test_the_usual_loss_becomes_that_of_pixels() -> None:
    found = built({"_target_": "torch.nn.CrossEntropyLoss", "label_smoothing": 0.1})
    assert isinstance(found, CrossEntropy) and found.label_smoothing == 0.1
    weighted = built({"_target_": "torch.nn.CrossEntropyLoss", "weight": [1, 2, 3, 4]})
    assert isinstance(weighted, CrossEntropy) and weighted.weight is not None
    assert weighted.weight.tolist() == [1, 2, 3, 4]


def test_a_wrong_number_of_weights_is_refused() -> None:
    with pytest.raises(UserError, match="takes 4 numbers, one per class"):
        built({"_target_": "torch.nn.CrossEntropyLoss", "weight": [1, 2]})


@pytest.mark.parametrize("name", ["cross_entropy", "dice", "ce_dice", "focal"])
def test_the_loss_of_a_saved_run_is_built_again(name: str) -> None:
    node = read_yaml(choice_file("criterion", name))
    assert isinstance(Segmentation((1, 8, 8), CLASSES).criterion(node, []), PixelLoss)
