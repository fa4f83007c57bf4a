"""Networks that classify pictures. Each is a plain ``nn.Module``."""

from cnntrain.models.cnn import CNN
from cnntrain.models.mlp import MLP
from cnntrain.models.torchvision import Torchvision

__all__ = ["CNN", "MLP", "Torchvision"]
