"""The networks, and the summary of their layers, against values computed by hand."""

from __future__ import annotations

import resource
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import Command
from torch import Tensor, nn

from cnntrain.models import CNN, MLP
from cnntrain.models.conv_arithmetic import cnn_sizes, output_size
from cnntrain.models.summary import Layer, in_digits, layers, total_multiply_adds

CONF = Path(__file__).parents[2] / "conf" / "model"


def default(name: str) -> dict[str, Any]:
    """A shipped configuration's arguments."""
    content: dict[str, Any] = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    content.pop("_target_")
    return content


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# MLP


def test_the_mlp_for_mnist_has_101_770_parameters() -> None:
    assert parameters(MLP(784, 128, 10)) == 784 * 128 + 128 + 128 * 10 + 10 == 101_770
    assert parameters(MLP(784, num_classes=10, **default("mlp"))) == 101_770


def test_hidden_sizes_may_be_one_several_or_none() -> None:
    assert parameters(MLP(4, [8, 6], 3)) == (4 * 8 + 8) + (8 * 6 + 6) + (6 * 3 + 3)
    assert parameters(MLP(4, [8], 3)) == parameters(MLP(4, 8, 3))
    assert parameters(MLP(4, [], 3)) == 4 * 3 + 3


def test_the_mlp_computes_what_its_weights_say() -> None:
    model = MLP(12, [5], 3)
    x = torch.randn(2, 3, 2, 2)
    first, first_bias, last, last_bias = model.parameters()
    by_hand = (x.reshape(2, 12) @ first.T + first_bias).clamp(min=0) @ last.T + last_bias
    assert torch.allclose(model(x), by_hand, atol=1e-6)


def test_the_activation_is_any_of_torchs() -> None:
    model = MLP(4, [3, 3], 2, activation="Tanh")
    assert [type(layer).__name__ for layer in model.hidden] == ["Linear", "Tanh", "Linear", "Tanh"]


@pytest.mark.parametrize(
    "build",
    [
        lambda p: MLP(16, [400], 4, dropout=p),
        lambda p: CNN((1, 4, 4), 4, channels=[2], dropout=p, head=[400]),
    ],
)
def test_dropout_switches_hidden_units_off_in_training_alone(build: Any) -> None:
    torch.manual_seed(0)
    model, x = build(0.25), torch.rand(8, 1, 4, 4)
    dropped = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    assert len(dropped) == 1
    zeros: list[float] = []
    dropped[0].register_forward_hook(
        lambda module, args, output: zeros.append(
            ((output == 0) & (args[0] != 0)).sum() / (args[0] != 0).sum()
        )
    )
    model.train()(x)
    model.eval()(x)
    assert zeros[0] == pytest.approx(0.25, abs=0.05)
    assert zeros[1] == 0
    assert not any(isinstance(module, nn.Dropout) for module in build(0.0).modules())


# CNN


def test_the_default_cnn_has_206_922_parameters_on_mnist() -> None:
    by_hand = 16 * (1 * 9 + 1) + 32 * (16 * 9 + 1) + (32 * 7 * 7) * 128 + 128 + 128 * 10 + 10
    assert parameters(CNN((1, 28, 28), 10, **default("cnn"))) == by_hand == 206_922


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 17, 30)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_norm": True},
        {"pool": "avg", "pool_size": 3},
        {"pool_size": 1},
        {"kernel_size": 5, "head": [7, 6]},
        {"kernel_size": 1},
        {"kernel_size": [5, 3], "pool_size": [4, 1]},
        {"kernel_size": [5, 3], "padding": "valid"},
    ],
)
def test_the_cnn_gives_a_logit_for_each_class(shape: tuple[int, int, int], options: dict[str, Any]) -> None:
    model = CNN(shape, 4, channels=[3, 5], **options)
    assert model(torch.rand(2, *shape)).shape == (2, 4)


