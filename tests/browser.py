"""A page in Chromium, if there is one."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")


def seen_by(probe: str, page: str, *flags: str, milliseconds: int) -> Any:
    """Open a page in a folder of its own with a script behind it, and return what that left in data-probe."""
    file = Path("elsewhere.html")
    file.write_text(page.replace("</body>", f"{probe}</body>"))
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", *flags]
    done = subprocess.run(
        [*command, f"--virtual-time-budget={milliseconds}", "--dump-dom", file.absolute().as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "CONSOLE" not in done.stderr, done.stderr
    found = re.search(r'data-probe="([^"]*)"', done.stdout)
    assert found is not None, done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))
