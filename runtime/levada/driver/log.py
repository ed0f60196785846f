"""``python -m levada.driver.log PATH``: print a file of the store, for who cannot reach it.

The log of an attempt whose pod is gone, or a document of a run.
"""

from __future__ import annotations

import os
import sys

from levada.log_reader import LogReader
from levada.log_upload import FILES
from levada.store import open_store


def main(path: str) -> int:
    """Print it; 1 if there is none."""
    store = open_store(os.environ["LEVADA_STORE"])
    folder, _, name = path.rpartition("/")
    if name not in FILES:
        try:
            sys.stdout.buffer.write(store.read(path))
        except FileNotFoundError:
            return 1
        return 0
    was_there = False
    for piece in LogReader(store, folder, name).new():
        was_there = True
        sys.stdout.buffer.write(piece)
    return 0 if was_there else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
