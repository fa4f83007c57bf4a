"""What a network learns to do. A task is a package: its losses, its metrics, its predictions."""
