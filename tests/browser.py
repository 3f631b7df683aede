"""Where a Chromium is; `scripts/browser` sees to it that there is one."""

import os
import shutil
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_MAC = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
_OWN = Path(__file__).resolve().parent.parent / ".venv" / "browsers"  # Playwright's


def path() -> str | None:
    """The path of a Chromium: $CHROMIUM, an installed one, or Playwright's in .venv."""
    installed = [os.environ.get("CHROMIUM"), *map(shutil.which, _NAMES), *_MAC]
    own = [
        *_OWN.glob("chromium-*/chrome-*/chrome"),
        *_OWN.glob("chromium-*/*/*.app/Contents/MacOS/*"),
    ]
    return next((str(one) for one in [*installed, *own] if one and Path(one).exists()), None)
