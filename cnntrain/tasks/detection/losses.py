"""The loss of a detector: is the right class said, and does the box lie right?"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import complete_box_iou_loss

from cnntrain.annotations.regions import BOX_CLASS, BOX_IGNORED
from cnntrain.models.detection.of_torchvision import Found
from cnntrain.tasks.detection.assignment import Assignment, assigned
from cnntrain.tasks.detection.boxes import BOX, BOX_OF, CENTRE, LOGITS, exist, is_within

WIDE = 32  # objects of an image, up to which none is left out
BOXES = 10.0  # what the boxes of cells count beside the classes by default; YOLOv8 has 7.5 to 0.5


class DetectionLoss(nn.Module):
    """The losses of classes and of boxes, together a mean over objects and images.

    An image without objects counts as one that the network should leave alone.

    What cells say is compared with the objects here: by the binary cross entropy of each class, and by CIoU
    (Zheng et al. 2020). A cell that learns no object should give 0 to each class. One that learns an object
    should give its class the more, the better its box fits by now (Feng et al. 2021, TOOD). A two-stage
    network computes its losses itself: it decides with the objects what its second stage learns from.

    Args:
        box: how much the boxes count beside the classes; 1 is usual for either kind of network.
    """

    def __init__(self, box: float = 1.0) -> None:
        super().__init__()
        self.box = box

    def weigh(self, y: Tensor) -> Tensor:
        """Return what a batch counts in a mean over several: its objects and its images, float32 ()."""
        weight: Tensor = exist(y).sum().float() + len(y)
        return weight

    def forward(self, output: Tensor | Found, y: Tensor) -> Tensor:
        """Map outputs of a network and objects, float32 (N, M, 6), to the loss, float32 ().

        Args:
            output: what cells say, float (N, A, 6 + classes), or what a two-stage network proposes.
            y: objects, see :class:`cnntrain.data.targets.Boxes`.
        """
        if isinstance(output, Tensor):
            of_classes, of_boxes = losses_of_cells(output, y)
        else:
            counts = exist(y)
            boxes = [row[there] for row, there in zip(y[..., BOX_OF], counts, strict=True)]
            classes = [row[there] for row, there in zip(y[..., BOX_CLASS].long(), counts, strict=True)]
            of_classes, of_boxes = (len(y) * loss for loss in output.losses(boxes, classes))
        total: Tensor = of_classes + self.box * of_boxes
        return total / self.weigh(y)


def scores_of_objects(output: Tensor, y: Tensor) -> Tensor:
    """Return the scores that cells give to the class of each object, float (N, M, A).

    Args:
        output, y: as of :func:`losses_of_cells`.
    """
    classes = y[..., BOX_CLASS].long().clamp(min=0)
    of_object = classes[:, None].expand(-1, output.shape[1], -1)
    return output[..., LOGITS].sigmoid().gather(2, of_object).transpose(1, 2)


def learnt(output: Tensor, y: Tensor) -> Assignment:
    """Return which object each cell learns, and how much; arguments as of :func:`losses_of_cells`."""
    scores = scores_of_objects(output, y)
    return assigned(output[..., CENTRE], output[..., BOX], scores, y[..., BOX_OF], exist(y))


def losses_of_cells(output: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sums of the losses of classes and of boxes over all cells, float32 () each.

    Args:
        output: what cells say, float (N, A, 6 + classes), see :class:`cnntrain.models.Yolo`.
        y: objects, float32 (N, M, 6). What is within those that are ignored is neither learnt nor unlearnt.
    """
    output = output.float()
    logits, centres = output[..., LOGITS], output[..., CENTRE].detach()
    y = as_wide_as_needed(y)
    classes = y[..., BOX_CLASS].long().clamp(min=0)
    found = learnt(output.detach(), y)
    learns = (found.wanted > 0)[..., None]
    label = classes.gather(1, found.owner)[..., None]
    wanted = torch.zeros_like(logits).scatter(2, label, found.wanted[..., None])
    of_classes = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    is_unknown = (is_within(centres, y[..., BOX_OF]) & (y[..., BOX_IGNORED] > 0)[..., None]).any(dim=1)
    of_classes = of_classes.masked_fill(is_unknown[..., None] & ~learns, 0.0)
    objects = y[..., BOX_OF].gather(1, found.owner[..., None].expand(-1, -1, 4))
    # A cell without an object compares a box with itself: rows of padding would give NaN.
    unit = output.new_tensor([0.0, 0.0, 1.0, 1.0])
    of_boxes = complete_box_iou_loss(output[..., BOX].where(learns, unit), objects.where(learns, unit))
    return of_classes.sum(), BOXES * (of_boxes * found.wanted).sum()


def as_wide_as_needed(y: Tensor) -> Tensor:
    """Return objects, float32 (N, M, 6), without columns of padding that no image of the batch needs.

    One crowded image makes the table of the whole data set wide. Narrow tables stay as they are, since a GPU
    is waited for to count the objects.
    """
    if y.shape[1] <= WIDE:
        return y
    return y[:, : max(1, int((y[..., BOX_CLASS] >= 0).sum(dim=1).max()))]
