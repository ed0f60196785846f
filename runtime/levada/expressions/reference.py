"""Values by their trees: what is only passed on is not loaded."""

from __future__ import annotations

from levada import values
from levada.operations import Budget, NotPlainError, TooLargeError
from levada.operations.plain import Deferred, holds_deferred, type_name
from levada.trees.canonical import artifact_of, fields_of, items_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from levada.artifact import Artifact
    from levada.store import Store
    from levada.trees.tree_types import Content, Tree

_FIELDS: Final = ("$namedtuple", "$dataclass", "$pydantic", "$made")
_BYTES_A_STEP: Final = 40  #: of a stored tree that is read
#: Types of leaves that expressions compute with.
_PLAIN_LEAVES: Final = ("builtins:bytes", "pathlib:Path")


class Reference(Deferred):
    """A value by its tree, not loaded."""

    __slots__ = ("_store", "tree")

    def __init__(self, tree: Tree, store: Store) -> None:
        self.tree = tree
        self._store = store

    def __repr__(self) -> str:
        return f"Reference({self.tree!r})"

    def opened(self, budget: Budget) -> object:
        """Return a list, tuple or dict whose items stay references, else the value."""
        tree = self._content(budget)
        if type(tree) in (list, dict):
            budget.spend(len(tree) // 4, 16 * len(tree))
        if type(tree) is list:
            return [Reference(item, self._store) for item in tree]
        if type(tree) is not dict:
            return tree
        tag, content = _tagged(tree)
        if tag == "$tuple":
            return tuple(Reference(item, self._store) for item in items_of(content))
        if tag:
            return values.decode(tree, self._store)
        return {key: Reference(item, self._store) for key, item in tree.items()}

    def loaded(self, budget: Budget) -> object:
        """Return the value, to compute with: NotPlainError, before a frame or model is loaded."""
        artifact = artifact_of(self.tree)
        if artifact is not None and not artifact.is_tree and artifact.type not in _PLAIN_LEAVES:
            raise NotPlainError(type_name(*artifact.type.partition(":")[::2]))
        if artifact is not None:
            budget.spend(artifact.size // _BYTES_A_STEP)
        return self.decoded()

    def decoded(self) -> object:
        """Return the value, whatever it is."""
        return values.decode(self.tree, self._store)

    def identity(self, budget: Budget) -> object:
        """Return what ``is`` compares: None, a bool or the like, else something unlike these."""
        tree = self._content(budget)
        return self if type(tree) in (list, dict) else tree

    def field(self, name: str, budget: Budget) -> Reference:
        """Return a field. Raises LookupError or ValueError if the stored form has none."""
        artifact = artifact_of(self.tree)
        named = [] if artifact is None else items_of(artifact.meta.get("outputs", []))
        tag, content = _tagged(self._content(budget))
        if tag in _FIELDS and name in (fields := fields_of(content)):
            return Reference(fields[name], self._store)
        if tag == "$enum" and name in ("name", "value"):
            return Reference(items_of(content)[1 if name == "name" else 2], self._store)
        if tag == "$tuple":
            item = items_of(content)[named.index(name) if name in named else int(name)]
            return Reference(item, self._store)
        raise KeyError(name)

    def _content(self, budget: Budget) -> Content:
        """Read the tree behind an artifact that is one."""
        artifact: Artifact | None = artifact_of(self.tree)
        if artifact is None:
            return self.tree
        if artifact.is_tree:
            budget.spend(artifact.size // _BYTES_A_STEP)
        return values.tree_of(artifact, self._store)


def decoded(value: Any) -> object:
    """Return a value with all references in it loaded, whatever they are."""
    if isinstance(value, Reference):
        return value.decoded()
    if not holds_deferred(value, Budget()):
        return value
    if type(value) is dict:
        return {key: decoded(item) for key, item in value.items()}
    return type(value)(decoded(item) for item in value)


def as_tree(value: object, store: Store) -> Tree:
    """Return the tree of an evaluated value. Raises what storing a value raises."""
    try:
        return _tree(value, store, Budget())
    except RecursionError:
        raise TooLargeError("the value is nested too deep") from None


def _tree(value: Any, store: Store, budget: Budget) -> Tree:
    if isinstance(value, Reference):
        return value.tree
    if not holds_deferred(value, budget):
        return values.encode(value, store, paths_by_name=True)
    if type(value) is list:
        return [_tree(item, store, budget) for item in value]
    if type(value) is tuple:
        return {"$tuple": [_tree(item, store, budget) for item in value]}
    if all(type(key) is str and not key.startswith("$") for key in value):
        return {key: _tree(item, store, budget) for key, item in value.items()}
    pairs = [[values.encode(key, store), _tree(item, store, budget)] for key, item in value.items()]
    return {"$dict": pairs}


def _tagged(tree: Tree) -> tuple[str, Content]:
    """Return the tag of a tree and what is under it, an empty tag for plain JSON."""
    if type(tree) is dict and len(tree) == 1:
        ((tag, content),) = tree.items()
        return (tag, content) if tag.startswith("$") else ("", None)
    return "", None
