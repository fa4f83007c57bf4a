"""The report of a detection."""
