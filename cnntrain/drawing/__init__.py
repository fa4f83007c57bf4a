"""The drawing of figures and pages: the style, small parts of a page, mosaics."""

import logging

# Before its first import, which prints messages about font caches and about folders that it can't write.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
