"""Which blobs the bytes of a document or a blob refer to, found without knowing what it is.

Whatever looks like a digest counts, in any field and in text within text: what is kept for nothing
costs room, what is not kept is lost. A newer version may write documents that are not known here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

#: ``sha256:<64 digits>``, and the path of a blob in the address of one.
_ANY = re.compile(rb"sha256[:/](?:[0-9a-f]{2}/)?([0-9a-f]{64})")
#: An artifact as `levada.artifact.Artifact.as_json` writes it.
_ARTIFACT = re.compile(
    rb'"digest": ?"sha256:([0-9a-f]{64})", ?"size": ?(\d+), ?"format": ?"([^"\\]*)",'
    rb' ?"materializer": ?"([^"\\]*)"'
)
#: Blobs in which nothing refers to others: previews, series, diffs of git.
_PLAIN = re.compile(
    rb'"(?:preview|diff)": ?\{"digest": ?"sha256:([0-9a-f]{64})"'
    rb'|"series": ?"sha256:([0-9a-f]{64})"'
)
_FILES = re.compile(rb'"\$blob": ?"sha256:([0-9a-f]{64})"')
#: Materializers whose blobs hold data only.
_OF_DATA = frozenset(
    b"arrow bytes figure image numpy pandas pickle polars sklearn torch torch-state-dict".split()
)
#: Bytes of a tree below which it has no room for a reference.
_SMALLEST = 80


class Found(NamedTuple):
    """What some bytes refer to: digests of 32 bytes."""

    all: set[bytes]
    referring: set[bytes]  #: those of trees, folders and values of other packages' materializers
    unknown: set[bytes]  #: those that may be of such blobs, or of no blob at all
    artifacts: set[bytes]  #: those of stored values


def find(data: bytes | memoryview) -> Found:
    """Find the digests in the bytes of a document or of a blob.

    >>> len(find(b'{"plan": "sha256:' + b"0" * 64 + b'"}').unknown)
    1
    """
    every = set(_ANY.findall(data))
    if not every:
        return Found(set(), set(), set(), set())
    plain: set[bytes] = {one or other for one, other in _PLAIN.findall(data)}
    artifacts: set[bytes] = set(_FILES.findall(data))
    referring: set[bytes] = set()
    for digest, size, form, materializer in _ARTIFACT.findall(data):
        artifacts.add(digest)
        is_data = materializer in _OF_DATA or (materializer, form) == (b"path", b"file")
        is_small = materializer == b"tree" and int(size) < _SMALLEST
        (plain if is_data or is_small else referring).add(digest)
    unknown = every - plain - referring
    return Found(_packed(every), _packed(referring), _packed(unknown), _packed(artifacts))


def _packed(digests: Iterable[bytes]) -> set[bytes]:
    return {bytes.fromhex(digest.decode()) for digest in digests}
