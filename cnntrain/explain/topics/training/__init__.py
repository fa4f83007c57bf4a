"""Topics on training: the five steps, and what happens without one of them."""
