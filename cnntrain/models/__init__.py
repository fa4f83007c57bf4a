"""Networks for images. Each is a plain ``nn.Module``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnntrain.runtime.imports import lazily

if TYPE_CHECKING:
    from cnntrain.models.cnn import CNN as CNN
    from cnntrain.models.detection.of_torchvision import FasterRCNN as FasterRCNN
    from cnntrain.models.detection.ready_made import TorchvisionDetector as TorchvisionDetector
    from cnntrain.models.detection.yolo import Yolo as Yolo
    from cnntrain.models.mlp import MLP as MLP
    from cnntrain.models.sequences.recurrent import GRU as GRU
    from cnntrain.models.sequences.recurrent import LSTM as LSTM
    from cnntrain.models.sequences.recurrent import RNN as RNN
    from cnntrain.models.sequences.transformer import Transformer as Transformer
    from cnntrain.models.sequences.transformer import ViT as ViT
    from cnntrain.models.smp import SMP as SMP
    from cnntrain.models.timm import Timm as Timm
    from cnntrain.models.torchvision import Torchvision as Torchvision
    from cnntrain.models.unet import UNet as UNet
    from cnntrain.models.unet import UNetEncoder as UNetEncoder

__getattr__, __dir__ = lazily(
    __name__,
    {
        "CNN": "cnn",
        "MLP": "mlp",
        "SMP": "smp",
        "Timm": "timm",
        "Torchvision": "torchvision",
        "UNet": "unet",
        "FasterRCNN": "detection.of_torchvision",
        "TorchvisionDetector": "detection.ready_made",
        "UNetEncoder": "unet",
        "Yolo": "detection.yolo",
        **dict.fromkeys(("RNN", "LSTM", "GRU"), "sequences.recurrent"),
        **dict.fromkeys(("Transformer", "ViT"), "sequences.transformer"),
    },
)
