"""``model=unet``: images of any size, a parameter count by hand, and the exported graph."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from conftest import Command, is_told
from torch import Tensor, nn
from torch.export import Dim

from cnntrain.models import UNet

SIZES = [(1, 1), (1, 2), (3, 1000), (1000, 3), (7, 9), (28, 28), (33, 64)]


def random_norms(model: nn.Module) -> nn.Module:
    """Let batch norm do something in evaluation, as it does after training."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model.eval()


def by_hand(channels: int, classes: int, width: int, depth: int, batch_norm: bool, upsample: str) -> int:
    """Return the number of parameters of a U-Net, convolution by convolution."""

    def double_conv(inputs: int, outputs: int) -> int:
        after = 2 * outputs if batch_norm else outputs  # scale and shift, or a bias
        return 9 * inputs * outputs + after + 9 * outputs * outputs + after

    widths = [width * 2**level for level in range(depth + 1)]
    encoder = double_conv(channels, width) + sum(double_conv(*pair) for pair in pairwise(widths))
    kernel = 4 if upsample == "transposed" else 1
    enlarging = sum(kernel * 2 * wide * wide + wide for wide in widths[:-1])
    return (
        encoder
        + enlarging
        + sum(double_conv(2 * wide, wide) for wide in widths[:-1])
        + width * classes
        + classes
    )


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("upsample", ["transposed", "bilinear"])
def test_an_image_of_any_size_gets_logits_of_its_own_size(size: tuple[int, int], upsample: str) -> None:
    model = UNet(3, 5, width=4, depth=4, upsample=upsample).eval()
    assert model(torch.rand(2, 3, *size)).shape == (2, 5, *size)


@pytest.mark.parametrize(
    "arguments",
    [(1, 11, 16, 3, True, "transposed"), (3, 2, 8, 4, True, "bilinear"), (1, 21, 6, 1, False, "transposed")],
    ids=str,
)
def test_the_parameters_are_those_counted_by_hand(arguments: tuple[int, int, int, int, bool, str]) -> None:
    assert sum(p.numel() for p in UNet(*arguments).parameters()) == by_hand(*arguments)


def test_the_docstring_and_the_configuration_tell_the_number_of_parameters() -> None:
    count = f"{by_hand(1, 11, 12, 4, True, 'transposed'):,}"
    assert count in str(UNet.__doc__)
    assert count in (Path(__file__).parents[2] / "conf/model/unet.yaml").read_text()


def test_padding_changes_nothing_where_none_is_needed_and_repeats_the_edge_where_it_is() -> None:
    model = random_norms(UNet(1, 3, width=4, depth=3))
    x = torch.rand(1, 1, 13, 16)
    by_repeating = torch.cat([x, *[x[:, :, -1:]] * 3], dim=2)
    assert torch.equal(model(x), model(by_repeating)[:, :, :13])


def test_each_skip_connection_reaches_the_output() -> None:
    model = UNet(1, 3, width=4, depth=3).train()
    model(torch.rand(2, 1, 16, 16)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_dropout_draws_in_training_alone() -> None:
    model, x = random_norms(UNet(1, 3, width=4, depth=2, dropout=0.5)), torch.rand(1, 1, 8, 8)
    assert torch.equal(model(x), model(x))
    model.dropout.train()
    assert not torch.equal(model(x), model(x))


def test_an_exported_graph_takes_images_of_any_size(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model, file = random_norms(UNet(1, 5, width=2, depth=2)), tmp_path / "model.onnx"
    sizes = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    example = torch.rand(2, 1, 30, 45)
    exported = torch.export.export(model, (example,), dynamic_shapes=(sizes,))
    torch.onnx.export(exported, (), file, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(file)
    # torch guards against images of one tile of 4 pixels, whose strides are told in another way.
    program = exported.module(check_guards=False)
    for shape in [(1, 1, 17, 33), (3, 1, 100, 7), (2, 1, 9, 250), (1, 1, 1, 1)]:
        x = torch.rand(shape)
        expected = model(x)
        assert torch.allclose(program(x), expected, atol=1e-5)
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        assert found.shape == expected.shape
        assert torch.allclose(torch.from_numpy(found), expected, atol=1e-4)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_it_computes_the_same_in_each_memory_format(memory_format: torch.memory_format) -> None:
    model, x = random_norms(UNet(3, 4, width=4, depth=2)), torch.rand(2, 3, 11, 13)
    expected: Tensor = model(x)
    found = model.to(memory_format=memory_format)(x.to(memory_format=memory_format))
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("model.upsample=nearest", ["model.upsample=nearest", "transposed or bilinear"]),
        ("model.depth=0", ["model.depth=0", "1"]),
        ("model.width=0", ["model.width=0", "at least 1"]),
    ],
)
def test_a_wrong_value_is_one_line(cnntrain: Command, typed: str, told: list[str]) -> None:
    is_told(cnntrain("train", "model=unet", typed), *told)


def test_an_image_is_halved_ten_times_at_most() -> None:
    with torch.device("meta"):
        UNet(1, 2, width=1, depth=10)
    with pytest.raises(ValueError, match="depth=11 halves the image 11 times; at most 10"):
        UNet(1, 2, width=1, depth=11)
