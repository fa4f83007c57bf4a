"""An MLP as a script writes it: layers fc1, fc2, ... in ``__init__``, and the data flow in ``forward``."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from cnntrain.models.mlp import MLP

# The functions of those activations whose name in torch.nn.functional is another, or stands in torch.
FUNCTIONS = {
    "LeakyReLU": "F.leaky_relu",
    "SiLU": "F.silu",
    "Hardswish": "F.hardswish",
    "Tanh": "torch.tanh",
    "Sigmoid": "torch.sigmoid",
}


def written(model: MLP, shape: tuple[int, int, int], total: str) -> tuple[str, str]:
    """Return the class of an MLP, and the call that makes one.

    Args:
        model: the network.
        shape: channels, height and width of an image.
        total: the number of its parameters, in words.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    sizes = [layers[0].in_features, *(layer.out_features for layer in layers)]
    hidden = [f"n_h{number}" for number in range(1, len(layers))]
    names = ["n_in", *(["n_h"] if len(hidden) == 1 else hidden), "n_out"]
    images = ", ".join(map(str, shape))
    dropout = next((module.p for module in model.modules() if isinstance(module, nn.Dropout)), None)
    lines = [
        "class MLP(nn.Module):",
        f'    """{total} parameters."""',
        "",
        f"    def __init__(self, {', '.join(f'{name}: int' for name in names)}) -> None:",
        "        super().__init__()",
    ]
    for number, ((first, second), layer) in enumerate(zip(pairwise(names), layers, strict=True), 1):
        inputs, outputs = layer.in_features, layer.out_features
        count = f"{inputs}·{outputs} + {outputs} = {inputs * outputs + outputs:,} parameters"
        lines.append(f"        self.fc{number} = nn.Linear({first}, {second})  # {count}")
    if dropout is not None:
        lines.append(f"        self.dropout = nn.Dropout({dropout})")
    lines += [
        "",
        "    def forward(self, x: Tensor) -> Tensor:",
        f'        """Map images, float (N, {images}), to logits, float (N, {sizes[-1]})."""',
        "        x = x.flatten(1)",
    ]
    for number in range(1, len(layers)):
        line = f"{function_of(model)}(self.fc{number}(x))"
        lines.append(f"        x = {line}" if dropout is None else f"        x = self.dropout({line})")
    lines.append(f"        return self.fc{len(layers)}(x)")
    return "\n".join(lines), f"MLP({', '.join(map(str, sizes))})"


def function_of(model: MLP) -> str:
    """Return the function that an activation of torch.nn computes, as it is written."""
    name = type(model.hidden[1]).__name__
    return FUNCTIONS.get(name, f"F.{name.lower()}")
