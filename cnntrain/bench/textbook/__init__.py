"""The loop of a textbook: one image at a time, transformed by torchvision on the way, and DataLoader."""
