"""Exported detectors: whether they find what torch finds, and the script that runs them."""
