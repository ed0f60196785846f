"""Values to artifacts and back: what a step takes and returns, as the store keeps it.

A value is a tree in canonical JSON (`levada.trees`), with leaves in formats of their own
(`levada.materializers`) at any depth. The same value gives the same bytes and the same digest.
"""

from __future__ import annotations

from levada.artifact import TREE_FORMAT, Artifact, CorruptArtifact, MaterializerError, NoField
from levada.store import StoreError
from levada.trees.canonical import (
    artifact_of,
    canonical,
    digest,
    fields_of,
    items_of,
    leaf_of,
    parse,
)
from levada.trees.classes import set_program, type_name
from levada.trees.decode import Decoder
from levada.trees.display import display
from levada.trees.encode import Encoder
from levada.trees.references import References, references, referring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TypeGuard

    from levada.previews import Previews
    from levada.store import Store
    from levada.trees.tree_types import Content, Tree

__all__ = [
    "canonical",
    "decode",
    "digest",
    "display",
    "encode",
    "field",
    "load",
    "output",
    "save",
    "save_with_fields",
    "set_program",
    "store_tree",
    "tree_type",
    "verify",
]

#: Bytes of JSON up to which a value stands in a record itself.
INLINE = 4096
_FIELDS = ("$namedtuple", "$dataclass", "$pydantic", "$made")


def save(
    value: object,
    store: Store,
    allow_pickle: bool = False,
    *,
    previews: Previews | None = None,
) -> Artifact:
    """Store a value. Raises MaterializerError if it cannot be kept exactly, or StoreError."""
    return save_with_fields(value, store, allow_pickle, (), previews=previews)[0]


def save_with_fields(
    value: object,
    store: Store,
    allow_pickle: bool,
    names: Iterable[str],
    *,
    previews: Previews | None = None,
) -> tuple[Artifact, list[Artifact | Tree]]:
    """Store a value some of whose fields (or ``_0`` of a tuple) are needed by themselves.

    A field of more than INLINE bytes is stored once, and the value refers to it. Returns the
    artifact of the value, and for each name an artifact or a tree. What ``previews`` makes is
    stored beside them. Raises NoField for a name that the value does not have, and what
    :func:`save` raises.
    """
    encoder = Encoder(store, allow_pickle=allow_pickle, previews=previews)
    tree = _encode(encoder, value)
    meta = {"pickle": True} if encoder.pickled else {}
    kind = type_name(type(value))
    fields: list[Artifact | Tree] = []
    for name in names:
        holder, key = _place(tree, name, kind)
        leaf, part = artifact_of(holder[key]), holder[key]
        if leaf is None and len(data := _canonical(part)) > INLINE:
            leaf = store_tree(data, tree_type(part), store, meta)
            holder[key] = leaf_of(leaf.as_json())
        if leaf is not None and previews is not None:
            previews.attach(leaf, part)
        fields.append(part if leaf is None else leaf)
    whole = artifact_of(tree) or store_tree(_canonical(tree), kind, store, meta)
    if previews is not None:
        previews.attach(whole, tree, is_whole=not fields)
    return whole, fields


def store_tree(
    data: bytes, kind: str, store: Store, meta: Mapping[str, bool] | None = None
) -> Artifact:
    """Store a tree in canonical JSON and give its artifact. ``kind`` is the type of its value."""
    return Artifact(store.put_blob(data), len(data), TREE_FORMAT, "tree", kind, dict(meta or {}))


def tree_type(tree: Tree) -> str:
    """Return the type of a value by its tree, ``module:qualname`` as artifacts have it."""
    if _is_tagged(tree):
        tag = next(iter(tree))
        if tag.startswith("$"):
            return f"builtins:{tag[1:]}"
    return f"builtins:{type(tree).__name__}"


def load(artifact: Artifact, store: Store, allow_pickle: bool = False) -> object:
    """Load a value. Raises CorruptArtifact, MaterializerError or StoreError (MissingBlob)."""
    return decode(leaf_of(artifact.as_json()), store, allow_pickle)


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


def decode(tree: Tree, store: Store | None = None, allow_pickle: bool = False) -> object:
    """Give the value of a tree, its leaves loaded and verified."""
    references = None if store is None else References(tree, store)
    try:
        decoder = Decoder(store, allow_pickle=allow_pickle, references=references, is_in_leaf=False)
        return decoder.decode(tree)
    except RecursionError:
        raise MaterializerError("a stored value is nested too deep to be loaded here") from None


def field(artifact: Artifact, name: str, store: Store) -> Artifact | Tree:
    """Give a named output (or an attribute, or ``_0`` of a tuple) without loading the rest.

    Raises NoField, an AttributeError, if what is stored has no such field: a property or a method
    needs the value itself.
    """
    holder, key = _place(tree_of(artifact, store), name, artifact.type)
    found = holder[key]
    leaf = artifact_of(found)
    return found if leaf is None else leaf


def output(artifact: Artifact, name: str, store: Store) -> Artifact | Tree:
    """Give an output of a step by its name, as the store has it: records are masked.

    Raises what :func:`field` raises.
    """
    names = artifact.meta.get("outputs")  # of a tuple, by their places
    return field(artifact, f"_{names.index(name)}" if names else name, store)


def _place(tree: Tree, name: str, kind: str) -> tuple[Content, str | int]:
    """Return what holds a field of a tree, and the key or index that the field has in it."""
    tag, content = next(iter(tree.items())) if _is_tagged(tree) else ("", [])
    if tag in _FIELDS and name in (fields := fields_of(content)):
        return fields, name
    if tag == "$tuple" and name.removeprefix("_").isdecimal():
        index = int(name.removeprefix("_"))
        if index >= len(items_of(content)):
            raise NoField(f"a stored {kind} of {len(content)} items has no item {index}")
        return content, index
    raise NoField(f"a stored {kind} has no field {name!r}")


def _is_tagged(tree: Tree) -> TypeGuard[dict[str, Content]]:
    return isinstance(tree, dict) and len(tree) == 1


def tree_of(artifact: Artifact, store: Store) -> Tree:
    """Give the tree of an artifact, one level loaded: a leaf of another format stays a leaf."""
    if not artifact.is_tree:
        return leaf_of(artifact.as_json())
    data = store.read_blob(artifact.digest)
    artifact.check_size(len(data))
    return parse(data)


def verify(value: Artifact | Tree, store: Store) -> bool:
    """Whether everything that a value is made of is in the store and undamaged."""
    seen: set[tuple[str, str, str]] = set()
    pending = [value]
    try:
        while pending:
            for leaf in references(pending.pop()):
                identity = (leaf.digest, leaf.format, leaf.materializer)
                if identity in seen:
                    continue
                seen.add(identity)
                if leaf.is_tree:
                    pending.append(referring(store.read_blob(leaf.digest)))
                elif not _verify_leaf(leaf, store):
                    return False
    except (CorruptArtifact, StoreError):
        return False
    return True


def _verify_leaf(leaf: Artifact, store: Store) -> bool:
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
