"""Explanations of typing errors, and suggestions of what to type instead."""
