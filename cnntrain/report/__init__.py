"""What is drawn from the files that runs leave behind."""

import logging

# Before its first import, at which it tells of font caches that it builds and of folders that it can't write.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
