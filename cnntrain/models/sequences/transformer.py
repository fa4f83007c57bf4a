"""Transformers: each step looks at all others at once, and attention decides at which."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnntrain.models.sequences.unequal import IMAGES, last_of, mean_of, padding_of, reader_of

MOST_HEADS = 128  # that are proposed


class Transformer(nn.Module):
    """The encoder of Vaswani et al. 2017 (Attention Is All You Need), and a linear layer on top.

    Each of its layers adds to the steps what attention brings from the others, then what a small MLP with
    4 · width hidden units makes of each step alone. Layer norm stands before both, which needs no warm-up of
    the learning rate (Xiong et al. 2020).

    Args:
        input_shape: channels, height and width of an image.
        num_classes: number of classes, the outputs.
        width: numbers that represent a step, D.
        depth: layers of the encoder.
        heads: attention maps of a layer; each compares width / heads of the numbers.
        dropout: probability with which a number that a layer adds is switched off in training. Attention
            weights are not, since torch's fused attention on CPUs knows no dropout.
        pooling: what is classified: the ``mean`` of all steps, the ``last`` one, or a ``class`` token, which
            is learned and stands before the first step.
        positions: how a step knows its position: a vector that is ``learned``, or ``sinusoidal``, is added.
        read: what a step is: ``rows``, ``columns``, ``patches`` or ``pixels``.
        patch: the side of a patch in pixels; see :class:`cnntrain.models.sequences.reading.Reader`.
        inputs: ``images``, or ``series`` or ``text`` of unequal length; then ``read`` is left as it is.
        vocabulary: the number of different tokens of texts.

    Raises:
        ValueError: the heads do not divide the width, or the patches do not fill the image.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        width: int,
        depth: int,
        heads: int,
        dropout: float = 0.0,
        pooling: str = "mean",
        positions: str = "sinusoidal",
        read: str = "rows",
        patch: int | str = "auto",
        inputs: str = IMAGES,
        vocabulary: int = 0,
    ) -> None:
        super().__init__()
        if width % heads:
            fitting = ", ".join(str(n) for n in range(1, min(width, MOST_HEADS) + 1) if width % n == 0)
            raise ValueError(f"{heads} heads do not divide the width {width}; these do: {fitting}")
        self.pooling = pooling
        self.reader = reader_of(input_shape, read, patch, inputs, vocabulary, width)
        self.embedding = nn.Linear(self.reader.features, width)
        if pooling == "class":
            self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        length = self.reader.length + (pooling == "class")
        if positions == "learned":
            self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        else:
            self.register_buffer("positions", sinusoids(length, width), persistent=False)
        # torch copies this layer, and all copies would begin with the same weights.
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        layer.self_attn.dropout = 0.0
        self.encoder = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        for parameter in self.encoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)  # as torch.nn.Transformer does
        self.output = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images, or a batch of sequences, float (N, C, H, W), to logits, float (N, num_classes)."""
        ignored = self.ignored(x)
        return self.output(self.pooled(self.encoder(self.embedded(x), src_key_padding_mask=ignored), ignored))

    def ignored(self, x: Tensor) -> Tensor | None:
        """Return which steps attention leaves out, bool (N, T): padding; None of images, which have none."""
        is_padding = padding_of(x, self.reader)
        if is_padding is None or self.pooling != "class":
            return is_padding
        return nn.functional.pad(is_padding, (1, 0), value=False)  # the class token is always there

    def embedded(self, x: Tensor) -> Tensor:
        """Map images to what the encoder takes: a vector for each step and its position, float (N, T, D)."""
        steps = self.embedding(self.reader(x))
        if self.pooling == "class":
            steps = torch.cat([self.class_token.expand(steps.shape[0], -1, -1), steps], dim=1)
        return steps + self.positions[: steps.shape[1]]

    def pooled(self, steps: Tensor, ignored: Tensor | None = None) -> Tensor:
        """Return what is classified, float (N, D), of what the encoder makes of all steps, (N, T, D).

        Args:
            steps: the steps of the encoder.
            ignored: which of them are padding, bool (N, T); None: none.
        """
        if self.pooling == "mean":
            return mean_of(steps, ignored)
        return steps[:, 0] if self.pooling == "class" else last_of(steps, ignored)

    def attention(self, x: Tensor) -> Tensor:
        """Return how much each step looks at each other, float (N, layers, heads, T, T); rows sum to 1."""
        steps, found = self.embedded(x), []
        for layer in self.encoder.layers:
            normed = layer.norm1(steps)
            found.append(layer.self_attn(normed, normed, normed, average_attn_weights=False)[1])
            steps = layer(steps)
        return torch.stack(found, dim=1)

    def attention_over(self, x: Tensor) -> Tensor:
        """Return the attention that the parts of images get, float (N, layers, heads, rows, columns).

        It is that of what is classified: of the class token, of the last step, or the mean over all steps.
        """
        maps = self.attention(x)
        seen = self.pooled(maps.flatten(0, 2)).unflatten(0, maps.shape[:3])
        parts = seen[..., 1:] if self.pooling == "class" else seen
        return parts.unflatten(3, self.reader.grid)


class ViT(Transformer):
    """The Vision Transformer: a Transformer that reads patches (Dosovitskiy et al. 2021, arXiv 2010.11929).

    The arguments are those of :class:`Transformer`, without ``read``.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        width: int,
        depth: int,
        heads: int,
        dropout: float = 0.0,
        pooling: str = "class",
        positions: str = "learned",
        patch: int | str = "auto",
    ) -> None:
        super().__init__(
            input_shape, num_classes, width, depth, heads, dropout, pooling, positions, "patches", patch
        )


def sinusoids(length: int, width: int) -> Tensor:
    """Return a vector for each position, float32 (length, width): sines and cosines of falling frequency.

    The wavelengths are a geometric series from 2 pi to 10,000 times that (Vaswani et al. 2017, section 3.5).
    """
    waves = torch.arange((width + 1) // 2)
    angles = torch.arange(length)[:, None] * 10_000 ** (-2 * waves / width)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]
