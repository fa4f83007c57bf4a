"""Data: sources (what the pictures are), splits, pictures in memory, augmentation, loaders."""
