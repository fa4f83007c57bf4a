"""Networks that read an image as a sequence: recurrent ones and Transformers."""
