"""A trained model at work: evaluation, predictions, export."""
