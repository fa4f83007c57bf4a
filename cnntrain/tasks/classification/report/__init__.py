"""What the report of a classifier shows: confusion matrix, classes, mistakes, calibration, translation."""
