"""Whether a configuration makes sense: checked before torch, a folder or an image is touched."""
