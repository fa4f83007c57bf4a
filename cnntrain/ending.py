"""How a process ends quickly. No torch."""

from __future__ import annotations

import gc
import sys


def hasten_end() -> None:
    """Let Python end without looking for cycles in all of torch first, which takes half a second."""
    if "triton" not in sys.modules:  # whose bindings would complain of leaks
        gc.freeze()
