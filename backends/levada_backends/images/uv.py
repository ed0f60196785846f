"""The program uv, which locks requirements and builds packages."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .image import ImageError

_EXTRA = "pip install 'levada[build]'"


def find() -> str:
    """Give the path of uv: the one installed beside Levada, else the one on PATH.

    Raises ImageError if there is none.
    """
    import shutil

    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("uv")
    if not found:
        raise ImageError("locking the requirements needs `uv`", f"install it: {_EXTRA}")
    return found
