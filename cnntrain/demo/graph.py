"""The network of the page: ONNX with the tensors inside it as outputs, and its weights to be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from cnntrain.compute.outputs import predictions_of
from cnntrain.demo.taps import Tap, tapped
from cnntrain.errors import RunFailed
from cnntrain.inference.portable.comparison import LARGEST_DIFFERENCE
from cnntrain.inference.portable.from_bytes import FromBytes
from cnntrain.inference.portable.writers import Source, exporting, to_onnx
from cnntrain.models.hooks import forward_hooks


@dataclass(frozen=True)
class Graph:
    """A network that the page runs.

    Args:
        model: the ONNX file. Its input is ``images``, uint8 (1, C, H, W); its outputs are what the task makes
            of the network's, the tensors inside, ``tap0`` and so on, and the weights, by their names.
        output: the name of the first output.
        taps: the tensors inside.
        difference: the largest one between an output and what torch gives, as a share of the largest value.
    """

    model: bytes
    output: str
    taps: list[Tap]
    difference: float


class OneImage(Source):
    """What is written for one image at a time."""

    def dynamic_shapes(self, kind: str) -> dict[str, dict[int, object]]:
        """Return dynamic shapes by which no side may have another length."""
        return {"images": {}}


def graph_of(model: FromBytes, images: Tensor) -> Graph:
    """Return the network of the page, compared with torch.

    Args:
        model: the model in evaluation mode, on the CPU.
        images: uint8 (N, C, H, W), to compare on.

    Raises:
        UserError: the model can't be exported.
        RunFailed: what was exported gives other values than torch.
    """
    import onnx

    with exporting("onnx"):
        whole, taps = tapped(model, images[:1])
    outputs = [model.exported.output, *(f"tap{place}" for place in range(len(taps)))]
    proto = to_onnx(whole.eval(), OneImage(model, images[:1], False, {}), outputs)
    stored = {tensor.name: tensor.dims for tensor in proto.graph.initializer}
    kept, wanted = [], {}
    for tap in taps:
        names = {kind: name for kind, name in tap.weights.items() if own_name(name) in stored}
        if len(names) < len(tap.weights):  # the exporter has folded one into others: it can't be shown
            tap = replace(tap, does="", reads=None)
        kept.append(replace(tap, weights=names))
        wanted.update(dict.fromkeys(names.values()))
    for name in wanted:
        proto.graph.node.append(onnx.helper.make_node("Identity", [own_name(name)], [name]))
        info = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, stored[own_name(name)])
        proto.graph.output.append(info)
    onnx.checker.check_model(proto, full_check=True)
    data = proto.SerializeToString()
    return Graph(data, outputs[0], kept, difference(data, outputs, whole, images, model))


def own_name(name: str) -> str:
    """Return the name that the exporter gives a weight of the network."""
    return f"inner.model.{name}"


def outputs_of(whole: torch.nn.Module, image: Tensor, model: FromBytes) -> tuple[Sequence[Tensor], Tensor]:
    """Return what the page gets of an image, and what the network gave before the task's head."""
    given: list[Tensor] = []
    with forward_hooks([("", model.model)], lambda name, layer, args, output: given.append(output)):
        expected = whole(image)
    return expected, predictions_of(given[0])


@torch.no_grad()
def difference(
    data: bytes, outputs: Sequence[str], whole: torch.nn.Module, images: Tensor, model: FromBytes
) -> float:
    """Return the largest difference between onnxruntime and torch, see :class:`Graph`.

    Raises:
        RunFailed: it is more than fp32 explains, or an output means something else.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    largest = 0.0
    for image in images.split(1):
        expected, output = outputs_of(whole, image, model)
        found = session.run(list(outputs), {"images": image.numpy()})
        made = torch.from_numpy(found[0])
        counterparts = [model.task.counterpart(made, expected[0], output), *expected[1:]]
        for name, one, other in zip(outputs, found, counterparts, strict=True):
            scale = max(1.0, float(other.abs().max()))
            apart = float(np.abs(one - other.numpy()).max()) / scale
            if not apart < LARGEST_DIFFERENCE:
                raise RunFailed(f"{name} differs from torch by {apart:.2g} of its largest value in the page")
            largest = max(largest, apart)
        if not model.task.means_the_same(made, expected[0], output):
            raise RunFailed(f"the page gives other {model.exported.output} than torch")
    return largest
