"""A reader for each format of annotations: from its files to the table."""
