"""Kernels by hand: those that find edges, how one slides, and how much learnt ones look like them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cnntrain.language.translation import later, tr

# The first two are Sobel's (1968); light beside dark gives a large number, an even area gives 0.
KERNELS = {
    later("vertical edge"): [[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]],
    later("horizontal edge"): [[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]],
    later("diagonal edge"): [[0.0, 1.0, 2.0], [-1.0, 0.0, 1.0], [-2.0, -1.0, 0.0]],
    later("spots"): [[-1.0, -1.0, -1.0], [-1.0, 8.0, -1.0], [-1.0, -1.0, -1.0]],
}
RANDOM = 2000  # kernels that learnt ones are compared with
EDGE = 0.7  # cosine from which a learnt kernel looks like a hand-made one


def slide(image: Tensor, kernel: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """Slide a kernel over an image: at each position, multiply the window by the kernel and add all up.

    ``F.conv2d`` computes the same, much faster. The kernel is not mirrored, as it would be in mathematics:
    deep learning calls this cross-correlation a convolution.

    Args:
        image: float (H, W).
        kernel: float (k, k).
        stride: pixels from one position to the next.
        padding: zeros that are put around the image.

    Returns:
        float ((H + 2·padding − k) // stride + 1, the same of W).
    """
    image = F.pad(image, (padding, padding, padding, padding))
    side = len(kernel)
    return torch.stack(
        [
            torch.stack(
                [
                    (image[top : top + side, left : left + side] * kernel).sum()
                    for left in range(0, image.shape[1] - side + 1, stride)
                ]
            )
            for top in range(0, image.shape[0] - side + 1, stride)
        ]
    )


def likeness(weights: Tensor) -> dict[int, tuple[str, float]]:
    """Return the hand-made kernel that each learnt one, or its negative, is most like.

    Args:
        weights: float (filters, C, k, k), compared by their mean over the channels.

    Returns:
        Name and cosine for each filter; empty where the kernels are not of the hand-made ones' size.
    """
    if weights.shape[2:] != (3, 3):
        return {}
    made = torch.tensor(list(KERNELS.values())).flatten(1)
    cosines = F.normalize(weights.mean(dim=1).flatten(1), dim=1) @ F.normalize(made, dim=1).T
    best = cosines.abs().argmax(dim=1).tolist()
    names = list(KERNELS)
    return {index: (names[like], float(cosines[index, like])) for index, like in enumerate(best)}


def edges_in_words(weights: Tensor) -> str:
    """Return which share of learnt kernels looks like an edge, and of random ones.

    Args:
        weights: float (filters, C, 3, 3).
    """

    def share(kernels: Tensor) -> float:
        found = likeness(kernels).values()
        return sum("edge" in name and abs(cosine) >= EDGE for name, cosine in found) / len(found)

    random = torch.randn(RANDOM, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    return tr(
        "Of all {number} filters, {share:.0%} look like an edge kernel or its "
        "negative, with a cosine of at least {edge:g}; of random kernels {random:.0%} "
        "would. ",
        number=len(weights),
        share=share(weights),
        edge=EDGE,
        random=share(random),
    )
