"""Networks that find objects: boxes with their classes."""
