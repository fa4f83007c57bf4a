"""What is drawn from the files that runs leave behind."""
