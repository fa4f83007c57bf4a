"""The five steps and the evaluation, through real models, optimizers and losses."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cnntrain.data.images import InMemoryDataset
from cnntrain.data.loader import EvalLoader, Normalize
from cnntrain.loop import evaluate, train_epoch
from cnntrain.models import CNN, MLP
from cnntrain.optim.schedules import Constant
from cnntrain.tasks.classification.metrics import ClassificationEvaluation, RunningAccuracy

CPU = torch.device("cpu")
Batches = list[tuple[Tensor, Tensor]]


def batches(*sizes: int, classes: int = 3) -> Batches:
    """Random images of 1x8x8 with random labels, in batches of the given sizes."""
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randn(n, 1, 8, 8, generator=generator), torch.randint(0, classes, (n,), generator=generator))
        for n in sizes
    ]


def small_mlp(dropout: float = 0.0) -> MLP:
    torch.manual_seed(1)
    return MLP(64, 8, 3, dropout=dropout)


def test_a_model_trains_on_after_an_evaluation_that_failed() -> None:
    model = small_mlp()
    model.hidden.eval()  # as frozen layers are
    with pytest.raises(ValueError, match="batch_size"):
        evaluate(
            model,
            [(torch.zeros(2, 1, 8, 8), torch.zeros(3, dtype=torch.int64))],
            nn.CrossEntropyLoss(),
            ClassificationEvaluation(CPU, 3),
        )
    assert model.training and not model.hidden.training


def small_cnn() -> CNN:
    torch.manual_seed(1)
    return CNN((1, 8, 8), 3, channels=[4], batch_norm=True, dropout=0.5, head=[8])


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def weight_vector(model: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


class Diary:
    """Real parts of a training, each of which writes down when it is at work."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        diary = self.entries

        class Model(MLP):
            def forward(self, x: Tensor) -> Tensor:
                diary.append("forward")
                return super().forward(x)

        class Loss(nn.CrossEntropyLoss):
            def forward(self, output: Tensor, y: Tensor) -> Tensor:
                diary.append("loss")
                return super().forward(output, y)

        class Descent(torch.optim.SGD):
            def zero_grad(self, set_to_none: bool = True) -> None:
                diary.append("zero_grad")
                super().zero_grad(set_to_none)

            def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
                diary.append("step")
                super().step(closure)

        class Schedule(torch.optim.lr_scheduler.LRScheduler):
            def step(self, epoch: int | None = None) -> None:
                diary.append("schedule")

        self.model = Model(64, 8, 3)
        next(self.model.parameters()).register_post_accumulate_grad_hook(lambda _: diary.append("backward"))
        self.criterion = Loss()
        self.optimizer = Descent(self.model.parameters(), lr=0.1)
        self.schedule = Schedule(self.optimizer)
        self.entries.clear()  # a schedule steps once when it is made


def test_each_batch_goes_through_the_five_steps_in_order() -> None:
    diary = Diary()
    train_epoch(
        diary.model,
        batches(4, 4),
        diary.criterion,
        diary.optimizer,
        diary.schedule,
        after_step=lambda: diary.entries.append("told"),
    )
    assert diary.entries == ["zero_grad", "forward", "loss", "backward", "step", "schedule", "told"] * 2


def test_the_parts_of_a_batch_share_one_step() -> None:
    diary = Diary()
    train_epoch(diary.model, batches(4), diary.criterion, diary.optimizer, accumulate=2)
    assert diary.entries == ["zero_grad", *["forward", "loss", "backward"] * 2, "step"]


OPTIMIZERS: dict[str, Callable[[nn.Module], Optimizer]] = {
    "SGD": lambda model: torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3),
    "Adam": lambda model: torch.optim.Adam(model.parameters(), lr=1e-2),
    "AdamW": lambda model: torch.optim.AdamW(model.parameters(), lr=1e-2),
    "RMSprop": lambda model: torch.optim.RMSprop(model.parameters(), lr=1e-3),
}


@pytest.mark.parametrize("build", [small_mlp, small_cnn])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_an_epoch_equals_the_textbook_loop_bit_for_bit(
    optimizer: Callable[[nn.Module], Optimizer], build: Callable[[], nn.Module]
) -> None:
    data, criterion = batches(5, 5, 3), nn.CrossEntropyLoss(label_smoothing=0.1)
    ours, textbook = build(), build()

    torch.manual_seed(2)  # both draw their dropout from here
    mean = RunningAccuracy(CPU)
    train_epoch(ours, data, criterion, optimizer(ours), metrics=mean)

    torch.manual_seed(2)
    by_hand = optimizer(textbook)
    textbook.train()
    loss_sum, correct = 0.0, 0
    for x, y in data:
        by_hand.zero_grad()
        output = textbook(x)
        loss = criterion(output, y)
        loss.backward()
        by_hand.step()
        loss_sum += loss.item() * len(y)
        correct += int((output.argmax(1) == y).sum())

    assert same_weights(ours, textbook)
    assert mean.loss == pytest.approx(loss_sum / 13, rel=1e-12)
    assert mean.accuracy == correct / 13


