"""Reports that are drawn from the files of finished runs."""
