"""Training in 16 bits, on the CPU as on a GPU."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from cnntrain.compute.precision import Precision
from cnntrain.loop import evaluate, train_epoch
from cnntrain.models import CNN, MLP
from cnntrain.optim.schedules import Constant
from cnntrain.tasks.classification.metrics import ClassificationEvaluation

CPU = torch.device("cpu")
Batches = list[tuple[Tensor, Tensor]]


def separable(count: int = 64) -> Batches:
    """Two classes that differ in brightness."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(count) % 2
    x = torch.randn(count, 1, 8, 8, generator=generator) + (2.0 * y - 1).view(-1, 1, 1, 1)
    return list(zip(x.split(16), y.split(16), strict=True))


def small_cnn() -> CNN:
    torch.manual_seed(0)
    return CNN((1, 8, 8), 2, channels=[4], head=[8])


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
def test_a_network_learns_in_every_format(name: str) -> None:
    precision, model, data = Precision(name, CPU), small_cnn(), separable()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = [
        train_epoch(model, data, nn.CrossEntropyLoss(), precision.wrap(optimizer), precision=precision).loss
        for _ in range(4)
    ]
    assert losses[-1] < 0.5 * losses[0]
    result = evaluate(model, data, nn.CrossEntropyLoss(), ClassificationEvaluation(CPU, 2), precision)
    assert result.accuracy > 0.9


@pytest.mark.parametrize(("name", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_the_forward_pass_runs_in_16_bits_and_the_weights_stay_in_32(name: str, dtype: torch.dtype) -> None:
    precision, model = Precision(name, CPU), small_cnn()
    seen: list[torch.dtype] = []
    model.register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    optimizer = precision.wrap(torch.optim.SGD(model.parameters(), lr=0.1))
    train_epoch(model, separable(16), nn.CrossEntropyLoss(), optimizer, precision=precision)
    evaluate(model, separable(16), nn.CrossEntropyLoss(), ClassificationEvaluation(CPU, 2), precision)
    assert seen == [dtype, dtype]
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_fp16_scales_the_loss_up_and_the_gradients_down_again() -> None:
    plain, scaled = small_cnn(), small_cnn()
    precision = Precision("fp16", CPU)
    for model, form in ((plain, Precision("fp32", CPU)), (scaled, precision)):
        descent = torch.optim.SGD(model.parameters(), lr=0.1)
        train_epoch(model, separable(16), nn.CrossEntropyLoss(), form.wrap(descent), precision=form)
    assert precision.scaler.get_scale() > 1000
    for exact, rough in zip(plain.parameters(), scaled.parameters(), strict=True):
        assert torch.allclose(exact, rough, atol=2e-3)


class Huge(nn.CrossEntropyLoss):
    """A loss whose scaled gradients are beyond every format."""

    def forward(self, output: Tensor, y: Tensor) -> Tensor:
        return 1e36 * super().forward(output, y)


@pytest.mark.parametrize("grad_clip", [None, 1.0])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_whose_gradients_overflow_in_fp16_is_left_out(
    grad_clip: float | None, accumulate: int
) -> None:
    torch.manual_seed(0)
    model, precision = MLP(64, 4, 2), Precision("fp16", CPU)
    optimizer = precision.wrap(torch.optim.SGD(model.parameters(), lr=0.1))
    before = nn.utils.parameters_to_vector(model.parameters()).clone()
    scale = precision.scaler.get_scale()
    train_epoch(
        model,
        separable(16),
        Huge(),
        optimizer,
        precision=precision,
        grad_clip=grad_clip,
        accumulate=accumulate,
    )
    assert torch.equal(nn.utils.parameters_to_vector(model.parameters()), before)
    assert precision.scaler.get_scale() == scale / 2

    train_epoch(model, separable(16), nn.CrossEntropyLoss(), optimizer, precision=precision)
    after = nn.utils.parameters_to_vector(model.parameters())
    assert not torch.equal(after, before)
    assert after.isfinite().all()


def test_a_first_step_left_out_raises_no_warning_about_the_schedule() -> None:
    model, precision = MLP(64, 4, 2), Precision("fp16", CPU)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = Constant(optimizer, total_steps=2, steps_per_epoch=2, warmup=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train_epoch(model, separable(16), Huge(), precision.wrap(optimizer), schedule, precision=precision)


def test_grad_clip_measures_the_gradient_at_its_own_size_in_fp16() -> None:
    model, precision = small_cnn(), Precision("fp16", CPU)
    before = nn.utils.parameters_to_vector(model.parameters()).clone()
    optimizer = precision.wrap(torch.optim.SGD(model.parameters(), lr=1.0))
    train_epoch(model, separable(16), nn.CrossEntropyLoss(), optimizer, precision=precision, grad_clip=0.01)
    moved = (nn.utils.parameters_to_vector(model.parameters()) - before).norm().item()
    assert moved == pytest.approx(0.01, rel=1e-2)


def test_the_scale_of_fp16_goes_into_a_checkpoint_and_back() -> None:
    first, second = Precision("fp16", CPU), Precision("fp16", CPU)
    model = MLP(64, 4, 2)
    wrapped = first.wrap(torch.optim.SGD(model.parameters(), lr=0.1))
    train_epoch(model, separable(16), Huge(), wrapped, precision=first)
    second.scaler.load_state_dict(first.scaler.state_dict())
    assert second.scaler.get_scale() == first.scaler.get_scale() == 2.0**15


def test_fp32_is_plain_torch() -> None:
    precision, optimizer = Precision("fp32", CPU), torch.optim.SGD([torch.zeros(1)], lr=0.1)
    loss = torch.tensor(2.0)
    assert precision.wrap(optimizer) is optimizer
    assert precision.scale(loss, share=1.0) is loss
    assert precision.scaler.state_dict() == {}
    with precision.autocast():
        assert not torch.is_autocast_enabled("cpu")
