"""Forward hooks: what they are told, and that none of them stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import cnntrain
from cnntrain.models.hooks import changed_inputs, forward_hooks, leaves


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 1)))


def test_hooks_are_told_of_each_layer_in_the_order_of_the_forward_pass() -> None:
    seen: list[tuple[str, str, tuple[int, ...], tuple[int, ...]]] = []

    def note(name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> str:
        seen.append((name, type(module).__name__, tuple(args[0].shape), tuple(output.shape)))
        return "which does not replace the output"

    model = network()
    with forward_hooks(leaves(model), note):
        assert model(torch.zeros(5, 2)).shape == (5, 1)
    assert seen == [
        ("0", "Linear", (5, 2), (5, 3)),
        ("1.0", "ReLU", (5, 3), (5, 3)),
        ("1.1", "Linear", (5, 3), (5, 1)),
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_no_hook_stays_after_the_block_whatever_happens_in_it(fails: bool) -> None:
    calls: list[str] = []
    model = network()
    try:
        with forward_hooks(model.named_modules(), lambda name, *_: calls.append(name)):
            model(torch.zeros(1, 2 if not fails else 7))
    except RuntimeError:
        assert fails
    calls.clear()
    model(torch.zeros(1, 2))
    assert calls == []
    assert all(not module._forward_hooks for module in model.modules())


def test_a_layer_reads_something_else_until_the_block_ends() -> None:
    model, x = nn.Sequential(nn.Identity(), nn.Flatten()), torch.ones(2, 3, 1)
    with changed_inputs([(model[1], lambda maps: maps * 5)]):
        assert torch.equal(model(x), 5 * torch.ones(2, 3))
    assert torch.equal(model(x), torch.ones(2, 3))
    with pytest.raises(ZeroDivisionError), changed_inputs([(model[0], lambda maps: maps / (1 // 0))]):
        model(x)
    assert torch.equal(model(x), torch.ones(2, 3))


def test_hooks_of_layers_are_registered_in_one_module() -> None:
    package = Path(cnntrain.__file__).parent
    found = [file.name for file in package.rglob("*.py") if "register_forward_" in file.read_text()]
    assert found == ["hooks.py"]
