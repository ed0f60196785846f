"""What a tree refers to: other trees and leaves of other formats, each a blob of its own.

A blob may be referred to more than once, and so may one that refers to others: forty small blobs
can stand for 2**40 values. What only has to be looked at (`values.verify`, `input_classes`) is
looked at once a digest. What is loaded is loaded as often as it is referred to, and is counted.
"""

from __future__ import annotations

from levada.artifact import CorruptArtifact, check_expansion
from levada.trees.canonical import ARTIFACT, artifact_of, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from levada.artifact import Artifact
    from levada.store import Store
    from levada.trees.tree_types import Content, Tree

_MARK = f'"{ARTIFACT}"'.encode()
#: What loading any blob costs, in bytes, however small the blob is.
_LOAD = 1024
#: The fewest bytes of JSON that a reference takes.
_REFERENCE = 150


def references(tree: Content) -> Iterator[Artifact]:
    """Give every artifact in a tree, in no particular order. Raises CorruptArtifact."""
    pending = [tree]
    while pending:
        part = pending.pop()
        leaf = artifact_of(part)
        if leaf is not None:
            yield leaf
        elif isinstance(part, list):
            pending += part
        elif isinstance(part, dict):
            pending += part.values()


def referring(data: bytes) -> Tree:
    """Read a tree's bytes if it refers to anything; None if it does not. Raises CorruptArtifact."""
    return parse(data) if _MARK in data else None


class References:
    """Bounds what one tree (the root) may be, with all that it refers to.

    With ``trees_only`` only trees are loaded, as `display` does, and only they count. While no blob
    is loaded twice, a value is as large as what is stored. When one is, all is counted, for which
    every tree is read once more.
    """

    __slots__ = ("_counted", "_loaded", "_root", "_sizes", "_stored", "_trees_only", "store")

    def __init__(self, root: Tree, store: Store, *, trees_only: bool = False) -> None:
        self.store = store
        self._root = root
        self._trees_only = trees_only
        self._loaded: set[str] = set()
        self._counted = False
        self._sizes: dict[str, int] = {}  # by digest, with what the tree refers to
        self._stored = 0

    def load(self, leaf: Artifact) -> None:
        """Take note that a leaf is about to be loaded. Raises CorruptArtifact or StoreError."""
        if leaf.digest not in self._loaded:
            self._loaded.add(leaf.digest)
        elif not self._counted:
            self._counted = True
            leaves = list(references(self._root))
            self._stored = _REFERENCE * len(leaves)
            try:
                expanded = sum(map(self._size, leaves))
            except RecursionError:
                raise CorruptArtifact("a stored value has too long a chain of references") from None
            check_expansion(expanded, self._stored)

    def _size(self, leaf: Artifact) -> int:
        found = self._sizes.get(leaf.digest)
        if found is None:
            data = self.store.read_blob(leaf.digest) if leaf.is_tree else None
            size = leaf.size if data is None else len(data)
            self._stored += size
            found = _LOAD + (0 if data is None and self._trees_only else size)
            if data is not None:
                found += sum(map(self._size, references(referring(data))))
            self._sizes[leaf.digest] = found
        return found
