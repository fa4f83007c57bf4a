"""Sequences of unequal length on their way to the network: in memory, in batches, normalised, augmented."""
