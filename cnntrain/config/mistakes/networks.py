"""What the name of a network says about it: its task, and how it is chosen."""

from __future__ import annotations

from cnntrain.config.mistakes import synonyms
from cnntrain.text import printable


def other_task(name: str) -> str:
    """Return what a network is for if it does not classify images: a sentence; "" for all others."""
    if starts_with_any(name, synonyms.DETECTION):
        return (
            f"{printable(base(name))} is a detection network; for these there are model=yolo, "
            "model=faster_rcnn and model=torchvision_detector model.name=fasterrcnn_resnet50_fpn"
        )
    if starts_with_any(name, synonyms.SEGMENTATION):
        return (
            f"{printable(base(name))} is a segmentation network; for these there are model=unet and "
            "model=torchvision model.name=deeplabv3_resnet50"
        )
    return ""


def is_of_segmentation(name: str) -> bool:
    """Return whether the name of a network begins as those for segmentation do."""
    return starts_with_any(name, synonyms.SEGMENTATION)


def starts_with_any(name: str, prefixes: tuple[str, ...]) -> bool:
    """Return whether the name of a network begins in one of these ways."""
    return base(name).startswith(prefixes)


def base(name: str) -> str:
    """Return the name of a network in small letters, without what stands before a slash."""
    return name.lower().rpartition("/")[2]
