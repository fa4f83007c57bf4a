"""Training: the trainer, its progress, and what it records."""
