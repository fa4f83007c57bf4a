"""Torchvision's detectors trained as its references train them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import MultiScaleRoIAlign

from cnntrain.bench.candidate import Candidate
from cnntrain.models.detection.of_torchvision import OfTorchvision
from cnntrain.models.detection.pooling import Pooling

BACKGROUND = 1  # class 0 of torchvision's heads, before those of the data


class Reference(Candidate):
    """The step of torchvision's ``references/detection/engine.py``: lists in, a dictionary of losses out.

    Its model is torchvision's own, as :func:`as_published` gives it.
    """

    def train(self, steps: int) -> None:
        """Train for some steps: images and objects go into the network, which gives its losses."""
        self.model.train()
        for images, targets in self.endless(steps):
            x = [image.to(self.device) for image in images]
            objects = [{name: value.to(self.device) for name, value in target.items()} for target in targets]
            for target in objects:
                target["labels"] = target["labels"] + BACKGROUND
            losses = sum(self.model(x, objects).values())
            self.optimizer.zero_grad()
            losses.backward()
            self.optimizer.step()


def as_published(
    model: OfTorchvision, size: tuple[int, int], mean: Sequence[float], std: Sequence[float]
) -> nn.Module:
    """Return torchvision's own network of the layers of a model.

    Its scaling and normalisation stand in front, and RoIAlign has its own gradient.

    Its images are not padded to a multiple of 32 pixels, as they are by default, which would slow it down:
    the model's layers take any size.

    Args:
        model: the model whose layers they are. It is changed.
        size: height and width of the images, in pixels.
        mean: the mean of each channel.
        std: the standard deviation of each channel.
    """
    network: nn.Module = model.heads
    network.backbone = model.backbone
    stage = getattr(network, "roi_heads", None)
    if stage is not None and isinstance(ours := stage.box_roi_pool, Pooling):
        stage.box_roi_pool = MultiScaleRoIAlign(ours.featmap_names, ours.output_size, ours.sampling_ratio)
    sides, normalize = (min(size), max(size)), (list(mean), list(std))
    network.transform = GeneralizedRCNNTransform(*sides, *normalize, size_divisible=1)
    return network
