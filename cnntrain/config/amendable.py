"""Which keys of a saved configuration each command may change."""

from __future__ import annotations

SWEEP_RESUMABLE = ("launcher", "on_error", "trust", "verbose")
RESUMABLE = (
    "epochs",
    "accumulate",
    "device",
    "threads",
    "compile",
    "workers",
    "early_stopping",
    "save_every_steps",
    "save_every_minutes",
    "eval_batch_size",
    "report",
    "logger.mlflow.uri",
    "logger.wandb.mode",
    "data.root",
    "data.cache",
    "data.cache_gb",
    "data.max_megapixels",
    "data.on_bad_image",
    "trust",
    "verbose",
)
REPORTABLE = (
    "data.root",
    "data.cache",
    "data.cache_gb",
    "data.max_megapixels",
    "device",
    "threads",
    "workers",
    "trust",
    "verbose",
)
EVALUABLE = (
    "split",
    "tta",
    "data",
    "data.root",
    "data.source",
    "data.val_fraction",
    "data.split_seed",
    "data.cache",
    "data.cache_gb",
    "data.max_megapixels",
    "data.on_bad_image",
    "device",
    "precision",
    "channels_last",
    "threads",
    "compile",
    "workers",
    "eval_batch_size",
    "trust",
    "verbose",
)
PREDICTABLE = (
    "top",
    "invert",
    "data.max_megapixels",
    "device",
    "precision",
    "threads",
    "eval_batch_size",
    "trust",
    "verbose",
)
EXPORTABLE = ("formats", "data", "data.root", "data.source", "trust", "verbose")
AMENDABLE = {
    "resume": RESUMABLE,
    "eval": EVALUABLE,
    "report": REPORTABLE,
    "predict": PREDICTABLE,
    "export": EXPORTABLE,
}
EXPORTERS = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "pt2": (), "safetensors": ("safetensors",)}
