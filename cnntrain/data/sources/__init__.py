"""Sources of images. A source is a data set class that takes ``train=True`` or ``train=False``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnntrain.runtime.imports import lazily

if TYPE_CHECKING:
    from cnntrain.data.sources.builtin import Fake as Fake
    from cnntrain.data.sources.builtin import MNISTMini as MNISTMini
    from cnntrain.data.sources.builtin import Torchvision as Torchvision
    from cnntrain.data.sources.canvas.source import MNISTCanvas as MNISTCanvas
    from cnntrain.data.sources.folder import Folder as Folder

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Fake": "builtin",
        "Folder": "folder",
        "MNISTCanvas": "canvas.source",
        "MNISTMini": "builtin",
        "Torchvision": "builtin",
    },
)
