"""How a model computes on this machine: precision, memory format, threads, micro-batches."""
