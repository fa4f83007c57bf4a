"""How parts of a run are written as Python: calls of classes, layers of a model, a schedule."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from cnntrain.config.instantiate import locate, signature
from cnntrain.errors import UserError
from cnntrain.explain.arithmetic import TracedLayer, describe_parameters, describe_size, format_shape
from cnntrain.text import printable

COMMAND_WIDTH = 100  # of a line of the command in the docstring
WIDTH, INDENT = 110, 12  # of a line of the script, and of one that builds a layer
PLAIN = (str, int, float, bool, type(None))


def call(key: str, node: Mapping[str, Any], known: Mapping[str, str]) -> str:
    """Return the call that builds what a node of the configuration names.

    Args:
        key: where the node stands, for messages.
        node: ``_target_`` and arguments; those that are the class's own defaults are left out.
        known: arguments that only the run knows, as they are written, for those that the class takes.

    Raises:
        UserError: an argument is no plain value.
    """
    target = node["_target_"]
    name = target.rpartition(".")[2]
    parameters = signature(key, locate(key, target)).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    words = [
        value if name == "params" else f"{name}={value}"
        for name, value in known.items()
        if name not in node and (name in parameters or (takes_any and name == "num_classes"))
    ]
    for argument, value in node.items():
        if argument == "_target_":
            continue
        if not is_plain(value):
            raise UserError(f"{key}.{argument} can't be written as a script: it is not a plain value")
        default = parameters[argument].default if argument in parameters else inspect.Parameter.empty
        value = tuple(value) if isinstance(value, list) and isinstance(default, tuple) else value
        if value != default or argument == "lr":  # which a reader looks for
            words.append(f"{argument}={value!r}")
    module = target.rpartition(".")[0]
    prefix = {"torch.nn": "nn.", "torch.optim": "torch.optim."}.get(module, "")
    if module.startswith("torch.optim."):
        prefix = f"{module}."
    text = f"{prefix}{name}({', '.join(words)})"
    is_long = len("    optimizer = ") + len(text) > WIDTH
    return f"{prefix}{name}(\n        {', '.join(words)}\n    )" if is_long else text


def is_plain(value: Any) -> bool:
    """Return whether a value is one that can be written down."""
    if isinstance(value, list | tuple):
        return all(is_plain(item) for item in value)
    return isinstance(value, PLAIN)


def layer(traced: TracedLayer) -> list[str]:
    """Return the line that builds a layer of ours, with its arithmetic as a comment beside or above it."""
    text = f"{constructor(traced.module)},"
    before, after = traced.input_shape, traced.layer.output_shape
    size, parameters = describe_size(traced), describe_parameters(traced)
    if before == after and not parameters:
        return [text]
    facts = [size, f"{parameters} parameters" if parameters else ""]
    comment = f"# {format_shape(before)} -> {format_shape(after)}: {'; '.join(filter(None, facts))}"
    beside = f"{text}  {comment}"
    return [beside] if INDENT + len(beside) <= WIDTH else [comment, text]


def constructor(module: Any) -> str:
    """Return the call that builds a layer of an MLP or a CNN; what is torch's default is left out."""
    name = f"nn.{type(module).__name__}"
    if isinstance(module, nn.Conv2d):
        padding = f", padding={module.padding[0]}" if module.padding[0] else ""
        bias = "" if module.bias is not None else ", bias=False"
        size = module.kernel_size[0]
        return f"{name}({module.in_channels}, {module.out_channels}, kernel_size={size}{padding}{bias})"
    if isinstance(module, nn.Linear):
        return f"{name}({module.in_features}, {module.out_features})"
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        return f"{name}({module.kernel_size})"
    if isinstance(module, nn.BatchNorm2d):
        return f"{name}({module.num_features})"
    if isinstance(module, nn.Dropout):
        return f"{name}({module.p})"
    return f"{name}()"


def learning_rate(node: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return a schedule of ours in words and as the lines of a function of ``step`` and ``steps_per_epoch``.

    The lines are empty for a learning rate that stays as it is.
    """
    kind, warmup = node["_target_"].rpartition(".")[2], node["warmup"]
    lines = []
    if warmup:
        lines.append(f"warmup_steps = round({warmup!r} * steps_per_epoch)")
        lines.append("warmup = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0")
    rising = "warmup * " if warmup else ""
    if kind in ("Cosine", "OneCycle"):
        lines.append("total_steps = EPOCHS * steps_per_epoch")
        if warmup:
            lines.append("scheduled = max(1, total_steps - warmup_steps)")
            lines.append("progress = min(1.0, max(0.0, (step - warmup_steps) / scheduled))")
        else:
            lines.append("progress = step / total_steps")
    if kind == "Cosine":
        lines.append(f"return {rising}cosine(1.0, {node['final']!r}, progress)")
        words = f"half a cosine from 1 to {node['final']:g}"
    elif kind == "OneCycle":
        rise = node["rise"]
        lines += [
            f"if progress < {rise!r}:",
            f"    return {rising}cosine({node['start']!r}, 1.0, progress / {rise!r})",
            f"return {rising}cosine(1.0, {node['final']!r}, "
            f"(progress - {rise!r}) / {max(1e-12, 1.0 - rise)!r})",
        ]
        words = f"from {node['start']:g} up to 1 and down to {node['final']:g}"
    elif kind == "Step":
        every = f"max(1, round({node['every']!r} * steps_per_epoch))"
        lines.append(f"return {rising}{node['gamma']!r} ** (step // {every})")
        words = f"{node['gamma']:g} times smaller every {node['every']:g} epochs"
    elif kind == "MultiStep":
        passed = f"sum(step >= round(each * steps_per_epoch) for each in {node['milestones']!r})"
        lines.append(f"return {rising}{node['gamma']!r} ** {passed}")
        words = f"{node['gamma']:g} times smaller after epochs {', '.join(map(str, node['milestones']))}"
    else:
        lines += ["return warmup"] if warmup else []
        words = "1"
    return (f"{words}, after a warm-up of {warmup:g} epochs" if warmup else words), lines


def command(overrides: Sequence[str]) -> str:
    """Return the command that makes the same run, on several lines if it is long, for a docstring."""
    lines: list[str] = []
    for word in ("cnntrain", "train", *map(shlex.quote, overrides)):  # never broken within a word
        if lines and len(lines[-1]) + 1 + len(word) <= COMMAND_WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return " \\\\\n        ".join(map(in_docstring, lines))


def in_docstring(text: str) -> str:
    """Return text of any kind as it is written between triple quotes, on one line."""
    shown = printable(text, longest=len(text))
    return shown.replace("\\", "\\\\").replace('"', '\\"' if '"""' in shown or shown.endswith('"') else '"')


def python_string(value: object) -> str:
    """Return a string as a Python literal, in double quotes where it holds none."""
    text = str(value)
    return repr(text) if '"' in text else f'"{repr(chr(39) + text)[2:]}'
