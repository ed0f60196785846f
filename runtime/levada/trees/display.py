"""What people and other tools see of a tree: JSON without tags."""

from __future__ import annotations

from levada.artifact import ArtifactError, CorruptArtifact, MaterializerError, brief
from levada.store import StoreError, blob_name
from levada.trees.canonical import artifact_of, items_of, parse
from levada.trees.references import References

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
    is shown as what it holds and other leaves get their full address. Raises CorruptArtifact,
    MaterializerError or StoreError.
    """
    references = None if store is None else References(tree, store, trees_only=True)
    try:
        return _shown(tree, references)
    except (ArtifactError, StoreError, MemoryError):
        raise
    except RecursionError:
        raise MaterializerError("a stored value is nested too deep to be shown here") from None
    except Exception as error:  # Whatever malformed content makes the code below raise.
        raise CorruptArtifact(f"a stored value is malformed: {error}") from error


def _shown(tree: Tree, references: References | None) -> Json:
    if isinstance(tree, list):
        return [_shown(item, references) for item in tree]
    leaf = artifact_of(tree)
    if leaf is not None:
        return _leaf(leaf, references)
    if not isinstance(tree, dict):
        return tree
    if len(tree) == 1:
        ((tag, content),) = tree.items()
        if tag in _TAGS:
            return _TAGS[tag](content, references)
    return {key: _shown(item, references) for key, item in tree.items()}


def _leaf(leaf: Artifact, references: References | None) -> Json:
    if references is not None and leaf.is_tree:
        references.load(leaf)
        return _shown(parse(references.store.read_blob(leaf.digest)), references)
    name = blob_name(leaf.digest)
    uri = name if references is None else references.store.blob_uri(leaf.digest)
    return {"uri": uri, "digest": leaf.digest, "type": leaf.type, "size": leaf.size}


def _text(content: Json, _: References | None = None) -> str:
    if not isinstance(content, str):
        raise CorruptArtifact(f"a text is wanted, not {brief(content)}")
    return content


def _items(content: Content, references: References | None) -> Json:
    return _shown(items_of(content), references)


def _float(content: Content, _: References | None) -> Json:
    return _FLOATS[content]


def _str(content: Content, _: References | None) -> Json:
    return "".join(content)


def _complex(content: Content, references: References | None) -> Json:
    real, imaginary = (str(_shown(part, references)) for part in content)
    return f"{real}{'' if imaginary[:1] == '-' else '+'}{imaginary}j"


def _pairs(content: Content, references: References | None) -> Json:
    """Show an object if its keys are told apart by their text, else a list of pairs."""
    pairs = [(_shown(key, references), _shown(value, references)) for key, value in content]
    names = {_name(key): value for key, value in pairs if not isinstance(key, (list, dict))}
    return names if len(names) == len(pairs) else [list(pair) for pair in pairs]


def _name(key: Json) -> str:
    """Give the text of a key, in JSON's words."""
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return str(key)


def _moment(content: Content, _: References | None) -> Json:
    return _text(content if isinstance(content, str) else content[0])


def _timedelta(content: Content, _: References | None) -> Json:
    """Show seconds."""
    days, seconds, microseconds = map(int.__index__, content)
    total: float = days * 86_400 + seconds + microseconds / 1e6
    return total


def _enum(content: Content, references: References | None) -> Json:
    """Show the value; the name if the value has no plain form."""
    shown = _shown(content[2], references) if len(content) > 2 else None
    return _text(content[1]) if shown is None else shown


def _second(content: Content, references: References | None) -> Json:
    return _shown(content[1], references)


def _first(content: Content, references: References | None) -> Json:
    return _shown(content[0], references)


def _second_pairs(content: Content, references: References | None) -> Json:
    return _pairs(content[1], references)


def _pydantic(content: Content, references: References | None) -> Json:
    _, fields, rest = content
    return _shown({**fields, **rest.get("extra", {})}, references)


_TAGS: dict[str, Callable[[Content, References | None], Json]] = {
    "$str": _str,
    "$int": _text,
    "$float": _float,
    "$complex": _complex,
    "$bytes": _text,
    "$bytearray": _text,
    "$tuple": _items,
    "$set": _items,
    "$frozenset": _items,
    "$dict": _pairs,
    "$range": _items,
    "$ordereddict": _pairs,
    "$counter": _pairs,
    "$defaultdict": _second_pairs,
    "$deque": _first,
    "$datetime": _moment,
    "$date": _text,
    "$time": _moment,
    "$timedelta": _timedelta,
    "$uuid": _text,
    "$decimal": _text,
    "$fraction": _text,
    "$enum": _enum,
    "$flag": _second,
    "$namedtuple": _second,
    "$dataclass": _second,
    "$pydantic": _pydantic,
    "$made": _second,
    "$path": _text,
    "$numpy": _second,
    "$pandas": _second,
}
