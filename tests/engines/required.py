"""What a test does when the real system that it needs is not there."""

from __future__ import annotations

import os

import pytest


def require_engine(name: str, *, is_installed: bool, install: str) -> None:
    """Go on if the engine is installed; else skip the test, or fail it where CI is true.

    `install` is the command that installs it, for the reason that is shown.
    """
    if is_installed:
        return
    reason = f"{name} is not installed; `{install}` installs it"
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
