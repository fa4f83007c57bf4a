"""Topics on images: why a fully connected network is not enough, and what convolutions see."""