def test_blocks_are_convolution_norm_relu_and_pool() -> None:
    model = CNN((1, 8, 8), 2, channels=[3, 4], batch_norm=True, pool="avg")
    kinds = [type(layer).__name__ for layer in model.features]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU", "AvgPool2d"] * 2
    assert model.features[0].bias is None  # the norm has one
    assert CNN((1, 8, 8), 2, channels=[3]).features[0].bias is not None


def test_without_pooling_the_image_keeps_its_size() -> None:
    model = CNN((1, 8, 8), 2, channels=[3], pool_size=1)
    assert not any(isinstance(layer, nn.MaxPool2d) for layer in model.features)
    assert model.features(torch.rand(1, 1, 8, 8)).shape == (1, 3, 8, 8)


def test_blocks_that_pool_the_image_away_are_refused_in_words() -> None:
    with pytest.raises(
        ValueError, match="5 blocks pool an image of 28 pixels away: block 5 gets 1 pixel and"
    ):
        CNN((1, 28, 28), 10, channels=[4] * 5)
    with pytest.raises(
        ValueError, match="an image of 3 pixels away: block 1 gets 3 pixels and pools 4 into one"
    ):
        CNN((1, 28, 3), 10, channels=[4], pool_size=4)  # the width alone is too small


@pytest.mark.parametrize("size", [1, 2, 7, 28, 31])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"), [(3, 1, 1, 1), (2, 2, 0, 1), (3, 2, 1, 2)]
)
def test_output_size_is_torchs(size: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    convolution = nn.Conv2d(1, 1, kernel, stride, padding, dilation)
    expected = output_size(size, kernel, stride, padding, dilation)
    x = torch.zeros(1, 1, size, size)
    if expected < 1:
        with pytest.raises(RuntimeError):
            convolution(x)
    else:
        assert convolution(x).shape[2:] == (expected, expected)


def test_sizes_behind_each_block() -> None:
    assert cnn_sizes(28, 4, kernel_size=3, pool_size=2) == [28, 14, 7, 3, 1]
    assert cnn_sizes(28, 2, kernel_size=5, pool_size=1) == [28, 28, 28]
    assert cnn_sizes(28, 0, kernel_size=3, pool_size=2) == [28]
    assert cnn_sizes(28, 2, kernel_size=[5, 3], pool_size=[4, 1]) == [28, 7, 7]
    assert cnn_sizes(28, 2, kernel_size=[5, 3], pool_size=[4, 1], padding="valid") == [28, 6, 4]


# The summary


def on_meta(build: Any, shape: tuple[int, int, int]) -> list[Layer]:
    with torch.device("meta"):
        model = build()
    return layers(model, shape)


def fields(build: Any, side: int = 32, channels: int = 1) -> list[int | None]:
    return [layer.receptive_field for layer in on_meta(build, (channels, side, side))]


def test_the_layers_of_the_mlp() -> None:
    found = on_meta(lambda: MLP(784, [128], 10), (1, 28, 28))
    assert found == [
        Layer("flatten", "Flatten", (784,), 0, 0, 1),
        Layer("hidden.0", "Linear", (128,), 100_480, 784 * 128, 28),
        Layer("hidden.1", "ReLU", (128,), 0, 0, 28),
        Layer("output", "Linear", (10,), 1_290, 128 * 10, 28),
    ]


def test_the_layers_of_the_cnn() -> None:
    """Fields: 3; pooled 4 with positions 2 apart; 4 + 2 · 2 = 8; 8 + 2 = 10; then the whole image."""
    found = on_meta(lambda: CNN((1, 28, 28), 10, **default("cnn")), (1, 28, 28))
    assert found == [
        Layer("features.0", "Conv2d", (16, 28, 28), 160, 16 * 28 * 28 * 9, 3),
        Layer("features.1", "MaxPool2d", (16, 14, 14), 0, 0, 4),
        Layer("features.2", "ReLU", (16, 14, 14), 0, 0, 4),
        Layer("features.3", "Conv2d", (32, 14, 14), 4_640, 32 * 14 * 14 * 16 * 9, 8),
        Layer("features.4", "MaxPool2d", (32, 7, 7), 0, 0, 10),
        Layer("features.5", "ReLU", (32, 7, 7), 0, 0, 10),
        Layer("classifier.flatten", "Flatten", (1568,), 0, 0, 10),
        Layer("classifier.hidden.0", "Linear", (128,), 200_832, 1568 * 128, 28),
        Layer("classifier.hidden.1", "ReLU", (128,), 0, 0, 28),
        Layer("classifier.output", "Linear", (10,), 1_290, 1_280, 28),
    ]
    assert sum(layer.parameters for layer in found) == 206_922


def test_grouped_strided_and_dilated_convolutions() -> None:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=4, bias=False),
            nn.Conv2d(8, 8, 3, padding=2, dilation=2),
            nn.AvgPool2d(4),
            nn.AdaptiveAvgPool2d(1),
        )

    found = on_meta(build, (4, 16, 16))
    assert [layer.output_shape for layer in found] == [(8, 8, 8), (8, 8, 8), (8, 2, 2), (8, 1, 1)]
    assert [layer.parameters for layer in found] == [8 * 1 * 9, 8 * 8 * 9 + 8, 0, 0]
    assert [layer.multiply_adds for layer in found] == [8 * 64 * 1 * 9, 8 * 64 * 8 * 9, 0, 0]
    # 3 with positions 2 apart; + 2 · 2 · 2 = 11; + 3 · 2 = 17; then the whole image.
    assert [layer.receptive_field for layer in found] == [3, 11, 17, 16]


