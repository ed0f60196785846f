"""Values to artifacts and back: what a step takes and returns, as the store keeps it.

A value is a tree in canonical JSON (`levada.trees`), with leaves in formats of their own
(`levada.materializers`) at any depth. The same value gives the same bytes and the same digest.
"""

from __future__ import annotations

from levada.artifact import TREE_FORMAT, Artifact, CorruptArtifact, MaterializerError, NoField
from levada.store import StoreError
from levada.trees.canonical import ARTIFACT, artifact_of, canonical, digest, parse
from levada.trees.classes import set_project_roots, type_name
from levada.trees.decode import Decoder
from levada.trees.display import display
from levada.trees.encode import Encoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from levada.store import Store
    from levada.trees.canonical import Tree

__all__ = [
    "canonical",
    "decode",
    "digest",
    "display",
    "encode",
    "field",
    "load",
    "save",
    "set_project_roots",
    "verify",
]

_FIELDS = ("$namedtuple", "$dataclass", "$pydantic", "$made")


def save(value: object, store: Store, allow_pickle: bool = False) -> Artifact:
    """Store a value. Raises MaterializerError if it cannot be kept exactly, or StoreError."""
    encoder = Encoder(store, allow_pickle=allow_pickle)
    tree = _encode(encoder, value)
    leaf = artifact_of(tree)
    if leaf is not None:
        return leaf
    data = _canonical(tree)
    meta = {"pickle": True} if encoder.pickled else {}
    name = type_name(type(value))
    return Artifact(store.put_blob(data), len(data), TREE_FORMAT, "tree", name, meta)


def load(artifact: Artifact, store: Store, allow_pickle: bool = False) -> Any:
    """Load a value. Raises CorruptArtifact, MaterializerError or StoreError (MissingBlob)."""
    return decode({ARTIFACT: artifact.as_json()}, store, allow_pickle)


def encode(
    value: object,
    store: Store | None = None,
    allow_pickle: bool = False,
    *,
    paths_by_name: bool = False,
) -> Tree:
    """Give a value's tree; its leaves are stored. An Artifact in it becomes a leaf as it is.

    Without a store, a value that needs leaves is refused. With ``paths_by_name`` a Path is only
    its name, as in a pipeline, and not what is there.
    """
    encoder = Encoder(store, allow_pickle=allow_pickle)
    encoder.paths_by_name = paths_by_name
    return _encode(encoder, value)


def decode(tree: Tree, store: Store | None = None, allow_pickle: bool = False) -> Any:
    """Give the value of a tree, its leaves loaded and verified."""
    try:
        return Decoder(store, allow_pickle=allow_pickle).decode(tree)
    except RecursionError:
        raise MaterializerError("a stored value is nested too deep to be loaded here") from None


def field(artifact: Artifact, name: str, store: Store) -> Artifact | Tree:
    """Give a named output (or an attribute, or ``_0`` of a tuple) without loading the rest.

    Raises NoField, an AttributeError, if what is stored has no such field: a property or a method
    needs the value itself.
    """
    tree = tree_of(artifact, store)
    tag, content = next(iter(tree.items())) if _is_tagged(tree) else ("", [])
    found: Tree = None
    if tag in _FIELDS and name in content[1]:
        found = content[1][name]
    elif tag == "$tuple" and name.removeprefix("_").isdecimal():
        found = _item(content, int(name.removeprefix("_")), artifact)
    else:
        raise NoField(f"a stored {artifact.type} has no field {name!r}")
    leaf = artifact_of(found)
    return found if leaf is None else leaf


def _is_tagged(tree: Tree) -> bool:
    return isinstance(tree, dict) and len(tree) == 1


def _item(items: list[Tree], index: int, artifact: Artifact) -> Tree:
    if index >= len(items):
        raise NoField(f"a stored {artifact.type} of {len(items)} items has no item {index}")
    return items[index]


def tree_of(artifact: Artifact, store: Store) -> Tree:
    """Give the tree of an artifact, one level loaded: a leaf of another format stays a leaf."""
    if not artifact.is_tree:
        return {ARTIFACT: artifact.as_json()}
    return parse(store.read_blob(artifact.digest))


def verify(value: Artifact | Tree, store: Store) -> bool:
    """Whether everything that a value is made of is in the store and undamaged."""
    leaf = artifact_of(value)
    try:
        if leaf is not None:
            return _verify_leaf(leaf, store)
    except (CorruptArtifact, StoreError):
        return False
    if isinstance(value, dict):
        return all(verify(item, store) for item in value.values())
    return all(verify(item, store) for item in value) if isinstance(value, list) else True


def _verify_leaf(leaf: Artifact, store: Store) -> bool:
    if leaf.is_tree:
        data = store.read_blob(leaf.digest)
        return f'"{ARTIFACT}"'.encode() not in data or verify(parse(data), store)
    if leaf.materializer == "path":
        from levada.materializers.paths import verify_path

        return verify_path(leaf, store)
    return store.verify_blob(leaf.digest)


def _encode(encoder: Encoder, value: object) -> Tree:
    try:
        return encoder.encode(value)
    except RecursionError:
        raise MaterializerError(
            "a value is nested too deep to be stored; make it flatter"
        ) from None


def _canonical(tree: Tree) -> bytes:
    try:
        return canonical(tree)
    except RecursionError:
        raise MaterializerError(
            "a value is nested too deep to be stored; make it flatter"
        ) from None
