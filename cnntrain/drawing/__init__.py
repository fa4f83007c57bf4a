"""How figures and pages are drawn, whatever they show: the style, small parts of a page, mosaics."""

import logging

# Before its first import, at which it tells of font caches that it builds and of folders that it can't write.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
