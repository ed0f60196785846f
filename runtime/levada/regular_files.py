"""Opens what a user named as a file, and only if it is one: a pipe or a device has no end."""

from __future__ import annotations

import os
import stat


def regular(path: str | os.PathLike[str], flags: int) -> int:
    """Open a regular file, as the ``opener`` of ``open``: ``open(path, opener=regular)``.

    Raises OSError for anything else, at once also where a pipe has no writer.
    """
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):  # of a folder `open` says so itself
        return descriptor
    import errno

    os.close(descriptor)
    raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
