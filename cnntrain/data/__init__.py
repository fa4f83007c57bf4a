"""Data: sources (what the images are), splits, images in memory, augmentation, loaders."""
