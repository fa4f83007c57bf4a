"""The configuration in a checkpoint: read again, checked, and brought up to date."""