def test_the_schedule_is_stepped_once_a_batch_and_after_the_optimizer() -> None:
    """Two steps of plain descent: the first with the first learning rate, the second with the second."""
    model = small_mlp()
    ours, by_hand = copy.deepcopy(model), copy.deepcopy(model)
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.1)
    halving = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    train_epoch(ours, batches(4, 4), nn.CrossEntropyLoss(), optimizer, halving)

    for rate, (x, y) in zip((0.1, 0.05), batches(4, 4), strict=True):
        grads = torch.autograd.grad(nn.functional.cross_entropy(by_hand(x), y), list(by_hand.parameters()))
        with torch.no_grad():
            for weight, grad in zip(by_hand.parameters(), grads, strict=True):
                weight.sub_(rate * grad)
    assert torch.allclose(weight_vector(ours), weight_vector(by_hand), atol=1e-7)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.025)


@pytest.mark.parametrize("sizes", [(8, 8), (10, 7), (5, 3), (1,)])
def test_gradients_of_the_parts_add_up_to_those_of_the_batch(sizes: tuple[int, ...]) -> None:
    whole, in_parts = small_mlp(), small_mlp()
    means = RunningAccuracy(CPU), RunningAccuracy(CPU)
    for model, accumulate, mean in zip((whole, in_parts), (1, 4), means, strict=True):
        train_epoch(
            model,
            batches(*sizes),
            nn.CrossEntropyLoss(),
            torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
            accumulate=accumulate,
            metrics=mean,
        )
    assert torch.allclose(weight_vector(whole), weight_vector(in_parts), atol=1e-6)
    assert means[0].loss == pytest.approx(means[1].loss, rel=1e-6)
    assert means[0].accuracy == means[1].accuracy
    assert means[0].seen == means[1].seen == sum(sizes)


def test_a_batch_is_cut_into_exactly_as_many_parts_as_asked() -> None:
    """Else nobody could tell from the number of a part which step it belonged to."""
    diary = Diary()
    train_epoch(diary.model, batches(5, 5, 3), diary.criterion, diary.optimizer, accumulate=4)
    assert diary.entries.count("forward") == 4 + 4 + 3  # the last batch has no more than three examples


def test_grad_clip_bounds_the_gradient_and_keeps_its_direction() -> None:
    model = small_mlp()
    clipped = copy.deepcopy(model)
    begin = weight_vector(model)
    for trained, grad_clip in ((model, None), (clipped, 0.01)):
        descent = torch.optim.SGD(trained.parameters(), lr=1.0)
        train_epoch(trained, batches(8), nn.CrossEntropyLoss(), descent, grad_clip=grad_clip)
    free, bounded = weight_vector(model) - begin, weight_vector(clipped) - begin
    assert free.norm() > 0.1
    assert bounded.norm() == pytest.approx(0.01, rel=1e-3)
    assert torch.cosine_similarity(free, bounded, dim=0) == pytest.approx(1.0, abs=1e-5)


def test_a_gradient_shorter_than_grad_clip_is_left_alone() -> None:
    plain, clipped = small_mlp(), small_mlp()
    for model, grad_clip in ((plain, None), (clipped, 1000.0)):
        descent = torch.optim.SGD(model.parameters(), lr=0.1)
        train_epoch(model, batches(8, 8), nn.CrossEntropyLoss(), descent, grad_clip=grad_clip)
    assert same_weights(plain, clipped)


def test_grad_clip_applies_to_the_whole_batch_not_to_its_parts() -> None:
    whole, in_parts = small_mlp(), small_mlp()
    for model, accumulate in ((whole, 1), (in_parts, 4)):
        descent = torch.optim.SGD(model.parameters(), lr=1.0)
        train_epoch(model, batches(8), nn.CrossEntropyLoss(), descent, grad_clip=0.01, accumulate=accumulate)
    assert torch.allclose(weight_vector(whole), weight_vector(in_parts), atol=1e-7)


