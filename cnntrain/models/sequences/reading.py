"""How an image becomes a sequence: cut into rows, columns, patches or pixels, read as a page is."""

from __future__ import annotations

from torch import Tensor, nn

LARGEST_PATCH = 16  # pixels, for ``auto``: that of ViT-B/16
FEWEST_PATCHES = 4  # along a side, for ``auto``


class Reader(nn.Module):
    """Cut images into equal parts. Each part, flattened, is one step of the sequence.

    A row is a part of 1 × W pixels, a column one of H × 1, a pixel one of 1 × 1. The parts follow each other
    from left to right, then from top to bottom.

    Args:
        input_shape: channels, height and width of an image.
        read: ``rows``, ``columns``, ``patches`` or ``pixels``.
        patch: the side of a patch in pixels, for ``patches`` alone; ``auto``: the largest of at most 16
            that leaves 4 × 4 patches or more.

    Attributes:
        read: what a step is.
        grid: the number of parts from top to bottom, and from left to right.
        part: the height and width of a part in pixels.
        length: the steps of the sequence, T.
        features: the values of a step, F.

    Raises:
        ValueError: the patches do not fill the image, or no patches are read.
    """

    def __init__(self, input_shape: tuple[int, int, int], read: str, patch: int | str = "auto") -> None:
        super().__init__()
        channels, height, width = input_shape
        if read != "patches" and patch != "auto":
            raise ValueError(f"patch={patch} is for read=patches, and read={read}: leave one of them out")
        side = patch_side(patch, height, width)
        parts = {"rows": (1, width), "columns": (height, 1), "patches": (side, side), "pixels": (1, 1)}
        self.read, self.part = read, parts[read]
        self.grid = height // self.part[0], width // self.part[1]
        self.length = self.grid[0] * self.grid[1]
        self.features = channels * self.part[0] * self.part[1]

    def forward(self, x: Tensor) -> Tensor:
        """Map images, float (N, C, H, W), to sequences, float (N, T, F)."""
        if self.read == "rows":  # there may be more or fewer than in training
            return x.transpose(1, 2).flatten(2)
        parts = x.unflatten(3, (self.grid[1], self.part[1])).unflatten(2, (self.grid[0], self.part[0]))
        # (N, C, rows, height, columns, width) to (N, rows · columns, C · height · width)
        return parts.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)

    def extra_repr(self) -> str:
        """Return what a printed model shows: ``28 rows of 28 values``."""
        return f"{self.length} {self.read} of {self.features} value{'s' if self.features > 1 else ''}"


def patch_side(patch: int | str, height: int, width: int) -> int:
    """Return the side of square patches that fill an image, in pixels.

    Raises:
        ValueError: patches of the wanted side do not fill it.
    """
    size = min(height, width)
    fitting = [side for side in range(1, size + 1) if height % side == 0 and width % side == 0]
    if patch == "auto":
        small = [s for s in fitting if s <= LARGEST_PATCH and s * FEWEST_PATCHES <= size]
        return max(small, default=1)
    if patch not in fitting:
        pixels = f"{width}" if height == width else f"{height} × {width}"
        sides = ", ".join(map(str, fitting))
        raise ValueError(f"patches of {patch} pixels do not fill an image of {pixels}; these do: {sides}")
    return int(patch)
