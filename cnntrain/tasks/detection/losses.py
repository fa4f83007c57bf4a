"""The loss of a one-stage detector: is the right class said, and does the box lie right?"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import complete_box_iou_loss

from cnntrain.annotations.regions import BOX_CLASS, BOX_IGNORED
from cnntrain.tasks.detection.assignment import assigned
from cnntrain.tasks.detection.boxes import BOX, BOX_OF, CENTRE, LOGITS, exist, is_within


class YoloLoss(nn.Module):
    """Binary cross entropy of each class in each cell, and CIoU of the boxes (Zheng et al. 2020).

    A cell that learns no object should give 0 to each class. One that learns an object should give its class
    the more, the better its box fits by now (Feng et al. 2021, TOOD). It is a mean over objects and images:
    an image without objects counts as one that the network should leave alone.

    Args:
        box: how much the boxes count beside the classes.
    """

    def __init__(self, box: float = 5.0) -> None:
        super().__init__()
        self.box = box

    def weigh(self, y: Tensor) -> Tensor:
        """Return what a batch counts in a mean over several: its objects and its images, float32 ()."""
        weight: Tensor = exist(y).sum().float() + len(y)
        return weight

    def forward(self, output: Tensor, y: Tensor) -> Tensor:
        """Map what cells say, float (N, A, 6 + classes), and objects, float32 (N, M, 6), to the loss, ()."""
        output = output.float()
        logits, centres = output[..., LOGITS], output[..., CENTRE].detach()
        counts, classes = exist(y), y[..., BOX_CLASS].long().clamp(min=0)
        index = classes[:, None].expand(-1, logits.shape[1], -1)
        scores = logits.detach().sigmoid().gather(2, index).transpose(1, 2)
        found = assigned(centres, output[..., BOX].detach(), scores, y[..., BOX_OF], counts)
        learns = (found.wanted > 0)[..., None]
        wanted = torch.zeros_like(logits).scatter(
            2, classes.gather(1, found.owner)[..., None], found.wanted[..., None]
        )
        of_classes = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        is_unknown = (is_within(centres, y[..., BOX_OF]) & (y[..., BOX_IGNORED] > 0)[..., None]).any(dim=1)
        of_classes = of_classes.masked_fill(is_unknown[..., None] & ~learns, 0.0)
        objects = y[..., BOX_OF].gather(1, found.owner[..., None].expand(-1, -1, 4))
        # Of cells that learn no object a box is compared with itself: rows of padding would give NaN.
        unit = output.new_tensor([0.0, 0.0, 1.0, 1.0])
        of_boxes = complete_box_iou_loss(output[..., BOX].where(learns, unit), objects.where(learns, unit))
        total: Tensor = of_classes.sum() + self.box * (of_boxes * found.wanted).sum()
        return total / self.weigh(y)
