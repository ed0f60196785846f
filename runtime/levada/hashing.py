"""SHA-256 by the implementation that is fastest for the size of what is hashed."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import _Hash

#: Bytes from which OpenSSL's sha256 is worth its import: some five times faster, but 4 ms.
LARGE = 1 << 20

_BUILTIN = "_sha2" if sys.version_info >= (3, 12) else "_sha256"


def sha256(data: bytes | bytearray | memoryview, size: int | None = None) -> _Hash:
    """Start a SHA-256 of ``data``, by what is fastest for ``size`` bytes in all."""
    if "_hashlib" in sys.modules or (len(data) if size is None else size) >= LARGE:
        try:
            from _hashlib import openssl_sha256
        except ImportError:
            pass
        else:
            return openssl_sha256(data)
    builtin: _Hash = __import__(_BUILTIN).sha256(data)
    return builtin