class Residual(nn.Module):
    """Two convolutions beside a shortcut, added in one of several ways."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 1, 3, padding=1)
        self.second = nn.Conv2d(1, 1, 3, padding=1)
        self.after = nn.ReLU()
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        shortcut, main = x * 1, self.second(F.relu(self.first(x)))
        if self.way == "sum":
            return self.after(shortcut + main)
        if self.way == "sum, the other way round":
            return self.after(main + shortcut)
        if self.way == "in place":
            shortcut += main
            return self.after(shortcut)
        if self.way == "keyword":
            return self.after(torch.add(input=shortcut, other=main))
        if self.way == "concatenated":
            return self.after(torch.cat([shortcut, main], dim=1))
        return self.after(torch.cat([shortcut, main], dim=1).chunk(2, dim=1)[0])


@pytest.mark.parametrize(
    "way", ["sum", "sum, the other way round", "in place", "keyword", "concatenated", "cut up"]
)
def test_a_sum_sees_what_its_widest_branch_sees(way: str) -> None:
    assert fields(lambda: Residual(way)) == [3, 5, 5]


def test_a_whole_residual_network() -> None:
    """The stem of ResNet-18: a 7x7 convolution and a pool of stride 2 each, then 3x3 convolutions."""
    from torchvision.models import resnet18

    with torch.device("meta"):
        model = resnet18(num_classes=10)
    found = {layer.name: layer for layer in layers(model, (3, 224, 224))}
    assert found["conv1"].receptive_field == 7
    assert found["maxpool"].receptive_field == 7 + 2 * 2
    assert found["layer1.0.conv2"].receptive_field == 11 + 2 * 2 * 4
    assert found["layer1.1.conv2"].receptive_field == 11 + 4 * 2 * 4
    assert found["layer2.0.downsample.0"].receptive_field == 43
    assert found["layer2.1.conv2"].receptive_field == 99  # Araujo et al. 2019
    assert found["layer4.1.conv2"].receptive_field == 435
    assert found["avgpool"].receptive_field == found["fc"].receptive_field == 224
    # As published for 1,000 classes, of which there are 10 here.
    assert sum(layer.multiply_adds for layer in found.values()) == 1_814_073_344 - 512 * 990
    assert sum(layer.parameters for layer in found.values()) == parameters(model)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_the_work_of_attention_and_of_recurrent_layers_is_counted(device: str) -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.recurrent = nn.LSTM(8, 5, batch_first=True)
            self.output = nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            rows = x.flatten(0, 1)
            return self.output(self.recurrent(self.attention(rows, rows, rows)[0])[0][:, -1])

    with torch.device(device):
        model = Reader()
    found = layers(model, (1, 7, 8))
    assert [(layer.name, layer.output_shape) for layer in found] == [
        ("attention", (7, 8)),
        ("recurrent", (7, 5)),
        ("output", (3,)),
    ]
    # Four projections, then all pairs of the seven rows twice; four gates of five units see 8 + 5 values.
    work = [4 * 7 * 8 * 8 + 2 * 7 * 7 * 8, 7 * 4 * 5 * (8 + 5), 5 * 3]
    assert [layer.multiply_adds for layer in found] == work
    assert total_multiply_adds(found) == sum(work)
    assert sum(layer.parameters for layer in found) == parameters(model)


def test_a_whole_vision_transformer() -> None:
    from torchvision.models import vit_b_16

    with torch.device("meta"):
        model = vit_b_16()
    assert f"{(total_multiply_adds(layers(model, (3, 224, 224))) or 0) / 1e9:.2f}" == "17.56"  # as published


def test_what_a_model_computes_outside_of_its_layers_is_counted() -> None:
    class Functional(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(F.linear(x.flatten(1), x.new_ones(6, 16)))

    found = on_meta(lambda: Functional(nn.Linear(6, 3)), (1, 4, 4))
    assert [(layer.name, layer.multiply_adds) for layer in found] == [("0", 18), ("", 96)]


def test_where_torch_cannot_count_nothing_is_claimed() -> None:
    from torch.utils.flop_counter import register_flop_formula

    @torch.library.custom_op("cnntrain_tests::odd", mutates_args=())
    def odd(x: Tensor) -> Tensor:
        return x.clone()

    @register_flop_formula(torch.ops.cnntrain_tests.odd)
    def no_formula(*args: Any, **kwargs: Any) -> int:
        raise ValueError("it has no formula")

    class Odd(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(odd(x.flatten(1)))

    found = layers(Odd(16, 3), (1, 4, 4))
    assert [(layer.parameters, layer.multiply_adds) for layer in found] == [(51, None)]
    assert total_multiply_adds(found) is None and in_digits(None) == "–"


class Tail(nn.Module):
    """A convolution, something that is no layer, and a layer behind it."""

    def __init__(self, operation: Any) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3, padding=1)
        self.behind = nn.Identity()
        self.operation = operation

    def forward(self, x: Tensor) -> Tensor:
        return self.behind(self.operation(self.convolution(x)))


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (torch.sigmoid, 3),
        (lambda x: x * x.new_ones(4, 1, 1), 3),
        (lambda x: x.permute(0, 2, 3, 1), 3),
        (lambda x: x.flatten(2).transpose(1, 2), 3),
        (lambda x: F.pad(x, (1, 1, 1, 1)), 3),
        (lambda x: x.chunk(2, dim=1)[1], 3),
        (lambda x: F.max_pool2d(x, 2), None),
        (lambda x: F.avg_pool2d(x, 3, stride=1, padding=1), None),
        (lambda x: F.conv2d(x, x.new_ones(4, 4, 3, 3), padding=1), None),
        (lambda x: x.mean(dim=(2, 3)), None),
        (lambda x: F.scaled_dot_product_attention(x, x, x), None),
        (lambda x: x @ x.new_ones(32, 32), None),
        (lambda x: F.interpolate(x, scale_factor=2), None),
        (lambda x: F.relu(F.max_pool2d(x, 1) + x), None),
    ],
)
def test_a_field_that_cannot_be_told_is_not_made_up(operation: Any, expected: int | None) -> None:
    assert fields(lambda: Tail(operation))[:2] == [3, expected]  # the work outside of layers follows


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.BatchNorm2d(4), 3),
        (nn.Dropout(0.5), 3),
        (nn.ZeroPad2d(1), 3),
        (nn.AdaptiveAvgPool2d(32), 3),
        (nn.AdaptiveAvgPool2d(1), 32),
        (nn.AdaptiveAvgPool2d(7), None),
        (nn.ConvTranspose2d(4, 4, 2, stride=2), 3),  # one input for each output
        (nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1), 4),  # two neighbours
        (nn.ConvTranspose2d(4, 4, (2, 4), stride=2), None),
        (nn.Conv2d(4, 4, (1, 7), padding=(0, 3)), None),
        (nn.Upsample(scale_factor=2), 3),
        (nn.Upsample(scale_factor=2, mode="bilinear"), 4),
        (nn.Upsample(scale_factor=(2, 1)), None),
        (nn.Linear(32, 5), None),
    ],
)
def test_the_field_behind_a_layer(layer: nn.Module, expected: int | None) -> None:
    assert fields(lambda: nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), layer.to("meta"))) == [3, expected]


def test_the_output_layer_sees_the_whole_image_whatever_came_before() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(1, 4, 5)
            self.output = nn.Linear(4 * 14 * 14, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.output(F.max_pool2d(F.relu(self.convolution(x)), 2).flatten(1))

    assert fields(Net) == [5, 32]


def test_a_layer_used_twice_is_listed_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.convolution(self.convolution(x))

    assert fields(Twice) == [3, 5]


def test_summing_up_leaves_no_hooks_behind() -> None:
    with torch.device("meta"):
        model = MLP(16, [4], 2)
    assert layers(model, (1, 4, 4)) == layers(model, (1, 4, 4))
    assert not any(module._forward_hooks for module in model.modules())


def test_the_field_is_the_reach_of_a_real_gradient() -> None:
    """The pixels on which one position of the output depends, counted."""
    torch.manual_seed(0)
    model = CNN((1, 31, 31), 2, channels=[2, 2, 2], pool="avg").features
    with torch.device("meta"):
        expected = layers(CNN((1, 31, 31), 2, channels=[2, 2, 2], pool="avg").features, (1, 31, 31))
    x = torch.rand(1, 1, 31, 31, requires_grad=True)
    y, position = x, 15
    for layer, described in zip(model, expected, strict=True):
        y = nn.functional.softplus(y) if isinstance(layer, nn.ReLU) else layer(y)
        position = y.shape[-1] // 2
        (reach,) = torch.autograd.grad(y[0, :, position, position].sum(), x, retain_graph=True)
        rows = (reach[0, 0] != 0).any(dim=1).nonzero().flatten()
        assert int(rows[-1] - rows[0]) + 1 == described.receptive_field


def peak_memory() -> int:
    """The largest size of this process so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_a_network_for_large_images_is_summed_up_without_being_allocated(cnntrain: Command) -> None:
    """An MLP on images of 1024x1024 in colour would take 50 GB with 4,096 hidden units."""
    before = peak_memory()
    outcome = cnntrain(
        "summary",
        "model=mlp",
        "model.hidden=[4096]",
        "data=cifar10",
        "data.image_size=1024",
    )
    assert outcome.code == 0, outcome.err
    by_hand = 3 * 1024 * 1024 * 4096 + 4096 + 4096 * 10 + 10
    assert f"MLP: {by_hand:,} parameters (51.5 GB as fp32)" in outcome.out
    assert f"{by_hand - 4096 - 10:,} MACs per image" in outcome.out
    assert peak_memory() - before < 300e6


def test_the_summary_shows_every_layer_and_the_total(cnntrain: Command) -> None:
    outcome = cnntrain("summary", "model=cnn")
    assert "CNN: 206,922 parameters (0.8 MB as fp32)" in outcome.out
    lines = [line for line in outcome.out.splitlines() if line.startswith(("features", "classifier"))]
    assert len(lines) == 10
    assert "16×28×28" in lines[0]
    assert "160" in lines[0]


def test_a_longer_chain_sees_more() -> None:
    found = fields(lambda: CNN((1, 32, 32), 10, channels=[4, 4, 4]).features)
    assert all(a is not None and b is not None and a <= b for a, b in pairwise(found))
