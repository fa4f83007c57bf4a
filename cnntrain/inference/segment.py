"""What a model makes of the pixels of image files: a mask of each, an overlay, and shares of the classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cnntrain.data.resize import sides
from cnntrain.drawing.masks import palette
from cnntrain.errors import UserError
from cnntrain.image_folder.opening import UnreadableImage
from cnntrain.inference.image_files import in_batches
from cnntrain.inference.mask_files import Writer, names_of
from cnntrain.inference.model import Trained
from cnntrain.inference.prediction import Prediction
from cnntrain.inference.seen import Seen, read_seen
from cnntrain.inference.windows import blended, through, upsampled_labels
from cnntrain.tasks.classes import areas

LOT = 16  # files that are in memory at a time; of files that are cut into tiles it is one
MOST_VALUES = 2**27  # of the outputs for a file that is scaled, before its mask is scaled back: 512 MB


class Segmenter:
    """A trained model that gives image files a mask each.

    Without tiles a file is scaled as in training: by ``data.resize=crop`` its shorter side is, and windows of
    the network's size slide along the longer one; by ``pad`` the longer side is; by ``squash`` both are. The
    probabilities are scaled back to the size of the file.

    Args:
        trained: the model; its task labels pixels.
        tile: side of the tiles that files are cut into at their own resolution; None: files are scaled.
        invert: turn dark on white into white on dark first.
    """

    def __init__(self, trained: Trained, tile: int | None, invert: bool) -> None:
        self.trained, self.tile, self.invert = trained, tile, invert
        self.window = trained.shape[1:] if tile is None else (tile, tile)

    def read(self, file: Path) -> Seen | str:
        """Return an image file as the network sees it, or why that is not possible."""
        trained = self.trained
        at_least = max(sides(trained.resize_size)) if self.tile is None else None
        return read_seen(file, trained.shape[0], trained.decoding, at_least, self.fitted)

    def fitted(self, pixels: Tensor, size: tuple[int, int], picture: np.ndarray) -> Seen:
        """Return decoded pixels, uint8 (C, h, w), scaled for the network, unless there are tiles."""
        pixels = 255 - pixels if self.invert else pixels
        tall, wide = pixels.shape[1:]
        if self.tile is not None:
            return Seen(pixels, 0, 0, tall, wide, size, picture)
        wanted, resize = sides(self.trained.resize_size), self.trained.resize
        if resize == "crop":
            scale = min(tall / wanted[0], wide / wanted[1])
            wanted = max(wanted[0], round(tall / scale)), max(wanted[1], round(wide / scale))
            if wanted[0] * wanted[1] * len(self.trained.class_names) > MOST_VALUES:
                raise UnreadableImage(
                    f"{size[1]}×{size[0]} pixels are too narrow to be scaled: type tile=256, say"
                )
            resize = "squash"
        return Seen.from_pixels(pixels, wanted, resize, size, picture)

    def labels(self, batch: Sequence[Seen]) -> Iterator[Tensor]:
        """Yield the class of each pixel of several images, uint8 (H, W), in the size of their files."""
        single = [seen.pixels for seen in batch if self.tile is None and seen.pixels.shape[1:] == self.window]
        at_once = through(iter(single), self.window, self.network)
        for seen in batch:
            if self.tile is not None:
                yield self.by_tiles(seen)
                continue
            whole = next(at_once) if seen.pixels.shape[1:] == self.window else self.outputs(seen.pixels)
            part = whole[:, seen.top : seen.top + seen.tall, seen.left : seen.left + seen.wide]
            yield upsampled_labels(part, seen.size)

    def by_tiles(self, seen: Seen) -> Tensor:
        """Return the class of each pixel of an image that is cut into tiles."""
        result = torch.empty(seen.size, dtype=torch.uint8)
        for top, left, block in blended(seen.pixels, self.window, self.network):
            rows, columns = block.shape[1:]
            result[top : top + rows, left : left + columns] = block.argmax(0)
        return result

    def outputs(self, pixels: Tensor) -> Tensor:
        """Return the probabilities of an image that is larger than a window, float32 (K, H, W)."""
        result = torch.empty(0)
        for top, left, block in blended(pixels, self.window, self.network):
            if not len(result):
                result = torch.empty(len(block), *pixels.shape[1:])
            result[:, top : top + block.shape[1], left : left + block.shape[2]] = block
        return result

    def network(self, windows: Tensor) -> Tensor:
        """Return the probabilities of windows, uint8 (N, C, H, W), float32 (N, K, H, W) on the CPU.

        Raises:
            UserError: the network takes no images of that size.
        """
        try:
            found = self.trained.seen(windows)
        except RuntimeError as error:
            if self.tile is None or isinstance(error, torch.OutOfMemoryError):
                raise
            size = "×".join(map(str, self.trained.shape[1:]))
            raise UserError(
                f"tile={self.tile} is not possible: the network takes {size} pixels alone"
            ) from error
        return found


def segmented(
    trained: Trained, files: Sequence[Path], top: int, tile: int | None, invert: bool, folder: Path
) -> Iterator[Prediction]:
    """Yield what a model makes of each file, in order, and write its mask and overlay.

    Args:
        trained: the model; its task labels pixels.
        files: the files of images.
        top: how many classes are named.
        tile: see :class:`Segmenter`.
        invert: likewise.
        folder: where ``masks/`` and ``overlays/`` are made.

    Raises:
        RunFailed: a file can't be written.
    """
    segmenter, colors = Segmenter(trained, tile, invert), palette()
    writer = Writer(folder, trained.class_names, colors)
    names, is_whole = names_of(files), tile is None  # files to be cut into tiles are large
    for batch, images in in_batches(files, LOT if is_whole else 1, segmenter.read, ahead=is_whole):
        seen = [image for image in images if isinstance(image, Seen)]
        yield from written(batch, images, segmenter.labels(seen), names, writer, top)
        seen.clear()  # else a large file would be in memory together with the next one


def written(
    files: Sequence[Path],
    images: Sequence[Seen | str],
    labels: Iterator[Tensor],
    names: Mapping[Path, Path],
    writer: Writer,
    top: int,
) -> Iterator[Prediction]:
    """Write the mask and the overlay of each image, and yield its prediction."""
    for file, image in zip(files, images, strict=True):
        if isinstance(image, str):
            yield Prediction(file, reason=image)
            continue
        mask = next(labels)
        counts = mask.flatten().bincount(minlength=len(writer.class_names))
        shares = areas(counts, writer.class_names, len(writer.class_names))
        paths = writer.write(names[file], mask.numpy(), image.shown, shares)
        yield Prediction(file, shares[:top], mean=image.mean, written=paths)
