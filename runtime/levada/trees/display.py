"""What people and other tools see of a tree: JSON without tags."""

from __future__ import annotations

from levada.trees.canonical import artifact_of, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from levada.artifact import Artifact
    from levada.json_types import Json
    from levada.store import Store
    from levada.trees.tree_types import Content, Tree

_FLOATS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def display(tree: Tree, store: Store | None = None) -> Json:
    """Give plain JSON: a tuple is a list, a dataclass an object, an Enum its value, NaN ``"NaN"``.

    A leaf is ``{"uri", "digest", "type", "size"}``. With a ``store``, a leaf that is itself a tree
    is shown as what it holds and other leaves get their full address.
    """
    if isinstance(tree, list):
        return [display(item, store) for item in tree]
    leaf = artifact_of(tree)
    if leaf is not None:
        return _leaf(leaf, store)
    if not isinstance(tree, dict):
        return tree
    if len(tree) == 1:
        ((tag, content),) = tree.items()
        if tag in _TAGS:
            return _TAGS[tag](content, store)
    return {key: display(item, store) for key, item in tree.items()}


def _leaf(leaf: Artifact, store: Store | None) -> Json:
    if store is not None and leaf.is_tree:
        return display(parse(store.read_blob(leaf.digest)), store)
    from levada.store import blob_name

    name = blob_name(leaf.digest)
    uri = name if store is None else store.blob_uri(leaf.digest)
    return {"uri": uri, "digest": leaf.digest, "type": leaf.type, "size": leaf.size}


def _same(content: Json, _: Store | None) -> Json:
    return content


def _inner(content: Content, store: Store | None) -> Json:
    return display(content, store)


def _float(content: Content, _: Store | None) -> Json:
    return _FLOATS[content]


def _str(content: Content, _: Store | None) -> Json:
    return "".join(content)


def _complex(content: Content, store: Store | None) -> Json:
    real, imaginary = (str(display(part, store)) for part in content)
    return f"{real}{'' if imaginary[:1] == '-' else '+'}{imaginary}j"


def _pairs(content: Content, store: Store | None) -> Json:
    """Show an object if its keys are told apart by their text, else a list of pairs."""
    pairs = [(display(key, store), display(value, store)) for key, value in content]
    names = {_name(key): value for key, value in pairs if not isinstance(key, (list, dict))}
    return names if len(names) == len(pairs) else [list(pair) for pair in pairs]


def _name(key: Json) -> str:
    """Give the text of a key, in JSON's words."""
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return str(key)


def _moment(content: Content, _: Store | None) -> Json:
    return content if isinstance(content, str) else content[0]


def _timedelta(content: Content, _: Store | None) -> Json:
    """Show seconds."""
    days, seconds, microseconds = content
    total: float = days * 86_400 + seconds + microseconds / 1e6
    return total


def _enum(content: Content, store: Store | None) -> Json:
    """Show the value; the name if the value has no plain form."""
    shown = display(content[2], store) if len(content) > 2 else None
    return content[1] if shown is None else shown


def _second(content: Content, store: Store | None) -> Json:
    return display(content[1], store)


def _first(content: Content, store: Store | None) -> Json:
    return display(content[0], store)


def _second_pairs(content: Content, store: Store | None) -> Json:
    return _pairs(content[1], store)


def _pydantic(content: Content, store: Store | None) -> Json:
    _, fields, rest = content
    return display({**fields, **rest.get("extra", {})}, store)


_TAGS: dict[str, Callable[[Content, Store | None], Json]] = {
    "$str": _str,
    "$int": _same,
    "$float": _float,
    "$complex": _complex,
    "$bytes": _same,
    "$bytearray": _same,
    "$tuple": _inner,
    "$set": _inner,
    "$frozenset": _inner,
    "$dict": _pairs,
    "$range": _inner,
    "$ordereddict": _pairs,
    "$counter": _pairs,
    "$defaultdict": _second_pairs,
    "$deque": _first,
    "$datetime": _moment,
    "$date": _same,
    "$time": _moment,
    "$timedelta": _timedelta,
    "$uuid": _same,
    "$decimal": _same,
    "$fraction": _same,
    "$enum": _enum,
    "$flag": _second,
    "$namedtuple": _second,
    "$dataclass": _second,
    "$pydantic": _pydantic,
    "$made": _second,
    "$path": _same,
    "$numpy": _second,
    "$pandas": _second,
}
