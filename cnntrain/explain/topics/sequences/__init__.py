"""Topics on networks that read an image as a sequence."""
