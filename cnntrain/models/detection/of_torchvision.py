"""Torchvision's detectors, and Faster R-CNN of its parts, in the loop of all other networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN as Network
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList

from cnntrain.models.detection.pooling import POINTS, Pooling
from cnntrain.models.detection.pyramid import Pyramid

SIDES, RATIOS = (2.0, 3.0), (0.5, 1.0, 2.0)  # of the anchors of each grid: in strides, and height to width
POOLED, HIDDEN = 7, 256  # rows and columns of a proposal's features, and units of the layers after them
PROPOSALS, LOOKED_AT, LEARNT = 300, 100, 64  # of an image: before suppression, after it, and sampled to learn
LEAST_SCORE = 0.01  # of a box that is found; COCO's average precision counts unsure ones, too
NEVER = -20.0  # a logit; the score is 2e-9
OF_BOXES = ("reg", "ctrness")  # parts of the names of torchvision's losses of boxes


@dataclass(frozen=True)
class Found:
    """What a detector of torchvision makes of images.

    The heads need the objects to choose what they learn from, and only the loss is given the objects. So the
    loss runs them to the end.

    Args:
        detector: the detector that looked at the images.
        features: maps of its backbone, each (N, channels, rows, columns), by name.
        images: float (N, C, H, W).
        cells: what is found, float32 (N, boxes, 6 + classes), as :class:`cnntrain.models.Yolo` gives it; None
            in training.
    """

    detector: OfTorchvision
    features: Mapping[str, Tensor]
    images: Tensor
    cells: Tensor | None

    def losses(self, boxes: Sequence[Tensor], classes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the losses of classes and of boxes, each the mean over images, float32 ().

        Args:
            boxes: the boxes of the objects of each image, float32 (M, 4).
            classes: the classes of the objects of each image, int64 (M,).
        """
        return self.detector.losses(self, boxes, classes)

    @property
    def predictions(self) -> Tensor:
        """What is found in evaluation, as :class:`cnntrain.models.Yolo` gives it."""
        assert self.cells is not None
        return self.cells


