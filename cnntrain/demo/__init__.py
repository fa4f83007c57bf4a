"""A page on which a trained network answers while one draws: ``cnntrain demo RUN``."""
