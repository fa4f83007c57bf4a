"""Networks that classify images. Each is a plain ``nn.Module``."""

from cnntrain.models.cnn import CNN
from cnntrain.models.mlp import MLP
from cnntrain.models.timm import Timm
from cnntrain.models.torchvision import Torchvision

__all__ = ["CNN", "MLP", "Timm", "Torchvision"]
