"""The bytes and the digest of a tree."""

from __future__ import annotations

from json import dumps, loads

from levada.artifact import Artifact, CorruptArtifact, brief
from levada.store import digest_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada.record_types import ArtifactJson
    from levada.trees.tree_types import Content, Tree

ARTIFACT = "$artifact"


def canonical(tree: Tree) -> bytes:
    """Give the tree's bytes: UTF-8 without spaces, lone surrogates escaped, dict order kept."""
    text = dumps(tree, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def parse(data: bytes) -> Tree:
    """Read a tree's bytes. Raises CorruptArtifact."""
    try:
        tree: Tree = loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptArtifact(f"a stored tree is not JSON: {error}") from None
    return tree


def leaf_of(artifact: ArtifactJson | None) -> Tree:
    """Give the tree that is nothing but one artifact, of the JSON form of that.

    The preview is left out: the same value has the same tree, whatever is shown of it.
    """
    if artifact is not None and "preview" in artifact:
        artifact = {**artifact}
        del artifact["preview"]
    held: Content = artifact
    return {ARTIFACT: held}


def digest(tree: Tree) -> str:
    """Give the identity of the value, ``sha256:<hex>``: what a cache key is made of.

    A tree that is stored whole has the digest of its bytes. A leaf counts with its format, type
    and meta, so that a file and the bytes in it are two values.
    """
    leaf = artifact_of(tree)
    if leaf is not None and leaf.is_tree:
        return leaf.digest
    try:
        return digest_of(canonical(_identity(tree)))
    except RecursionError:
        raise CorruptArtifact("a value is nested too deep to have a digest") from None


def artifact_of(tree: object) -> Artifact | None:
    """Give the artifact if the tree is nothing but one leaf. Takes an Artifact as well."""
    if isinstance(tree, Artifact):
        return tree
    if type(tree) is dict and len(tree) == 1 and ARTIFACT in tree:
        return Artifact.from_json(tree[ARTIFACT])
    return None


def fields_of(content: Content) -> dict[str, Tree]:
    """Give the fields that the tag of a class with fields holds. Raises CorruptArtifact."""
    match content:
        case [str(), dict() as fields, *_]:
            return fields
    raise CorruptArtifact(f"a class with fields is wanted, not {brief(content)}")


def items_of(content: Content) -> list[Tree]:
    """Give the items that the tag of a tuple or set holds. Raises CorruptArtifact."""
    if type(content) is not list:
        raise CorruptArtifact(f"a list is wanted, not {brief(content)}")
    return content


def _identity(tree: Tree) -> Tree:
    """Leave out of every leaf what its digest implies."""
    if isinstance(tree, list):
        return [_identity(item) for item in tree]
    leaf = artifact_of(tree)
    if leaf is None and isinstance(tree, dict):
        return {key: _identity(item) for key, item in tree.items()}
    if leaf is None:
        return tree
    if leaf.is_tree:
        return {ARTIFACT: leaf.digest}
    return {ARTIFACT: [leaf.digest, leaf.format, leaf.materializer, leaf.type, leaf.meta]}
