"""What a detector finds in image files: boxes, pictures of them, and the formats of others."""
