"""Topics on detection."""
