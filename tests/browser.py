"""A real browser for tests of pages: found, or the test is skipped and says so; in CI it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def program() -> str | None:
    """The browser's path, if there is one."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


def find(what: str) -> str:
    """The browser's path. Without one `what` was not tested, and the test's result says so."""
    found = program()
    if found is None:
        told = f"{what} NOT tested: none of {', '.join(PROGRAMS)} is installed"
        if os.environ.get("KEYLESS_BROWSER") == "required":
            pytest.fail(told)
        pytest.skip(told)
    return found


def page(browser: str, address: str, folder: Path) -> str:
    """What a page shows once its requests are answered."""
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    options += [f"--user-data-dir={folder}", "--virtual-time-budget=20000", "--dump-dom"]
    done = subprocess.run(
        [browser, *options, address], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


if __name__ == "__main__":
    if program() is None:
        print(f"NOT tested: pages in a browser; none of {', '.join(PROGRAMS)} is installed")
