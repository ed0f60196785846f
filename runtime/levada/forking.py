"""Forks a process in which other threads may run."""

from __future__ import annotations

import os
import warnings


def fork_among_threads() -> int:
    """Fork, as `os.fork` does; no warning is given that this process has several threads.

    The child may only do what needs none of the others: no store in a bucket, no lock of theirs.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()
