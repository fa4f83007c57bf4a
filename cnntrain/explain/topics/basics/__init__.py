"""Topics on what a network is made of: numbers with gradients, tensors."""
