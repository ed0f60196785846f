"""Previews of values that are kept as JSON: texts, nested data, plots described by JSON."""

from __future__ import annotations

import json

from levada.previews import LONGEST_TEXT
from levada.previews.cells import shorten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from levada.previews import Preview
    from levada.trees.tree_types import Tree

#: Entries of a list and of an object, and containers inside each other.
_MOST_ITEMS, _MOST_FIELDS, _DEEPEST = 50, 100, 8
#: Parts of a value in all, so that the preview stays small whatever its shape.
_MOST_PARTS = 2_000
#: Bytes of a plot's description, which cannot be cut.
_LARGEST_PLOT = 60_000


def show(tree: Tree) -> Preview | None:
    """Show the tree of a value; None where nothing can be shown of it."""
    if isinstance(tree, str):
        return text(tree, len(tree.encode("utf-8", "surrogatepass")))
    plot = _plot(tree)
    if plot is not None:
        return plot
    from levada.trees.display import display

    cut = _Cut()
    shown = display(cut.of(tree, 0))
    return {"kind": "json", "value": shown, "truncated": cut.truncated}


def text(content: str, size: int) -> Preview:
    """Show the start of a text of so many bytes; it is cut once secrets are masked in it."""
    is_cut = len(content) > LONGEST_TEXT
    return {"kind": "text", "text": content[: 2 * LONGEST_TEXT], "size": size, "truncated": is_cut}


def with_parts(preview: Preview, leaves: Mapping[str, Preview], limit: int) -> Preview:
    """Add the previews of leaves to that of the value that holds them, as far as they fit.

    They are found by the digest that the value's own preview shows. ``limit`` is in bytes.
    """
    parts: dict[str, Preview] = {}
    room = limit - len(json.dumps(preview, ensure_ascii=False).encode("utf-8", "replace"))
    for digest, leaf in leaves.items():
        size = len(json.dumps({digest: leaf}, ensure_ascii=False).encode("utf-8", "replace"))
        if size <= room:
            parts[digest] = leaf
            room -= size
    return {**preview, "parts": parts} if parts else preview


def _plot(tree: Tree) -> Preview | None:
    """Take a specification of Vega, Vega-Lite or Plotly whole, if it is small enough."""
    tree = _with_text_keys(tree)
    if not isinstance(tree, dict):
        return None
    schema = tree.get("$schema")
    kind = ""
    if isinstance(schema, str) and "vega.github.io/schema/vega" in schema:
        kind = "vega"
    elif isinstance(tree.get("data"), list) and isinstance(tree.get("layout"), dict):
        kind = "plotly"
    if not kind or _has_tags(tree):
        return None
    size = len(json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return {"kind": kind, "spec": tree} if size <= _LARGEST_PLOT else None


def _with_text_keys(tree: Tree) -> Any:
    """Give the object of a dict whose keys are texts, of which one starts with ``$``."""
    if not isinstance(tree, dict) or list(tree) != ["$dict"]:
        return tree
    pairs: Any = tree["$dict"]
    return dict(pairs) if all(isinstance(key, str) for key, _ in pairs) else tree


def _has_tags(tree: Any) -> bool:
    """Whether anything in it is no plain JSON, so that other tools would not understand it."""
    pending = [tree]
    while pending:
        each = pending.pop()
        if isinstance(each, list):
            pending += each
        elif isinstance(each, dict):
            if len(each) == 1 and next(iter(each)).startswith("$"):
                return True
            pending += each.values()
    return False


class _Cut:
    """Cuts a tree to what a preview can have, without making another value of a tag's content."""

    def __init__(self) -> None:
        self.truncated = False
        self._left = _MOST_PARTS

    def of(self, tree: Any, depth: int) -> Any:
        self._left -= 1
        if isinstance(tree, str):
            self.truncated |= len(tree) > LONGEST_TEXT
            return shorten(tree, LONGEST_TEXT)
        if isinstance(tree, list):
            return self._list(tree, depth)
        if not isinstance(tree, dict):
            return tree
        if len(tree) == 1 and next(iter(tree)).startswith("$"):
            return self._tag(tree, depth)
        if depth >= _DEEPEST and tree:
            self.truncated = True
            return "{…}"
        return self._fields(tree, depth)

    def _list(self, items: list[Any], depth: int) -> Any:
        if depth >= _DEEPEST and items:
            self.truncated = True
            return "[…]"
        taken = items[: max(min(_MOST_ITEMS, self._left), 0)]
        self.truncated |= len(taken) < len(items)
        return [self.of(item, depth + 1) for item in taken]

    def _fields(self, fields: dict[str, Any], depth: int) -> dict[str, Any]:
        names = list(fields)[: max(min(_MOST_FIELDS, self._left), 0)]
        self.truncated |= len(names) < len(fields)
        return {name: self.of(fields[name], depth + 1) for name in names}

    def _tag(self, tree: dict[str, Any], depth: int) -> Any:
        ((tag, content),) = tree.items()
        if depth >= _DEEPEST:
            self.truncated = True
            return "…"
        if tag in _CONTAINERS:
            return {tag: self._list(content, depth)}
        if tag in _PAIRS:
            return {tag: self._pairs(content, depth)}
        if tag in _CLASSES:
            name, fields, *more = content
            return {tag: [name, self._fields(fields, depth), *more]}
        if tag in _TEXTS and len(str(content)) > LONGEST_TEXT:
            self.truncated = True
            return f"{len(content)} characters of {tag[1:]}"
        return tree

    def _pairs(self, pairs: list[Any], depth: int) -> list[Any]:
        taken = pairs[: max(min(_MOST_ITEMS, self._left), 0)]
        self.truncated |= len(taken) < len(pairs)
        return [[self.of(part, depth + 2) for part in pair] for pair in taken]


#: Tags whose content is a list of trees, a list of pairs of them, or a class with fields.
_CONTAINERS = ("$tuple", "$set", "$frozenset")
_PAIRS = ("$dict", "$ordereddict", "$counter")
_CLASSES = ("$namedtuple", "$dataclass", "$pydantic")
_TEXTS = ("$bytes", "$bytearray", "$int", "$str", "$decimal", "$fraction", "$deque", "$defaultdict")
