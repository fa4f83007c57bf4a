"""Loggers of a run's figures, besides its folder: TensorBoard, MLflow, Weights & Biases. All work offline."""

from cnntrain.loggers.base import Logged, Logger
from cnntrain.loggers.group import Loggers, build_loggers
from cnntrain.loggers.mlflow import MLflow
from cnntrain.loggers.tensorboard import TensorBoard
from cnntrain.loggers.wandb import WandB

__all__ = ["Logged", "Logger", "Loggers", "MLflow", "TensorBoard", "WandB", "build_loggers"]
