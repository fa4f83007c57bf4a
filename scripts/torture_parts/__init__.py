"""The parts of ``scripts/torture.py``: what is done to cnntrain, and what must not come of it."""
