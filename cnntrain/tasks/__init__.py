"""What a network learns to do. A task is a package: its losses, its metrics, its predictions.

Configurations and checkpoints name the tasks as they stand here. Torch is imported when one is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnntrain.runtime.imports import lazily

if TYPE_CHECKING:
    from cnntrain.tasks.classification.task import Classification as Classification
    from cnntrain.tasks.detection.task import Detection as Detection
    from cnntrain.tasks.segmentation.task import Segmentation as Segmentation

TASKS = {
    "Classification": "classification.task",
    "Segmentation": "segmentation.task",
    "Detection": "detection.task",
}

__getattr__, __dir__ = lazily(__name__, TASKS)
