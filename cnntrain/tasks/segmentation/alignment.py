"""Do masks lie on the edges of their images? A file may have been cropped, flipped or paired wrongly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnntrain.annotations.regions import IGNORED
from cnntrain.tasks.segmentation.boundary import NONE, borders
from cnntrain.text import together

EDGES = 256  # images that are looked at
LARGEST = 256  # pixels; side of the images in which edges are looked for
REACH = 8  # pixels that masks are shifted in each direction, at most
SIDE = 2 * REACH + 1  # shifts across, and down
TURNS: dict[str, Callable[[Tensor], Tensor]] = {
    "flipped left to right": lambda m: m.flip(2),
    "flipped upside down": lambda m: m.flip(1),
    "turned by 180°": lambda m: m.flip(1, 2),
    "transposed": lambda m: m.transpose(1, 2),
    "turned by 90° to the left": lambda m: m.rot90(1, (1, 2)),
    "turned by 90° to the right": lambda m: m.rot90(-1, (1, 2)),
    "transposed along the other diagonal": lambda m: m.flip(1, 2).transpose(1, 2),
}
FOR_SQUARES = tuple(TURNS)[3:]
SHIFTS, CENTRE = SIDE**2, SIDE**2 // 2
FEWEST = 20  # images, below which nothing is said
LEAST = 2  # pixels, from which a shift counts
CLEARLY = 1.25  # times as strong
CERTAIN = 5.0  # standard errors: several hundred shifts are tried


def edges_at_borders(images: Tensor, masks: Tensor) -> Tensor:
    """Return how strong the edges of images are where the borders of their masks lie.

    An edge is where brightness changes, as in the energy of an outline in Kass, Witkin and Terzopoulos 1988,
    Snakes. All shifts are tried at once, as a cross-correlation by the fast Fourier transform (Lewis 1995).

    Args:
        images: float (N, C, H, W).
        masks: classes, int64 (N, H, W).

    Returns:
        Float32 (N, shifts + turns): the mean change at the borders, in that of the whole image. First with
        the mask moved by ``-REACH`` to ``REACH`` pixels down and, for each of these, to the right; then with
        the mask turned. NaN of images without edges or borders.
    """
    grey, masks = smaller(images.float().mean(dim=1), masks)
    change, border = changes(grey), (borders(masks.where(masks != IGNORED, NONE)) != NONE).float()
    room = [side + 2 * REACH for side in change.shape[1:]]
    moved = torch.fft.rfft2(border, room).conj()
    total, pixels = (
        torch.fft.irfft2(torch.fft.rfft2(values, room) * moved, room).roll((REACH, REACH), (1, 2))
        for values in (change, torch.ones_like(change))
    )
    at_shifts = (total / pixels.round())[:, :SIDE, :SIDE].flatten(1)
    turned = [turn(border) for turn in turns_of(*change.shape[1:]).values()]
    at_turns = [(change * mask).sum(dim=(1, 2)) / mask.sum(dim=(1, 2)) for mask in turned]
    found = torch.cat([at_shifts, torch.stack(at_turns, dim=1)], dim=1) / change.mean(dim=(1, 2))[:, None]
    return found.where(found.isfinite(), torch.nan)


def smaller(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Return images and masks, (N, H, W), that are at most ``LARGEST`` pixels high and wide."""
    scale = LARGEST / max(images.shape[1:])
    if scale >= 1:
        return images, masks
    size = [max(1, round(scale * side)) for side in images.shape[1:]]
    images = F.interpolate(images[:, None], size, mode="area")[:, 0]
    return images, F.interpolate(masks[:, None].float(), size, mode="nearest-exact")[:, 0].long()


def changes(images: Tensor) -> Tensor:
    """Return how much brightness changes around each pixel, float (N, H, W), of images of that shape."""
    wider = F.pad(images[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    across = (wider[:, 1:-1, 2:] - wider[:, 1:-1, :-2]).abs()
    return across + (wider[:, 2:, 1:-1] - wider[:, :-2, 1:-1]).abs()


def turns_of(height: int, width: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return how masks of a height and width may be turned, by what that is called."""
    return {name: turn for name, turn in TURNS.items() if height == width or name not in FOR_SQUARES}


@dataclass(frozen=True)
class Misaligned:
    """Masks that do not lie on their images.

    Args:
        how: they fit better, in words.
        there: how strong the edges of the images are at the borders then, in those of a whole image.
        here: the same as the masks are.
    """

    how: str
    there: float
    local_results: float


@dataclass(frozen=True)
class Alignment:
    """How strong the edges of images are at the borders of their masks.

    Args:
        edges: the result of :func:`edges_at_borders`, float32 (N, shifts + turns).
        size: height and width of the images, in pixels.
    """

    edges: Tensor
    size: tuple[int, int]

    def better(self) -> Misaligned | None:
        """Return what makes all masks fit clearly better; None if nothing does, or on little evidence."""
        edges = self.edges[self.edges.isfinite().all(dim=1)].double()
        if len(edges) < FEWEST:
            return None
        here, means = edges[:, CENTRE], edges.mean(dim=0)
        best = int(means.argmax())
        gain = edges[:, best] - here
        error = float(gain.std()) / math.sqrt(len(edges))
        if means[best] < CLEARLY * here.mean() or float(gain.mean()) < CERTAIN * error:
            return None
        if best >= SHIFTS:
            how = list(turns_of(*self.size))[best - SHIFTS]
            return Misaligned(how, float(means[best]), float(here.mean()))
        down, right = best // SIDE - REACH, best % SIDE - REACH
        # Masks that are all a little too large fit as well when they are moved the other way.
        if max(abs(down), abs(right)) < LEAST or means[best] < CLEARLY * means[SHIFTS - 1 - best]:
            return None
        scale = max(1.0, max(self.size) / LARGEST)
        return Misaligned(
            moved_by(round(down * scale), round(right * scale)), float(means[best]), float(here.mean())
        )

    def elsewhere(self) -> tuple[float, int]:
        """Return the share of the images whose mask fits better when it is moved, and their number."""
        edges = self.edges[self.edges.isfinite().all(dim=1), :SHIFTS]
        if len(edges) < FEWEST:
            return 0.0, len(edges)
        best = edges.argmax(dim=1)
        far = torch.maximum((best // SIDE - REACH).abs(), (best % SIDE - REACH).abs()) >= LEAST
        is_better = edges.max(dim=1).values > CLEARLY * edges[:, CENTRE]
        return float((far & is_better).double().mean()), len(edges)


def moved_by(down: int, right: int) -> str:
    """Return a shift in words."""
    words = [
        f"{abs(pixels)} pixels {ahead if pixels > 0 else back}"
        for pixels, ahead, back in ((down, "down", "up"), (right, "to the right", "to the left"))
        if pixels
    ]
    return f"moved {together(words)}"
