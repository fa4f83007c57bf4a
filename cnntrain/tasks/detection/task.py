"""Detection as a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cnntrain.annotations.regions import BOX_CLASS, BOX_IGNORED
from cnntrain.compute.ddp import Shard
from cnntrain.compute.outputs import predictions_of
from cnntrain.drawing.boxes import over
from cnntrain.errors import UserError
from cnntrain.models.detection.of_torchvision import Found
from cnntrain.runtime.console import Console
from cnntrain.tasks.base import Batch
from cnntrain.tasks.boxes import THRESHOLD, BoxTask
from cnntrain.tasks.detection import doctor
from cnntrain.tasks.detection.boxes import BOX, BOX_OF, CENTRE, SCORE, detections
from cnntrain.tasks.detection.metrics import MOST, NMS, DetectionEvaluation, DetectionResult
from cnntrain.tasks.detection.portable.agreement import agree, before_nms
from cnntrain.tasks.detection.predictions import BoxCollector
from cnntrain.tasks.detection.scores import SCORES
from cnntrain.tasks.detection.screen import show_classes, show_result
from cnntrain.tasks.doctor import Finding, Finished
from cnntrain.tasks.metrics import RunningMean
from cnntrain.tasks.portable.exported import Exported
from cnntrain.tasks.report import Evaluated, Section

if TYPE_CHECKING:
    from cnntrain.drawing.plots import Plots

CELLS, STRIDE = 4, 8  # a side of the grid that a loss is tried on, and its pixels


class Detection(BoxTask):
    """An image has objects, each with a box and a class; the network's cells say where they are."""

    scores = SCORES
    of_output = "a box and a logit for each class in each cell, as model=yolo and model=faster_rcnn give"
    compared = "what the cells say with the objects of an image"
    named = ("class", "score")
    value_format = ".2%"
    listed = "objects"
    details = "every class"

    @property
    def output_shape(self) -> tuple[int, ...]:
        """What one cell says: its centre, its box and logits; how many there are differs."""
        return (1, 6 + self.num_classes)

    def model_inputs(self) -> dict[str, Any]:
        """Return what a model may ask for by the names of its arguments."""
        return {**super().model_inputs(), "num_classes": self.num_classes}

    def check_output(self, name: str, output: Any) -> None:
        """Raise a UserError unless each cell says something of each class."""
        output = predictions_of(output) if isinstance(output, Found) else output
        if (
            isinstance(output, Tensor)
            and output.dim() == 3
            and output.shape[::2] == (2, 6 + self.num_classes)
        ):
            return
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        wanted = f"(2, cells, {6 + self.num_classes})"
        raise UserError(f"model: {name} gives {got} for a batch of 2, not {wanted}: {self.of_output}")

    def noise(self, count: int, scale: float, mixed: bool = False) -> Batch:
        """Return random boxes and logits of a small grid, and an object an image. No generator is changed."""
        generator = torch.Generator().manual_seed(0)
        line = STRIDE * (torch.arange(CELLS) + 0.5)
        centres = torch.cartesian_prod(line, line).expand(count, -1, -1)
        output = scale * torch.randn(count, CELLS**2, 6 + self.num_classes, generator=generator)
        half = STRIDE * output[..., 4:6].sigmoid()
        output[..., CENTRE] = centres
        output[..., BOX] = torch.cat([centres - half, centres + half], dim=-1)
        y = torch.zeros(count, 1, 6)
        y[:, 0, :2] = STRIDE * torch.rand(count, 2, generator=generator)
        y[:, 0, 2:4] = y[:, 0, :2] + STRIDE * (1 + torch.rand(count, 2, generator=generator))
        y[:, 0, BOX_CLASS] = (torch.arange(count) % self.num_classes).float()
        return output, y

    def running_mean(self, device: torch.device, shard: Shard | None = None) -> RunningMean:
        """Return what measures the loss of an epoch of training."""
        return RunningMean(device, shard)

    def evaluation(self, device: torch.device) -> DetectionEvaluation:
        """Return what measures loss and average precision."""
        return DetectionEvaluation(device, self.num_classes, self.threshold)

    def chosen(self, result: DetectionResult) -> dict[str, float]:
        """Return the threshold at which the boxes of validation images have the highest F1."""
        best = result.matches.best_threshold()
        return {} if best is None else {THRESHOLD: best}

    def show_result(
        self, console: Console, split: str, result: Any, class_names: Sequence[str], level: int = 1
    ) -> None:
        """Print the average precision, and then that of each class."""
        show_result(console, split, result)
        show_classes(console, result.per_class(class_names), level)

    def drawn(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return images with the boxes of their objects, uint8 (N, 3, H, W)."""
        colours = 3 if images.shape[1] >= 3 else 1
        pixels = images[:, :colours].expand(-1, 3, -1, -1).permute(0, 2, 3, 1).cpu().numpy()
        pictures = []
        for image, rows in zip(pixels, labels.cpu(), strict=True):
            rows = rows[rows[:, BOX_CLASS] >= 0]
            classes = [None if row[BOX_IGNORED] else int(row[BOX_CLASS]) for row in rows.tolist()]
            boxed = over(Image.fromarray(image), rows[:, BOX_OF].round().numpy(), classes)
            pictures.append(torch.from_numpy(np.array(boxed)))
        return torch.stack(pictures).permute(0, 3, 1, 2)

    def collector(self) -> BoxCollector:
        """Return what keeps how near the boxes come to the objects."""
        return BoxCollector()

    def exported(self) -> Exported:
        """Return what an exported model gives, the boxes in an image, and the script that runs it."""
        return Exported(
            "boxes",
            f"float32 (1, {MOST}, 6): left, top, right and bottom in pixels of the input, score and class, "
            "the most confident box first; rows without a box have class -1",
            f"non-maximum suppression (score above {self.threshold:g}, IoU at most {NMS:g})",
            "boxes and logits of each cell",
            Path(__file__).with_name("portable") / "predict_onnx.py",
            ("prints the boxes of `cnntrain predict`", "FILE_OR_FOLDER..."),
            one_at_a_time=True,
        )

    def counterpart(self, found: Tensor, expected: Tensor, output: Tensor) -> Tensor:
        """Return the nearest boxes that the network gives before non-maximum suppression."""
        return before_nms(found, output)

    def means_the_same(self, found: Tensor, expected: Tensor, output: Tensor) -> bool:
        """Return whether the boxes are the same, apart from those between which rounding decides."""
        return agree(found, expected, output, self.threshold, NMS)

    def has_learnt(self, row: Mapping[str, Any]) -> bool:
        """Return whether AP50 is more than a start."""
        return doctor.has_learnt(row)

    def findings(self, run: Finished) -> list[Finding]:
        """Return what is wrong with boxes: missing classes, a wrong scale, small objects, nothing found."""
        return doctor.findings(run)

    def headline(self, seen: Evaluated) -> str:
        """Return the average precision."""
        from cnntrain.tasks.detection.report import sections  # which imports matplotlib

        return sections.headline(seen)

    def sections(self, seen: Evaluated, plots: Plots) -> Iterator[Section]:
        """Yield precision and recall, classes, errors, confusion matrix and images."""
        from cnntrain.tasks.detection.report import sections

        yield from sections.sections(seen, plots, THRESHOLD in self.in_use)

    def boxes(self, output: Tensor, score: float, nms: float, most: int) -> Tensor:
        """Return the boxes that are found, float32 (N, most, 6): see :func:`.boxes.detections`."""
        return detections(output, score, nms, most)

    def activate(self, output: Tensor) -> Tensor:
        """Return the boxes that are found and shown, float32 (N, most, 6)."""
        return detections(output, self.threshold, NMS, MOST)

    def decode(
        self, activated: Tensor, class_names: Sequence[str], most: int
    ) -> list[tuple[tuple[str, float], ...]]:
        """Return the classes of the objects that are found in each image, with their scores."""
        return [
            tuple(
                (class_names[int(row[SCORE + 1])], float(row[SCORE]))
                for row in image[:most].tolist()
                if row[SCORE + 1] >= 0
            )
            for image in activated
        ]
