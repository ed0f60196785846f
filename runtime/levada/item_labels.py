"""What people call an item of a loop: ``fit[lr=0.1, depth=4]``, by the variables of the loops."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress

from levada import expressions, values
from levada.artifact import ArtifactError
from levada.redaction import redact_text
from levada.store import StoreError
from levada.trees.canonical import artifact_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from levada.expressions import Variable
    from levada.store import Store
    from levada.trees.tree_types import Tree

#: Characters of a label that values are cut to, and the fewest that are left of a value.
LONGEST, _SHORTEST = 60, 8
#: Characters that no label exceeds, however many variables there are. Airflow takes 250.
_LIMIT = 240
#: Characters of a number with a fraction that are shown as they are.
_DIGITS = 12


def label(
    variables: Mapping[str, Variable],
    store: Store | None,
    secrets: Collection[str] = (),
    index: Sequence[int] = (),
) -> str:
    """Return the variables of an iteration with their values: ``lr=0.1, depth=4``.

    It is one line of printable characters, and empty outside of loops. The values of ``secrets``
    are masked. Long values lose their middle: ``path=s3://data/20…/part-7.csv``. ``index`` is that
    of an iteration which looks like another one (`repeated`): ``lr=0.1 #2``. Without a ``store``
    no value is read from one: what a step gave is called by its type and digest.
    """
    if not variables:
        return ""
    names = _names(variables)
    texts = {names[key]: _short(each.value, store, secrets) for key, each in variables.items()}
    most = _share(texts)
    words = ", ".join(f"{name}={_cut(text, most)}" for name, text in texts.items())
    words = _cut(words, _LIMIT)
    return f"{words} #{'.'.join(map(str, index))}" if index else words


def repeated(iterations: Sequence[Mapping[str, Variable]]) -> list[bool]:
    """Return for each iteration of a loop whether another one has the same label."""
    if len(iterations) < 2:
        return [False] * len(iterations)
    labels = [label(variables, None) for variables in iterations]
    counts = Counter(labels)
    return [counts[each] > 1 for each in labels]


def named(node: str, label: str) -> str:
    """Return a node with the label of its item: ``fit[lr=0.1]``, and outside of loops ``fit``."""
    return f"{node}[{label}]" if label else node


def _names(variables: Mapping[str, Variable]) -> dict[str, str]:
    """Return what the source calls variables, and by their own names those that it calls alike."""
    names = {key: each.name or key for key, each in variables.items()}
    counts = Counter(names.values())
    return {key: name if counts[name] == 1 else key for key, name in names.items()}


def _share(texts: Mapping[str, str]) -> int:
    """Return how many characters each value may have, so that all of the label fits."""
    left = LONGEST - sum(len(name) + 3 for name in texts) + 2
    for count, text in zip(range(len(texts), 0, -1), sorted(texts.values(), key=len), strict=True):
        share = max(_SHORTEST, left // count)
        if len(text) > share:  # and so are all that follow
            return share
        left -= len(text)
    return LONGEST


def _cut(text: str, most: int) -> str:
    """Leave out the middle of a text: the names of files and partitions differ at their ends."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"


def _short(value: object, store: Store | None, secrets: Collection[str]) -> str:
    shown = _shown(value, store)
    if isinstance(shown, (list, dict)):
        text = json.dumps(shown, default=str, ensure_ascii=False)
    elif isinstance(shown, float) and len(str(shown)) > _DIGITS:
        text = f"{shown:.6g}"  # 0.1 * 3 is 0.3 to people
    else:
        text = str(shown)
    if secrets:
        text = redact_text(text, secrets)
    return text if text.isprintable() else repr(text)[1:-1]


def _shown(value: object, store: Store | None) -> object:
    """A value as a label shows it: what is not loaded, at any depth, as JSON."""
    if isinstance(value, expressions.Reference):
        return _shown_tree(value.tree, store)
    if isinstance(value, (list, tuple)):
        return [_shown(item, store) for item in value]
    if isinstance(value, dict):
        return {str(key): _shown(item, store) for key, item in value.items()}
    return value


def _shown_tree(tree: Tree, store: Store | None) -> object:
    """What a step gave is read if it is small, and else called by its type and digest."""
    artifact = artifact_of(tree)
    if artifact is None:
        return values.display(tree)
    if store is not None and artifact.is_tree and artifact.size <= LONGEST:
        with suppress(ArtifactError, StoreError):
            return values.display(values.tree_of(artifact, store))
    return f"{artifact.type.rpartition(':')[2]} {artifact.digest.partition(':')[2][:7]}"
