"""Networks that classify pictures. Each is a plain ``nn.Module``."""

from cnntrain.models.cnn import CNN
from cnntrain.models.mlp import MLP

__all__ = ["CNN", "MLP"]
