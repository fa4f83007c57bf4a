"""cnntrain: train image classifiers in PyTorch from the shell."""

__version__ = "0.1.0"
