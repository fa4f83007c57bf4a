"""``cnntrain bench``: how fast training is on this machine, beside other ways to do it."""
