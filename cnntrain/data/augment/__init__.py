"""Augmentation of whole batches, on the device."""

from cnntrain.data.augment.augment import Augment

__all__ = ["Augment"]
