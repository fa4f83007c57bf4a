"""``cnntrain data DIR``: what is in a folder of images, what is wrong with it, and how to train on it."""
