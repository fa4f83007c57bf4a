"""Canvases composed of MNIST digits, with exact masks and boxes: ``data=mnist_canvas``."""
