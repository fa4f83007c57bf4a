"""``cnntrain data DIR`` on a folder with boxes: classes, sizes of objects, faults, the command to train."""
