"""Two-stage detectors: boxes are proposed first, and then each is looked at once more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN as Network
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import MultiScaleRoIAlign, clip_boxes_to_image

from cnntrain.models.detection.pyramid import Pyramid

SIDES, RATIOS = (2.0, 3.0), (0.5, 1.0, 2.0)  # of the anchors of each grid: in strides, and height to width
POOLED, HIDDEN = 7, 256  # rows and columns of a proposal's features, and units of the layers behind them
PROPOSALS, LOOKED_AT, LEARNT = 300, 100, 64  # of an image: before suppression, after it, and sampled to learn
NEVER = -20.0  # a logit; the score is 2e-9


@dataclass(frozen=True)
class Proposed:
    """What a two-stage detector makes of images.

    Which proposals the second stage learns from depends on the objects, which the loss alone is given. So the
    stages are run to the end there.

    Args:
        detector: that looked at the images.
        features: maps of its pyramid, each (N, channels, rows, columns), by name.
        images: float (N, C, H, W).
        cells: what is found, float32 (N, rows, 6 + classes), as :class:`cnntrain.models.Yolo` gives it; None
            in training.
    """

    detector: TwoStage
    features: dict[str, Tensor]
    images: Tensor
    cells: Tensor | None

    def losses(self, boxes: Sequence[Tensor], classes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the losses of classes and of boxes of both stages, each the mean over images, float32 ().

        Args:
            boxes: of the objects of each image, float32 (M, 4).
            classes: of the objects of each image, int64 (M,).
        """
        return self.detector.losses(self, boxes, classes)

    def float(self) -> Tensor:
        """Return what is found, as :class:`cnntrain.models.Yolo` gives it, float32 (N, rows, 6 + classes)."""
        assert self.cells is not None
        return self.cells


class TwoStage(nn.Module):
    """Faster R-CNN (Ren et al. 2015) with the pyramid of Lin et al. (2017), of torchvision's parts.

    The first stage looks at anchors, boxes of fixed sizes around each place of the maps, and proposes those
    that hold something. The second stage cuts the features of each proposal out of the maps, names its class
    and moves its box. Background is a class of the second stage alone, its class 0.

    With the defaults of torchvision nearly all time is spent on proposals. Small images need few of them.

    Args:
        network: of torchvision, with a ``backbone``, an ``rpn`` and ``roi_heads``.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.backbone, self.rpn, self.roi_heads = network.backbone, network.rpn, network.roi_heads

    def forward(self, x: Tensor) -> Proposed:
        """Map images, float (N, C, H, W), to what is proposed, and in evaluation to what is found."""
        features = self.backbone(x)
        cells = None if self.training else self.cells(features, x)
        return Proposed(self, features, x, cells)

    def losses(
        self, proposed: Proposed, boxes: Sequence[Tensor], classes: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the losses of classes and of boxes, see :meth:`Proposed.losses`."""
        targets = [{"boxes": box, "labels": label + 1} for box, label in zip(boxes, classes, strict=True)]
        images = as_list(proposed.images)
        with in_float32(proposed.images), drawing(self.training), learning(self.rpn, self.roi_heads):
            features = {name: features.float() for name, features in proposed.features.items()}
            proposals, first = self.rpn(images, features, targets)
            _, second = self.roi_heads(features, proposals, images.image_sizes, targets)
        of_classes = first["loss_objectness"] + second["loss_classifier"]
        return of_classes, first["loss_rpn_box_reg"] + second["loss_box_reg"]

    def cells(self, features: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return each proposal once for each class, with the box and the score that the class gives it."""
        images, heads = as_list(x), self.roi_heads
        with in_float32(x):
            features = {name: each.float() for name, each in features.items()}
            proposals, _ = self.rpn(images, features)
            pooled = heads.box_roi_pool(features, proposals, images.image_sizes)
            logits, moves = heads.box_predictor(heads.box_head(pooled))
            boxes = clip_boxes_to_image(
                heads.box_coder.decode(moves, proposals)[:, 1:], images.image_sizes[0]
            )
            scores = logits.softmax(dim=1)[:, 1:].logit(eps=1e-7)
            classes = scores.shape[1]
            own = torch.eye(classes, device=x.device, dtype=torch.bool)
            said = scores[:, None].expand(-1, classes, -1).where(own, NEVER)
            centres = (boxes[..., :2] + boxes[..., 2:]) / 2
            rows = torch.cat([centres, boxes, said], dim=2).flatten(0, 1)
        counts = [classes * len(each) for each in proposals]
        return padded_rows(rows.split(counts), classes * self.most)

    @property
    def most(self) -> int:
        """The number of proposals of an image that the second stage looks at, at most."""
        return self.rpn.post_nms_top_n()


class FasterRCNN(TwoStage):
    """:class:`TwoStage` over the same pyramid as :class:`cnntrain.models.Yolo`, with few proposals.

    Args:
        in_channels: 1 for grey, 3 for colour.
        num_classes: number of classes; background is none of them.
        width, strides, backbone, weights: see :class:`cnntrain.models.detection.pyramid.Pyramid`.

    Raises:
        ValueError, UserError: likewise.
    """

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
            box_roi_pool=MultiScaleRoIAlign(names, POOLED, sampling_ratio=2),
            box_head=TwoMLPHead(maps.out_channels * POOLED**2, HIDDEN),
            box_predictor=FastRCNNPredictor(HIDDEN, num_classes + 1),
            box_batch_size_per_image=LEARNT,
        )
        super().__init__(network)


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


def as_list(x: Tensor) -> ImageList:
    """Return images as torchvision's detectors take them."""
    return ImageList(x, [(x.shape[2], x.shape[3])] * len(x))


def padded_rows(images: Sequence[Tensor], most: int) -> Tensor:
    """Return the rows of all images as one tensor; those that only fill it are never found."""
    found = images[0].new_zeros(len(images), most, images[0].shape[1])
    found[..., 6:] = NEVER
    for place, rows in enumerate(images):
        found[place, : len(rows)] = rows
    return found


def in_float32(x: Tensor) -> Any:
    """Return a context without autocast: half a pixel matters, and bfloat16 has 8 bits."""
    return torch.autocast(x.device.type, enabled=False)


@contextmanager
def drawing(trains: bool) -> Iterator[None]:
    """Draw the proposals that are learnt from; in evaluation always the same ones."""
    if trains:
        yield
        return
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@contextmanager
def learning(*stages: nn.Module) -> Iterator[None]:
    """Let stages give losses in evaluation, too. They have no layers that behave otherwise in training."""
    before = [stage.training for stage in stages]
    try:
        for stage in stages:
            stage.training = True
        yield
    finally:
        for stage, was in zip(stages, before, strict=True):
            stage.training = was
