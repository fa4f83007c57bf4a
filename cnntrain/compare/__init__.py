"""Runs side by side: the ranking, what is more than chance, and the page that shows it."""
