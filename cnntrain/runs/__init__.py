"""The files that survive a run: run folders, checkpoints, the cache folder."""
