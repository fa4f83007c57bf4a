"""The topics of ``cnntrain explain``: each is one module, with one row in ``cnntrain/explain/table.py``."""
