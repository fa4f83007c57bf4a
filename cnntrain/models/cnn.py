"""The convolutional network: small filters that look everywhere, then a small MLP."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cnntrain.models.conv_arithmetic import cnn_sizes, of_each
from cnntrain.models.mlp import MLP

POOLS = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}


class CNN(nn.Module):
    """(Conv + ReLU + Pool) × N, then Flatten and a small MLP, as in LeNet (LeCun et al. 1998).

    Max pooling stands before ReLU, which keeps the order of values: the result is the same, and ReLU is
    computed for a quarter of them. So is batch norm.

    Args:
        input_shape: channels, height and width of an image.
        num_classes: number of classes, the outputs.
        channels: filters of each block; its length is the number of blocks.
        kernel_size: side of the filters, odd; or that of each block.
        batch_norm: normalise each channel over the batch, before ReLU.
        pool: ``max`` or ``avg``.
        pool_size: side of the pooling window and its stride, or those of each block; 1 does not pool.
        dropout: the probability that a hidden unit of the head is switched off in training.
        head: hidden sizes of the MLP; an empty list is one linear layer.
        padding: ``same`` puts zeros around an image, so that it keeps its size; ``valid`` puts none, and it
            loses kernel_size - 1 pixels.

    Raises:
        ValueError: the blocks pool more often than the image has pixels to give, or a list is not of
            their number.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        channels: Sequence[int],
        kernel_size: int | Sequence[int] = 3,
        batch_norm: bool = False,
        pool: str = "max",
        pool_size: int | Sequence[int] = 2,
        dropout: float = 0.0,
        head: Sequence[int] = (),
        padding: str = "same",
    ) -> None:
        super().__init__()
        in_channels, height, width = input_shape
        heights = cnn_sizes(height, len(channels), kernel_size, pool_size, padding)
        widths = cnn_sizes(width, len(channels), kernel_size, pool_size, padding)

        kernels = of_each(kernel_size, len(channels), "kernel_size")
        pools = of_each(pool_size, len(channels), "pool_size")
        self.features = nn.Sequential()
        for out_channels, kernel, window in zip(channels, kernels, pools, strict=True):
            # The bias would be undone by the batch norm that follows.
            border = kernel // 2 if padding == "same" else 0
            conv = nn.Conv2d(in_channels, out_channels, kernel, padding=border, bias=not batch_norm)
            pooling = [POOLS[pool](window)] if window > 1 else []
            norm = [nn.BatchNorm2d(out_channels)] if batch_norm else []
            if pool == "max":
                self.features.extend([conv, *pooling, *norm, nn.ReLU()])
            else:
                self.features.extend([conv, *norm, nn.ReLU(), *pooling])
            in_channels = out_channels

        self.classifier = MLP(in_channels * heights[-1] * widths[-1], head, num_classes, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map images, float (N, C, H, W), to logits, float (N, num_classes)."""
        return self.classifier(self.features(x))
