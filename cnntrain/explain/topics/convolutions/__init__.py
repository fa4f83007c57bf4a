"""Topics on what a convolutional network is made of: convolution and pooling."""
