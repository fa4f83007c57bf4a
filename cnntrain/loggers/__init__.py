"""Loggers of a run's figures, besides its folder: TensorBoard, MLflow, Weights & Biases. All work offline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnntrain.loggers.base import Logged, Logger
from cnntrain.loggers.group import Loggers, build_loggers
from cnntrain.runtime.imports import lazily

if TYPE_CHECKING:
    from cnntrain.loggers.mlflow import MLflow as MLflow
    from cnntrain.loggers.tensorboard import TensorBoard as TensorBoard
    from cnntrain.loggers.wandb import WandB as WandB

__all__ = ["Logged", "Logger", "Loggers", "MLflow", "TensorBoard", "WandB", "build_loggers"]

__getattr__, __dir__ = lazily(
    __name__, {"MLflow": "mlflow", "TensorBoard": "tensorboard", "WandB": "wandb"}, *__all__
)
