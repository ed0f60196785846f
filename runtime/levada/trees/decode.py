"""From a tree to its value. Nothing that a tree says is executed.

A dataclass, a pydantic model or a named tuple is restored field by field: no ``__init__``, no
``__post_init__``, no validator runs, as none runs when plain Python hands the value on.
"""

from __future__ import annotations

import re
from binascii import a2b_base64

from levada.artifact import (
    Artifact,
    ArtifactError,
    CorruptArtifact,
    MaterializerError,
    brief,
)
from levada.store import StoreError
from levada.trees.canonical import ARTIFACT, items_of
from levada.trees.classes import find_class
from levada.trees.encode import FACTORIES, dataclass_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, time, tzinfo
    from enum import Enum
    from typing import Any

    from pydantic import BaseModel

    from levada.store import Store
    from levada.trees.references import References
    from levada.trees.tree_types import Content

_ATOMS = frozenset((type(None), bool, int, float, str))
#: Keys of a set or a dict that may have the same hash.
_MOST_OF_ONE_HASH = 256
# What says itself what is wrong, or is not about the tree.
_CLEAR = (ArtifactError, StoreError, RecursionError, MemoryError)
# As `str` writes it. Fraction would also compute "1e1000000000", digit by digit.
_FRACTION = re.compile(r"-?[0-9]+(/[0-9]+)?")


class Decoder:
    """Decodes one tree; leaves are loaded from ``store``, as far as ``references`` bounds them."""

    __slots__ = ("_error_of_leaf", "allow_pickle", "is_in_leaf", "references", "store")

    def __init__(
        self,
        store: Store | None,
        *,
        allow_pickle: bool = False,
        references: References | None = None,
        is_in_leaf: bool = True,
    ) -> None:
        self.store = store
        self.allow_pickle = allow_pickle
        self.references = references
        self._error_of_leaf: Exception | None = None
        #: Whether the tree is from a blob, which may not name classes to call. Only who decodes a
        #: run's parameters says that it is not.
        self.is_in_leaf = is_in_leaf

    def decode(self, tree: Content) -> Any:
        """Give the value. Raises CorruptArtifact, MaterializerError or StoreError."""
        kind = type(tree)
        if kind is list:
            if _ATOMS.issuperset(map(type, tree)):
                return tree.copy()
            return [self.decode(item) for item in tree]
        if kind is dict:
            for key in tree:
                if key[:1] == "$":
                    return self._tagged(tree)
            return {key: self.decode(item) for key, item in tree.items()}
        if kind in _ATOMS:
            return tree
        if isinstance(tree, Artifact):
            return self.leaf(tree)
        raise CorruptArtifact(f"a tree cannot hold a {kind.__name__}")

    def _tagged(self, tree: dict[str, Content]) -> object:
        if len(tree) != 1:
            raise CorruptArtifact(f"an object with a tag has other keys: {brief(list(tree))}")
        ((tag, content),) = tree.items()
        if tag == ARTIFACT:
            return self.leaf(Artifact.from_json(content))
        decode = _TAGS.get(tag)
        if decode is None:
            raise CorruptArtifact(f"{brief(tag)} is no tag that this version of Levada knows")
        try:
            return decode(self, content)
        except _CLEAR:
            raise
        except Exception as error:  # Whatever malformed content makes a constructor raise.
            if error is self._error_of_leaf:
                raise
            raise CorruptArtifact(f"{tag} with {brief(content)}: {error}") from error

    def leaf(self, artifact: Artifact) -> object:
        """Load a leaf, verified."""
        from levada.materializers import load_leaf

        if self.store is None:
            raise MaterializerError(f"{artifact.digest} needs the store that it is in")
        if self.references is not None:
            self.references.load(artifact)
        was_in_leaf, self.is_in_leaf = self.is_in_leaf, True
        try:
            return load_leaf(artifact, self.store, self)
        except Exception as error:
            self._error_of_leaf = error  # What a user's materializer raises stays what it is.
            raise
        finally:
            self.is_in_leaf = was_in_leaf


def _pairs(decoder: Decoder, content: Content) -> list[tuple[object, object]]:
    pairs = [(key, value) for key, value in map(decoder.decode, content)]
    _check_hashes([key for key, _ in pairs])
    return pairs


def _check_hashes(keys: list[object]) -> None:
    """Bound the time that a set or a dict of these keys takes.

    Each key is compared with all others of its hash. The hash of a number is its remainder by
    2**61 - 1, so whoever writes to the store could choose numbers that all have one hash.
    """
    if len(keys) <= _MOST_OF_ONE_HASH:
        return
    counts: dict[int, int] = {}
    for key in keys:
        number = hash(key)
        counts[number] = counts.get(number, 0) + 1
    most = max(counts.values())
    if most > _MOST_OF_ONE_HASH:
        raise CorruptArtifact(
            f"{most} of its keys have the same hash, so loading it would take too long; at most"
            f" {_MOST_OF_ONE_HASH} may. Store them as a list"
        )


