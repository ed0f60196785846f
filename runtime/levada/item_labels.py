"""How an item of a loop is called: by the variables of the loops around it."""

from __future__ import annotations

import json
from contextlib import suppress

from levada import expressions, values
from levada.artifact import ArtifactError
from levada.store import StoreError
from levada.trees.canonical import artifact_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from levada.expressions import Variable
    from levada.store import Store
    from levada.trees.tree_types import Tree

#: Characters of a label.
LONGEST = 60


def label(variables: Mapping[str, Variable], store: Store) -> str:
    """Return the variables of an iteration with their values: ``depth=4,rate=0.1``.

    It has at most `LONGEST` characters, and is empty outside of loops.
    """
    shown = (f"{name}={_short(variable.value, store)}" for name, variable in variables.items())
    return ",".join(shown)[:LONGEST]


def _short(value: object, store: Store) -> str:
    shown = _shown(value, store)
    text = json.dumps(shown, default=str) if isinstance(shown, (list, dict)) else str(shown)
    return text[:LONGEST]


def _shown(value: object, store: Store) -> object:
    """A value as a label shows it: what is not loaded, at any depth, as JSON."""
    if isinstance(value, expressions.Reference):
        return _shown_tree(value.tree, store)
    if isinstance(value, (list, tuple)):
        return [_shown(item, store) for item in value]
    if isinstance(value, dict):
        return {str(key): _shown(item, store) for key, item in value.items()}
    return value


def _shown_tree(tree: Tree, store: Store) -> object:
    """What a step gave is read if it is small, and else called by its type and digest."""
    artifact = artifact_of(tree)
    if artifact is None:
        return values.display(tree)
    if artifact.is_tree and artifact.size <= LONGEST:
        with suppress(ArtifactError, StoreError):
            return values.display(values.tree_of(artifact, store))
    return f"{artifact.type.rpartition(':')[2]} {artifact.digest.partition(':')[2][:7]}"
