"""``python -m levada.driver.log PATH``: print a file of the store, for who cannot reach it.

The log of an attempt whose pod is gone, or a document of a run.
"""

from __future__ import annotations

import os
import shutil
import sys

from levada.store import open_store


def main(path: str) -> int:
    """Print it; 1 if there is none."""
    store = open_store(os.environ["LEVADA_STORE"])
    try:
        local = store.local_path(path) if path.endswith("/log") else None
        if local is None:
            sys.stdout.buffer.write(store.read(path))
            return 0
        with open(local, "rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
    except FileNotFoundError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