class OfTorchvision(nn.Module):
    """A detector of torchvision: the backbone looks at the images, and the heads get its maps.

    Torchvision scales images first, returns losses in training and boxes in evaluation, and wants the objects
    before it looks. Here images are as the data have them, and there is a loss in evaluation, too. Background
    is a class of the heads alone, their class 0.

    Args:
        network: the network with a ``backbone`` and a ``transform``; its heads have a class for the
            background.
        num_classes: number of classes without the background.

    Attributes:
        by_torchscript: it is exported to ONNX by the exporter for TorchScript; torch.export can't follow it.
    """

    head_modules: ClassVar[tuple[str, ...]] = ("heads",)
    by_torchscript: ClassVar[bool] = True
    needs_values: ClassVar[bool] = True  # how many boxes there are depends on them; the meta device has none

    def __init__(self, network: Any, num_classes: int) -> None:
        super().__init__()
        self.backbone: nn.Module = network.backbone
        self.heads = network
        self.num_classes = num_classes
        self.given = network.backbone = Given()
        network.transform = AsTheyAre()
        self.most: int = next(
            module.detections_per_img for module in network.modules() if hasattr(module, "detections_per_img")
        )
        for module in network.modules():
            if hasattr(module, "score_thresh"):
                module.score_thresh = LEAST_SCORE

    def forward(self, x: Tensor) -> Found:
        """Map images, float (N, C, H, W), to their features, and in evaluation to what is found."""
        features = self.backbone(x)
        features = {"0": features} if isinstance(features, Tensor) else features
        cells = None if self.training else self.cells(features, x)
        return Found(self, features, x, cells)

    def losses(
        self, found: Found, boxes: Sequence[Tensor], classes: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the losses of classes and of boxes, see :meth:`Found.losses`.

        The heads draw which boxes they look at. In evaluation those of an image are always the same, whatever
        its batch holds besides.
        """
        targets = [{"boxes": box, "labels": label + 1} for box, label in zip(boxes, classes, strict=True)]
        if self.training:
            return self.losses_of(found.features, found.images, targets)
        each = []
        with torch.random.fork_rng(), learning(self.heads):
            for place in range(len(targets)):
                torch.manual_seed(0)
                own = slice(place, place + 1)
                features = {name: maps[own] for name, maps in found.features.items()}
                each.append(torch.stack(self.losses_of(features, found.images[own], targets[own])))
        of_classes, of_boxes = torch.stack(each).mean(dim=0)
        return of_classes, of_boxes

    def losses_of(
        self, features: Mapping[str, Tensor], images: Tensor, targets: Sequence[Mapping[str, Tensor]]
    ) -> tuple[Tensor, Tensor]:
        """Return the losses of classes and of boxes of a batch, as torchvision's heads have them."""
        losses = self.of_heads(features, images, targets)
        of_boxes = [loss for name, loss in losses.items() if any(part in name for part in OF_BOXES)]
        return torch.stack(list(losses.values())).sum() - sum(of_boxes), torch.stack(of_boxes).sum()

    def cells(self, features: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return each box that is found, with the score of its class; rows that only fill up are none."""
        none = x.new_zeros(self.most, 6 + self.num_classes, dtype=torch.float32)
        none[:, 6:] = NEVER
        labels = torch.arange(1, self.num_classes + 1, device=x.device)
        found = []
        for image in self.of_heads(features, x):
            boxes, is_own = image["boxes"], image["labels"][:, None] == labels
            logits = torch.where(is_own, image["scores"].logit(eps=1e-7)[:, None], NEVER)
            cells = torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes, logits], dim=1)
            found.append(torch.cat([cells, none])[: self.most])
        return torch.stack(found)

    def of_heads(self, features: Mapping[str, Tensor], x: Tensor, targets: Any = None) -> Any:
        """Return what the heads make of maps, in float32: half a pixel matters, and bfloat16 has 8 bits."""
        with torch.autocast(x.device.type, enabled=False):
            self.given.features = {name: each.float() for name, each in features.items()}
            try:
                return self.heads(x, targets)
            finally:
                self.given.features = {}


class FasterRCNN(OfTorchvision):
    """Faster R-CNN (Ren et al. 2015) over the same pyramid as :class:`cnntrain.models.Yolo`.

    The first stage looks at anchors, boxes of fixed sizes around each place of the maps, and proposes those
    that hold something. The second stage cuts the features of each proposal out of the maps, names its class
    and moves its box. With torchvision's own settings nearly all time is spent on proposals; small images
    need few of them.

    Args:
        in_channels: 1 for grey, 3 for colour.
        num_classes: number of classes; background is none of them.
        width, strides, backbone, weights: see :class:`cnntrain.models.detection.pyramid.Pyramid`.

    Raises:
        ValueError, UserError: likewise.
    """

    encoder: ClassVar[tuple[str, ...]] = ("backbone.pyramid.backbone",)  # which init_from takes alone
    head_modules: ClassVar[tuple[str, ...]] = ("backbone.pyramid.lateral", "heads")

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        width: int,
        strides: Sequence[int] = (8, 16),
        backbone: str | None = None,
        weights: str | None = None,
    ) -> None:
        maps = Named(Pyramid(in_channels, width, strides, backbone, weights))
        names = [str(stride) for stride in strides]
        sizes = tuple(tuple(int(side * stride) for side in SIDES) for stride in strides)
        network = Network(
            maps,
            rpn_anchor_generator=AnchorGenerator(sizes, (RATIOS,) * len(strides)),
            rpn_pre_nms_top_n_train=PROPOSALS,
            rpn_pre_nms_top_n_test=PROPOSALS,
            rpn_post_nms_top_n_train=LOOKED_AT,
            rpn_post_nms_top_n_test=LOOKED_AT,
            box_roi_pool=Pooling(names, POOLED, POINTS),
            box_head=TwoMLPHead(maps.out_channels * POOLED**2, HIDDEN),
            box_predictor=FastRCNNPredictor(HIDDEN, num_classes + 1),
            box_batch_size_per_image=LEARNT,
        )
        super().__init__(network, num_classes)


class Named(nn.Module):
    """The maps of a pyramid by their strides, as torchvision's detectors take them.

    Args:
        pyramid: whose maps they are.
    """

    def __init__(self, pyramid: Pyramid) -> None:
        super().__init__()
        self.pyramid = pyramid
        self.out_channels = pyramid.channels

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Map images, float (N, C, H, W), to maps by name."""
        return {str(stride): each for stride, each in zip(self.pyramid.strides, self.pyramid(x), strict=True)}


class Given(nn.Module):
    """Stands in a network for a backbone that has looked at the images already."""

    def __init__(self) -> None:
        super().__init__()
        self.features: dict[str, Tensor] = {}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the maps of the images."""
        return self.features


class AsTheyAre(nn.Module):
    """Stands in a network for the scaling and normalisation of images: the data have done both."""

    def forward(self, images: Tensor, targets: Any = None) -> tuple[ImageList, Any]:
        """Return images as torchvision's detectors take them, and the objects."""
        return ImageList(images, [(images.shape[2], images.shape[3])] * len(images)), targets

    def postprocess(self, found: Any, sizes: Any, originals: Any) -> Any:
        """Return boxes as they are."""
        return found


@contextmanager
def learning(network: nn.Module) -> Iterator[None]:
    """Let a network give losses in evaluation, too: it and its stages, but not their layers."""
    stages = [network, *(stage for name, stage in network.named_children() if name in ("rpn", "roi_heads"))]
    before = [stage.training for stage in stages]
    try:
        for stage in stages:
            stage.training = True
        yield
    finally:
        for stage, was in zip(stages, before, strict=True):
            stage.training = was
