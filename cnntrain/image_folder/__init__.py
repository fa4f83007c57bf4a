"""A folder of images: which files are in it, of which class, what they show. Found without torch."""
