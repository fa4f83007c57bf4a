"""The components of a run that the configuration names. Each is tried before any data is read."""