def test_an_interrupted_epoch_goes_on_counting() -> None:
    data = batches(4, 4, 4)
    once, twice = small_mlp(), small_mlp()
    whole, first, rest = RunningAccuracy(CPU), RunningAccuracy(CPU), RunningAccuracy(CPU)
    optimizer = torch.optim.SGD(once.parameters(), lr=0.1)
    train_epoch(once, data, nn.CrossEntropyLoss(), optimizer, metrics=whole)
    optimizer = torch.optim.SGD(twice.parameters(), lr=0.1)
    train_epoch(twice, data[:1], nn.CrossEntropyLoss(), optimizer, metrics=first)
    rest.load_state_dict(first.state_dict())
    train_epoch(twice, data[1:], nn.CrossEntropyLoss(), optimizer, metrics=rest)
    assert (rest.loss, rest.accuracy, rest.seen) == (whole.loss, whole.accuracy, 12)
    assert same_weights(once, twice)


def test_what_after_step_raises_ends_the_epoch_there() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    model, by_hand = small_mlp(), small_mlp()
    with pytest.raises(KeyboardInterrupt):
        descent = torch.optim.SGD(model.parameters(), lr=0.1)
        train_epoch(model, batches(4, 4), nn.CrossEntropyLoss(), descent, after_step=stop)
    descent = torch.optim.SGD(by_hand.parameters(), lr=0.1)
    train_epoch(by_hand, batches(4, 4)[:1], nn.CrossEntropyLoss(), descent)
    assert same_weights(model, by_hand)


@pytest.mark.parametrize("size", [1, 7, 16, 100])
def test_evaluation_counts_every_example_once_whatever_the_batch_size(size: int) -> None:
    x, y = batches(50)[0]
    model = small_cnn().eval()
    with torch.no_grad():
        output = model(x)
    expected = nn.functional.cross_entropy(output, y).item()
    hits = int((output.argmax(1) == y).sum())

    parts = list(zip(x.split(size), y.split(size), strict=True))
    result = evaluate(model, parts, nn.CrossEntropyLoss(), ClassificationEvaluation(CPU, 3))
    assert result.examples == 50
    assert result.accuracy == hits / 50
    assert result.loss == pytest.approx(expected, rel=1e-6)
    assert result.confusion.sum(dim=1).tolist() == torch.bincount(y, minlength=3).tolist()


def test_evaluation_changes_neither_the_model_nor_a_generator() -> None:
    images = InMemoryDataset(
        torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8), torch.arange(20) % 3, ["a", "b", "c"]
    )
    loader = EvalLoader(images, torch.arange(20), 7, Normalize([0.5], [0.5], CPU), CPU)
    model = small_cnn()  # with batch norm and dropout
    frozen = model.features[1]
    frozen.eval()
    before = copy.deepcopy(model)
    modes = {name: module.training for name, module in model.named_modules()}
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]

    evaluate(model, loader, nn.CrossEntropyLoss(), ClassificationEvaluation(CPU, 3))

    assert same_weights(model, before)
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(weight.grad is None for weight in model.parameters())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]  # type: ignore[index]


def test_evaluation_switches_dropout_and_batch_statistics_off() -> None:
    data, model = batches(9), small_cnn()
    first = evaluate(model, data, nn.CrossEntropyLoss(), ClassificationEvaluation(CPU, 3))
    second = evaluate(model, data, nn.CrossEntropyLoss(), ClassificationEvaluation(CPU, 3))
    alone = [(x[i : i + 1], y[i : i + 1]) for x, y in data for i in range(len(y))]
    third = evaluate(model, alone, nn.CrossEntropyLoss(), ClassificationEvaluation(CPU, 3))
    assert first.loss == second.loss == pytest.approx(third.loss, rel=1e-6)


def test_what_a_model_keeps_of_an_evaluation_can_be_trained_on() -> None:
    class WithPositions(nn.Module):
        """Makes what it needs when it first sees an image, as many networks do."""

        def __init__(self) -> None:
            super().__init__()
            self.net = MLP(64, 8, 3)
            self.scale = nn.Parameter(torch.ones(()))
            self.positions: Tensor | None = None

        def forward(self, x: Tensor) -> Tensor:
            if self.positions is None:
                self.positions = torch.linspace(-1, 1, x.shape[-1])
            return self.net(x + self.scale * self.positions)

    model = WithPositions()
    result = evaluate(model, batches(4), nn.CrossEntropyLoss(), ClassificationEvaluation(CPU, 3))
    train_epoch(model, batches(4), nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=0.1))
    result.confusion.add_(1)  # the caller's own to work with


def test_constant_schedule_is_no_schedule() -> None:
    plain, scheduled = small_mlp(), small_mlp()
    train_epoch(plain, batches(4, 4), nn.CrossEntropyLoss(), torch.optim.Adam(plain.parameters()))
    optimizer = torch.optim.Adam(scheduled.parameters())
    schedule = Constant(optimizer, total_steps=2, steps_per_epoch=2, warmup=0.0)
    train_epoch(scheduled, batches(4, 4), nn.CrossEntropyLoss(), optimizer, schedule)
    assert same_weights(plain, scheduled)