def _str(_: Decoder, content: Content) -> str:
    parts: list[Any] = items_of(content)
    return "".join(parts)


def _int(_: Decoder, content: Content) -> int:
    return int(content, 16)


def _float(_: Decoder, content: Content) -> float:
    if content not in ("nan", "inf", "-inf"):
        raise CorruptArtifact(f"$float cannot be {brief(content)}")
    return float(content)


def _complex(decoder: Decoder, content: Content) -> complex:
    real, imaginary = map(decoder.decode, content)
    return complex(real, imaginary)


def _bytes(_: Decoder, content: Content) -> bytes:
    return a2b_base64(content, strict_mode=True) if content != "" else b""


def _bytearray(decoder: Decoder, content: Content) -> bytearray:
    return bytearray(_bytes(decoder, content))


def _list_of(decoder: Decoder, content: Content) -> list[object]:
    return [decoder.decode(item) for item in items_of(content)]


def _tuple(decoder: Decoder, content: Content) -> tuple[object, ...]:
    return tuple(_list_of(decoder, content))


def _items_of_set(decoder: Decoder, content: Content) -> list[object]:
    items = _list_of(decoder, content)
    _check_hashes(items)
    return items


def _set(decoder: Decoder, content: Content) -> set[object]:
    return set(_items_of_set(decoder, content))


def _frozenset(decoder: Decoder, content: Content) -> frozenset[object]:
    return frozenset(_items_of_set(decoder, content))


def _dict(decoder: Decoder, content: Content) -> dict[object, object]:
    return dict(_pairs(decoder, content))


def _range(decoder: Decoder, content: Content) -> range:
    start, stop, step = map(decoder.decode, content)
    return range(start, stop, step)


def _ordered_dict(decoder: Decoder, content: Content) -> object:
    from collections import OrderedDict

    return OrderedDict(_pairs(decoder, content))


def _counter(decoder: Decoder, content: Content) -> object:
    from collections import Counter

    return Counter(dict(_pairs(decoder, content)))


def _default_dict(decoder: Decoder, content: Content) -> object:
    from collections import defaultdict

    factory, pairs = content
    return defaultdict(None if factory is None else FACTORIES[factory], _pairs(decoder, pairs))


def _deque(decoder: Decoder, content: Content) -> object:
    from collections import deque

    items, maximum = content
    return deque(_list_of(decoder, items), maximum)


def _datetime(_: Decoder, content: Content) -> object:
    from datetime import datetime

    return _moment(datetime.fromisoformat, content)


def _time(_: Decoder, content: Content) -> object:
    from datetime import time

    return _moment(time.fromisoformat, content)


def _moment(read: Callable[[str], datetime | time], content: Content) -> object:
    if type(content) is str:
        return read(content)
    naive, zone, fold = content
    return read(naive).replace(tzinfo=_zone(zone), fold=fold)


def _zone(zone: Content) -> tzinfo | None:
    if zone is None:
        return None
    if type(zone) is str:
        from zoneinfo import ZoneInfo

        return ZoneInfo(zone)
    from datetime import timedelta, timezone

    name, seconds, microseconds = zone
    return timezone(timedelta(seconds=seconds, microseconds=microseconds), name)


def _date(_: Decoder, content: Content) -> object:
    from datetime import date

    return date.fromisoformat(content)


def _timedelta(_: Decoder, content: Content) -> object:
    from datetime import timedelta

    days, seconds, microseconds = content
    return timedelta(days, seconds, microseconds)


def _uuid(_: Decoder, content: Content) -> object:
    from uuid import UUID

    return UUID(content)


def _decimal(_: Decoder, content: Content) -> object:
    from decimal import Decimal

    if type(content) is not str:
        raise CorruptArtifact(f"$decimal cannot be {brief(content)}")
    return Decimal(content)


def _fraction(_: Decoder, content: Content) -> object:
    from fractions import Fraction

    if _FRACTION.fullmatch(content) is None:
        raise CorruptArtifact(f"$fraction cannot be {brief(content)}")
    return Fraction(content)


def _path(_: Decoder, content: Content) -> object:
    from pathlib import Path

    return Path(content)


def _class(name: object, kind: str, is_one: Callable[[type], bool]) -> Any:
    cls = find_class(name)
    if not is_one(cls):
        raise MaterializerError(
            f"{name} is no {kind}, but a stored value says so; run the step that made it again"
        )
    return cls


def _enum_class(name: object) -> type[Enum]:
    from enum import Enum

    found: type[Enum] = _class(name, "Enum", lambda cls: issubclass(cls, Enum))
    return found


def _enum(_: Decoder, content: Content) -> object:
    cls, member = _enum_class(content[0]), content[1]
    if member not in cls.__members__:
        raise MaterializerError(
            f"{content[0]} has no member {member!r} any more, but a stored value is one; run the"
            " step that made it again"
        )
    return cls.__members__[member]


def _flag(decoder: Decoder, content: Content) -> object:
    name, value = content
    return _enum_class(name)(decoder.decode(value))


