"""``cnntrain explain --as-script FILE``: the configured run as one plain PyTorch file."""
