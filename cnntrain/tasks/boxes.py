"""What is true of each task that finds boxes."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from cnntrain.tasks.base import Task

SURE = 0.25  # the lowest score of boxes that are shown, if validation has chosen none
THRESHOLD = "threshold"  # the name of the score that validation chooses, see :meth:`.Task.chosen`


class BoxTask(Task):
    """A task that finds objects in an image, each with a box. Then ``predict`` draws them.

    :meth:`activate` gives the boxes that a user sees, as :meth:`boxes` does.
    """

    learns_from: ClassVar[str] = "boxes"

    @property
    def threshold(self) -> float:
        """The lowest score of boxes that are shown: the one that validation has chosen, if it has."""
        return min(1.0, max(0.0, self.in_use.get(THRESHOLD, SURE)))

    @abstractmethod
    def boxes(self, output: Tensor, score: float, nms: float, most: int) -> Tensor:
        """Return the boxes that a network finds, the most confident first.

        Args:
            output: what the network predicts, float32 (N, ...).
            score: the lowest score of a box, from 0 to 1.
            nms: the largest IoU of two boxes of one class.
            most: boxes of an image, at most.

        Returns:
            float32 (N, most, 6): left, top, right and bottom in pixels of the image, score and class, which
            is -1 in rows without a box.
        """
