"""What a detector finds in image files of any size, in the files' own pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cnntrain.data.resize import sides
from cnntrain.inference.image_files import in_batches
from cnntrain.inference.mask_files import names_of
from cnntrain.inference.model import Trained
from cnntrain.inference.objects.object_files import Writer
from cnntrain.inference.prediction import Prediction
from cnntrain.inference.seen import Seen, read_seen

LOT = 16  # files that are in memory at a time, at most
LONGEST = 4  # times the network's pixels that a longer image has, at most


class Finder:
    """A trained model that finds objects in image files.

    A file is scaled whole: what ``data.resize=crop`` cut off in training has objects, too. It is scaled so
    that they are as large as in training: by ``crop`` its shorter side is, and the network gets a longer
    image; by ``pad`` the longer side is, and by ``squash`` both are. What is too long is scaled as by
    ``pad``, and so are all files for a network that takes one size alone.

    Args:
        trained: the model.
        boxes_of: maps what it predicts to boxes, see :meth:`cnntrain.tasks.boxes.BoxTask.boxes`.
        invert: turn dark on white into white on dark first.
    """

    def __init__(self, trained: Trained, boxes_of: Callable[[Tensor], Tensor], invert: bool) -> None:
        self.trained, self.boxes_of, self.invert = trained, boxes_of, invert
        self.side = sides(trained.resize_size)
        self.takes_longer = trained.resize == "crop" and takes_longer(trained)

    def read(self, file: Path) -> Seen | str:
        """Return an image file as the network sees it, or why that is not possible."""
        trained = self.trained
        at_least = max(self.side)
        return read_seen(file, trained.shape[0], trained.decoding, at_least, self.fitted)

    def fitted(self, pixels: Tensor, size: tuple[int, int], picture: np.ndarray) -> Seen:
        """Return decoded pixels, uint8 (C, h, w), scaled for the network."""
        pixels = 255 - pixels if self.invert else pixels
        (tall, wide), (_, height, width) = pixels.shape[1:], self.trained.shape
        if self.takes_longer:
            scale = min(tall / self.side[0], wide / self.side[1])
            longer = max(self.side[0], round(tall / scale)), max(self.side[1], round(wide / scale))
            if math.prod(longer) <= LONGEST * math.prod(self.side):
                return Seen.from_pixels(pixels, longer, "squash", size, picture)
        resize = "squash" if self.trained.resize == "squash" else "pad"
        return Seen.from_pixels(pixels, (height, width), resize, size, picture)

    def boxes(self, batch: Sequence[Seen]) -> Iterator[Tensor]:
        """Yield what is found in each image, float32 (K, 6): the box in pixels of the file, score, class."""
        found: dict[int, Tensor] = {}
        for shape in dict.fromkeys(seen.pixels.shape for seen in batch):
            same = [number for number, seen in enumerate(batch) if seen.pixels.shape == shape]
            boxes = self.boxes_of(self.trained.output(torch.stack([batch[number].pixels for number in same])))
            found.update(zip(same, boxes.cpu(), strict=True))
        for number, seen in enumerate(batch):
            own = found[number][found[number][:, 5] >= 0]
            own[:, :4] = seen.in_file(own[:, :4])
            yield own[(own[:, 2:4] > own[:, :2]).all(dim=1)]  # without those in the black beside the image


def takes_longer(trained: Trained) -> bool:
    """Return whether a network takes images that are twice as long as those of its training."""
    channels, height, width = trained.shape
    try:
        trained.output(torch.zeros(1, channels, height, 2 * width, dtype=torch.uint8))
    except RuntimeError:  # of a layer that has one size
        return False
    return True


def found_objects(
    finder: Finder, files: Sequence[Path], top: int, batch_size: int, writer: Writer
) -> Iterator[Prediction]:
    """Yield what a model finds in each file, in order, and write its labels and overlay.

    Args:
        finder: the model.
        files: the files of images.
        top: how many classes are named on the screen, each with the highest score of its objects.
        batch_size: images that the model sees at a time, LOT at most.
        writer: the writer of the labels and overlays.

    Raises:
        RunFailed: a file can't be written.
    """
    names = names_of(files)
    for batch, images in in_batches(files, min(LOT, batch_size), finder.read):
        boxes = finder.boxes([image for image in images if isinstance(image, Seen)])
        for file, image in zip(batch, images, strict=True):
            if isinstance(image, str):
                yield Prediction(file, reason=image)
                continue
            objects = next(boxes)
            (found,) = finder.trained.task.decode(objects[None], writer.class_names, len(objects))
            surest = dict(reversed(found))  # of each class the first, which has the highest score
            shown = tuple((name, surest[name]) for name in dict.fromkeys(name for name, _ in found))
            paths = writer.write(names[file], objects, image)
            yield Prediction(file, shown[:top], mean=image.mean, written=paths, objects=objects)
