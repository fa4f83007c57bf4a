"""What the report of a segmentation shows: classes, confused pixels, worst and best images, borders."""