def _fields(decoder: Decoder, name: str, fields: Content, wanted: list[str]) -> dict[str, object]:
    if set(fields) != set(wanted):
        raise MaterializerError(
            f"{name} has the fields {', '.join(wanted) or '(none)'} now, but a stored value has"
            f" {', '.join(fields) or '(none)'}; run the step that made it again"
        )
    return {field: decoder.decode(value) for field, value in fields.items()}


def _namedtuple(decoder: Decoder, content: Content) -> object:
    name, fields = content
    cls = _class(name, "NamedTuple", lambda cls: issubclass(cls, tuple) and hasattr(cls, "_fields"))
    values = _fields(decoder, name, fields, list(cls._fields))
    return tuple.__new__(cls, [values[field] for field in cls._fields])


def _dataclass(decoder: Decoder, content: Content) -> object:
    name, fields = content
    cls = _class(name, "dataclass", lambda cls: hasattr(cls, "__dataclass_fields__"))
    values = _fields(decoder, name, fields, dataclass_fields(cls))
    instance = object.__new__(cls)
    for field, value in values.items():
        object.__setattr__(instance, field, value)
    return instance


def _pydantic(decoder: Decoder, content: Content) -> object:
    from pydantic import BaseModel

    name, fields, rest = content
    cls = _class(name, "pydantic model", lambda cls: issubclass(cls, BaseModel))
    missing = set(cls.model_fields) - set(fields)
    if missing:
        raise MaterializerError(
            f"{name} has fields now that a stored value has not: {', '.join(sorted(missing))}; run"
            " the step that made it again"
        )
    return _restore_model(decoder, cls, fields, rest)


def _restore_model(
    decoder: Decoder, cls: type[BaseModel], fields: Content, rest: Content
) -> object:
    instance = cls.__new__(cls)
    private = {name: part.get_default() for name, part in cls.__private_attributes__.items()}
    stored = decoder.decode(rest.get("private", {}))
    state = {
        "__dict__": {field: decoder.decode(value) for field, value in fields.items()},
        "__pydantic_fields_set__": decoder.decode(rest["set"]) if "set" in rest else set(),
        "__pydantic_extra__": decoder.decode(rest["extra"]) if "extra" in rest else None,
        "__pydantic_private__": {**private, **stored} if private else None,
    }
    if cls.model_config.get("extra") == "allow" and state["__pydantic_extra__"] is None:
        state["__pydantic_extra__"] = {}
    for slot, value in state.items():
        object.__setattr__(instance, slot, value)
    return instance


def _made(decoder: Decoder, content: Content) -> object:
    """Make an instance of a class that runs code of its own (validators): by calling it.

    The class is called without the fields that were left out: it has their defaults itself. Only a
    run's parameters are such trees; what steps return never is, so none is taken from a blob.
    """
    if decoder.is_in_leaf:
        raise CorruptArtifact("$made can only be a part of a run's parameters")
    name, fields, *left_out = content
    absent = left_out[0] if left_out else []
    cls = _class(name, "class of fields", _has_fields)
    given = {field: decoder.decode(fields[field]) for field in fields if field not in absent}
    try:
        return cls(**given)
    except Exception as error:
        raise MaterializerError(f"{name.rpartition(':')[2]} refuses its fields: {error}") from error


def _has_fields(cls: type) -> bool:
    """Whether a class does no more than its fields and their validators ask for."""
    made_by = ("__dataclass_fields__", "__attrs_attrs__", "__pydantic_validator__")
    is_tuple = issubclass(cls, tuple) and hasattr(cls, "_fields")
    return is_tuple or any(hasattr(cls, name) for name in made_by)


def _numpy(decoder: Decoder, content: Content) -> object:
    from levada.materializers.numpy_arrays import decode_scalar

    return decode_scalar(decoder, content)


def _pandas(decoder: Decoder, content: Content) -> object:
    from levada.materializers.pandas_frames import decode_scalar

    return decode_scalar(decoder, content)


_TAGS: dict[str, Callable[[Decoder, object], object]] = {
    "$str": _str,
    "$int": _int,
    "$float": _float,
    "$complex": _complex,
    "$bytes": _bytes,
    "$bytearray": _bytearray,
    "$tuple": _tuple,
    "$set": _set,
    "$frozenset": _frozenset,
    "$dict": _dict,
    "$range": _range,
    "$ordereddict": _ordered_dict,
    "$counter": _counter,
    "$defaultdict": _default_dict,
    "$deque": _deque,
    "$datetime": _datetime,
    "$date": _date,
    "$time": _time,
    "$timedelta": _timedelta,
    "$uuid": _uuid,
    "$decimal": _decimal,
    "$fraction": _fraction,
    "$enum": _enum,
    "$flag": _flag,
    "$namedtuple": _namedtuple,
    "$dataclass": _dataclass,
    "$pydantic": _pydantic,
    "$made": _made,
    "$path": _path,
    "$numpy": _numpy,
    "$pandas": _pandas,
}
