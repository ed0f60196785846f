"""From a value to its tree. A value is kept exactly or refused, never changed in silence.

The exact type decides: a subclass of dict, str or int is not a dict, str or int. What two places of
a value share is stored twice, so identity is not kept, only equality; a value that contains itself
is refused.
"""

from __future__ import annotations

import sys
from binascii import b2a_base64
from math import isfinite

from levada.artifact import Artifact, MaterializerError
from levada.trees.canonical import canonical, leaf_of
from levada.trees.classes import builtin_base, importable_name, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import Counter, OrderedDict, defaultdict, deque
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date, datetime, time, timedelta
    from enum import Enum
    from pathlib import Path
    from typing import Any, TypeGuard

    from levada.materializers import Materializer
    from levada.previews import Previews
    from levada.store import Store
    from levada.trees.tree_types import Tree

MAX_DEPTH = 200  # containers inside each other
MAX_INLINE_BYTES = 65_536  # larger ones are a blob of their own
# Below the lowest limit that Python lets anybody set for the digits of an int (640).
_MAX_DECIMAL_BITS = 2_048
# Containers and errors keep a state that fields do not show.
_STATEFUL = (dict, list, set, frozenset, tuple, str, bytes, bytearray, int, float, BaseException)


class Encoder:
    """Encodes one value; leaves go to ``store``. Without a store, leaves are refused."""

    __slots__ = ("_open", "allow_pickle", "paths_by_name", "pickled", "previews", "store")

    def __init__(
        self,
        store: Store | None,
        *,
        allow_pickle: bool = False,
        previews: Previews | None = None,
    ) -> None:
        self.store = store
        self.previews = previews
        self.allow_pickle = allow_pickle
        self.pickled = False  # whether any leaf is a pickle, or has one inside
        self.paths_by_name = False  # whether a Path is a name only, and not what is there
        self._open: list[int] = []

    def encode(self, value: object) -> Tree:
        """Give the tree of a value. Raises MaterializerError with the place and a way out."""
        exact = _EXACT.get(type(value))
        return self._object(value) if exact is None else exact(self, value)

    def items(self, values: Iterable[object], container: object) -> list[Tree]:
        """Encode what a container holds, in its order."""
        trees: list[Tree] = []
        self._enter(container)
        try:
            for value in values:
                trees.append(self.encode(value))  # noqa: PERF401
        except MaterializerError as error:
            raise error.inside(f"[{len(trees)}]") from error.__cause__
        self._open.pop()
        return trees

    def fields(
        self, values: dict[str, object], container: object, form: str = ".{}"
    ) -> dict[str, Tree]:
        """Encode named values."""
        trees: dict[str, Tree] = {}
        name = ""
        self._enter(container)
        try:
            for name, value in values.items():
                trees[name] = self.encode(value)
        except MaterializerError as error:
            raise error.inside(form.format(name)) from error.__cause__
        self._open.pop()
        return trees

    def pairs(self, value: Mapping[Any, object]) -> list[Tree]:
        """Encode a mapping as pairs, in its order."""
        return self.items(map(list, value.items()), value)

    def _enter(self, container: object) -> None:
        if id(container) in self._open:
            raise MaterializerError(
                f"a {type(container).__name__} that contains itself cannot be stored; store what"
                " it refers to by a name or a number instead"
            )
        if len(self._open) >= MAX_DEPTH:
            raise MaterializerError(
                f"a value nested more than {MAX_DEPTH} deep cannot be stored; make it flatter"
            )
        self._open.append(id(container))

    def _object(self, value: object) -> Tree:
        if isinstance(value, Artifact):
            self.pickled |= value.is_pickled
            return leaf_of(value.as_json())
        if (user := self._registered(value)) is not None:
            return user
        named = _BY_NAME.get(type_name(type(value)))
        if named is not None and named[0](type(value)):
            return self._or_pickle(named[1], value)
        if _is_path(value):
            return _path(self, value)
        for is_one, encode in _BY_BASE:
            if is_one(value):
                return self._or_pickle(encode, value)
        return self._or_pickle(_leaf, value)

    def _registered(self, value: object) -> Tree | None:
        registry = sys.modules.get("levada.materializers")
        materializer = registry.registered_for(value) if registry is not None else None
        return None if materializer is None else self.leaf(materializer, value)

    def _or_pickle(self, encode: Callable[[Encoder, object], Tree], value: object) -> Tree:
        depth = len(self._open)
        try:
            return encode(self, value)
        except MaterializerError:
            if not self.allow_pickle:
                raise
        del self._open[depth:]
        from levada.materializers.pickles import MATERIALIZER

        return self.leaf(MATERIALIZER, value)

    def leaf(self, materializer: Materializer, value: object) -> Tree:
        """Store a value as a blob of its own."""
        from levada.materializers import save_leaf

        if self.store is None:
            raise MaterializerError(
                f"a {type_name(type(value))} needs a store: it has no form as plain text"
            )
        artifact = save_leaf(materializer, value, self.store, self.previews)
        self.pickled |= artifact.is_pickled
        return leaf_of(artifact.as_json())


def _plain(_: Encoder, value: Tree) -> Tree:
    return value


def _int(_: Encoder, value: int) -> Tree:
    return value if value.bit_length() <= _MAX_DECIMAL_BITS else {"$int": hex(value)}


def _float(_: Encoder, value: float) -> Tree:
    return value if isfinite(value) else {"$float": repr(value)}


def _str(_: Encoder, value: str) -> Tree:
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return _surrogates(value)
    return value


def _surrogates(value: str) -> Tree:
    """Split between two lone surrogates that JSON would read as one character."""
    parts = [""]
    for character in value:
        if (
            parts[-1][-1:] >= "\ud800"
            and parts[-1][-1:] <= "\udbff"
            and "\udc00" <= character <= "\udfff"
        ):
            parts.append("")
        parts[-1] += character
    return {"$str": parts} if len(parts) > 1 else value


def _bytes(encoder: Encoder, value: bytes | bytearray) -> Tree:
    if len(value) > MAX_INLINE_BYTES and encoder.store is not None:
        from levada.materializers.raw_bytes import MATERIALIZER

        return encoder.leaf(MATERIALIZER, value)
    return {f"${type(value).__name__}": base64(value)}


def base64(value: bytes | bytearray | memoryview) -> str:
    """Give the standard base64 text."""
    return b2a_base64(value, newline=False).decode()


def _list(encoder: Encoder, value: list[Any]) -> Tree:
    if _is_plain(value):
        return value.copy()
    return encoder.items(value, value)


def _is_plain(value: list[Any]) -> bool:
    """Whether a long list is JSON as it stands; what is long is mostly of one kind."""
    kinds = set(map(type, value))
    if kinds == {float}:
        return all(map(isfinite, value))
    if kinds == {int}:
        limit = 1 << _MAX_DECIMAL_BITS
        return bool(-limit < min(value) and max(value) < limit)
    return kinds == {str} and all(map(str.isascii, value))


def _tuple(encoder: Encoder, value: tuple[object, ...]) -> Tree:
    return {"$tuple": encoder.items(value, value)}


def _dict(encoder: Encoder, value: dict[Any, Any]) -> Tree:
    if _is_state_dict(value):
        return _leaf_of_torch(encoder, value)
    for key in value:
        if (
            type(key) is not str
            or key[:1] == "$"
            or (not key.isascii() and _str(encoder, key) is not key)
        ):
            return {"$dict": encoder.pairs(value)}
    return encoder.fields(value, value, "[{!r}]")


def _set(encoder: Encoder, value: set[object] | frozenset[object]) -> Tree:
    return {f"${type(value).__name__}": sorted(encoder.items(value, value), key=canonical)}


def _complex(encoder: Encoder, value: complex) -> Tree:
    return {"$complex": [_float(encoder, value.real), _float(encoder, value.imag)]}


def _range(encoder: Encoder, value: range) -> Tree:
    return {"$range": [_int(encoder, part) for part in (value.start, value.stop, value.step)]}


_EXACT: dict[type, Callable[[Encoder, Any], Tree]] = {
    type(None): _plain,
    bool: _plain,
    int: _int,
    float: _float,
    str: _str,
    bytes: _bytes,
    bytearray: _bytes,
    list: _list,
    tuple: _tuple,
    dict: _dict,
    set: _set,
    frozenset: _set,
    complex: _complex,
    range: _range,
}


def _is_state_dict(value: Mapping[Any, object]) -> bool:
    """Whether a mapping is a torch state dict, which keeps what its tensors share."""
    torch = sys.modules.get("torch")
    if torch is None or not value or not hasattr(torch, "Tensor"):
        return False
    return all(type(key) is str and isinstance(item, torch.Tensor) for key, item in value.items())


def _leaf_of_torch(encoder: Encoder, value: object) -> Tree:
    from levada.materializers.torch_tensors import STATE_DICT

    return encoder.leaf(STATE_DICT, value)


def _ordered_dict(encoder: Encoder, value: OrderedDict[object, object]) -> Tree:
    if _is_state_dict(value):
        return _leaf_of_torch(encoder, value)
    _refuse_attributes(value)
    return {"$ordereddict": encoder.pairs(value)}


def _counter(encoder: Encoder, value: Counter[object]) -> Tree:
    _refuse_attributes(value)
    return {"$counter": encoder.pairs(value)}


FACTORIES = {kind.__name__: kind for kind in (bool, int, float, str, bytes, list, tuple, dict, set)}


def _default_dict(encoder: Encoder, value: defaultdict[object, object]) -> Tree:
    factory = value.default_factory
    if factory is not None and factory not in FACTORIES.values():
        raise MaterializerError(
            "a defaultdict keeps its default only if that is a builtin such as list or int;"
            " return dict(…) of it"
        )
    return {"$defaultdict": [None if factory is None else factory.__name__, encoder.pairs(value)]}


def _deque(encoder: Encoder, value: deque[object]) -> Tree:
    return {"$deque": [encoder.items(value, value), value.maxlen]}


def _datetime(_: Encoder, value: datetime) -> Tree:
    return {"$datetime": _moment(value)}


def _time(_: Encoder, value: time) -> Tree:
    return {"$time": _moment(value)}


def _moment(value: datetime | time) -> Tree:
    """Give the ISO form, or ``[naive ISO form, zone, fold]`` where that says less than the value.

    A zone is null, an IANA name, or ``[name, seconds, microseconds]`` of a fixed offset.
    """
    from datetime import timezone

    zone: Any = value.tzinfo
    if zone is None:
        text: str = value.isoformat()
        return [text, None, value.fold] if value.fold else text
    naive = value.replace(tzinfo=None).isoformat()
    if type(zone) is timezone:
        offset = zone.utcoffset(None)
        if zone.tzname(None) == timezone(offset).tzname(None) and not value.fold:
            aware: str = value.isoformat()
            return aware
        seconds = offset.days * 86_400 + offset.seconds
        return [naive, [zone.tzname(None), seconds, offset.microseconds], value.fold]
    zoneinfo = sys.modules.get("zoneinfo")
    if zoneinfo is not None and type(zone) is zoneinfo.ZoneInfo and zone.key:
        return [naive, zone.key, value.fold]
    raise MaterializerError(
        f"a time zone of type {type_name(type(zone))} cannot be kept; use zoneinfo.ZoneInfo or"
        " datetime.timezone"
    )


def _date(_: Encoder, value: date) -> Tree:
    return {"$date": value.isoformat()}


def _timedelta(_: Encoder, value: timedelta) -> Tree:
    return {"$timedelta": [value.days, value.seconds, value.microseconds]}


def _text(tag: str) -> Callable[[Encoder, object], Tree]:
    return lambda _, value: {tag: str(value)}


def _same(module: str, name: str) -> Callable[[type], bool]:
    """Make sure that a class is the one that it is called like."""
    return lambda cls: getattr(sys.modules.get(module), name, None) is cls


_BY_NAME: dict[str, tuple[Callable[[type], bool], Callable[[Encoder, Any], Tree]]] = {
    f"{module}:{name}": (_same(module, name), encode)
    for module, name, encode in (
        ("collections", "OrderedDict", _ordered_dict),
        ("collections", "Counter", _counter),
        ("collections", "defaultdict", _default_dict),
        ("collections", "deque", _deque),
        ("datetime", "datetime", _datetime),
        ("datetime", "date", _date),
        ("datetime", "time", _time),
        ("datetime", "timedelta", _timedelta),
        ("uuid", "UUID", _text("$uuid")),
        ("decimal", "Decimal", _text("$decimal")),
        ("fractions", "Fraction", _text("$fraction")),
    )
}


def _refuse_attributes(value: object) -> None:
    if getattr(value, "__dict__", None):
        names = ", ".join(sorted(map(str, value.__dict__)))
        raise MaterializerError(
            f"this {type(value).__name__} has attributes beside its items ({names}) that would be"
            " lost; return them as values of their own"
        )


def _is_enum(value: object) -> bool:
    return isinstance(value, sys.modules["enum"].Enum)


def _enum(encoder: Encoder, value: Enum) -> Tree:
    """Encode a member by name, with its value for those who read without the class."""
    name = importable_name(type(value))
    plain = Encoder(None)
    try:
        shown = plain.encode(value.value)
    except MaterializerError:
        shown = None
    if type(value).__members__.get(value.name) is value:
        return {"$enum": [name, value.name, shown]}
    return {"$flag": [name, encoder.encode(value.value)]}


def _is_namedtuple(value: object) -> bool:
    return isinstance(value, tuple) and isinstance(getattr(type(value), "_fields", None), tuple)


def _namedtuple(encoder: Encoder, value: Any) -> Tree:
    name = importable_name(type(value))
    _refuse_attributes(value)
    fields = dict(zip(type(value)._fields, tuple.__iter__(value), strict=True))
    return {"$namedtuple": [name, encoder.fields(fields, value)]}


def _is_dataclass(value: object) -> bool:
    return "__dataclass_fields__" in dir(type(value)) and not isinstance(value, type)


def dataclass_fields(cls: Any) -> list[str]:
    """Give the names of a dataclass's fields: no ``ClassVar``, no ``InitVar``."""
    return [
        name
        for name, field in cls.__dataclass_fields__.items()
        if field._field_type.name == "_FIELD"
    ]


def _dataclass(encoder: Encoder, value: object) -> Tree:
    cls = type(value)
    name = importable_name(cls)
    fields = dataclass_fields(cls)
    _refuse_hidden_state(value, fields)
    try:
        state = {field: getattr(value, field) for field in fields}
    except AttributeError as error:
        raise MaterializerError(f"a {name} is not complete: {error}; set all its fields") from None
    return {"$dataclass": [name, encoder.fields(state, value)]}


def _refuse_hidden_state(value: object, fields: list[str]) -> None:
    cls = type(value)
    if isinstance(value, _STATEFUL):
        raise MaterializerError(
            f"{type_name(cls)} is a dataclass and a {builtin_base(cls).__name__}; what it holds as"
            " the latter would be lost; make it a field"
        )
    caches = {key for base in cls.__mro__ for key, item in vars(base).items() if _is_cache(item)}
    extra = set(getattr(value, "__dict__", ())) - set(fields) - caches
    if extra:
        raise MaterializerError(
            f"a {type_name(cls)} has attributes that are no fields and would be lost:"
            f" {', '.join(sorted(extra))}; declare them as fields"
        )


def _is_cache(item: object) -> bool:
    """Whether it is a functools.cached_property, whose value can be computed again."""
    return type(item) is getattr(sys.modules.get("functools"), "cached_property", None)


def _is_pydantic(value: object) -> bool:
    main = sys.modules.get("pydantic.main")
    return main is not None and isinstance(value, main.BaseModel)


def _pydantic(encoder: Encoder, value: Any) -> Tree:
    """Encode a model's state, not its dump: what was validated once is restored as it was."""
    name = importable_name(type(value))
    private = value.__pydantic_private__
    state = {
        "fields": dict(value.__dict__),
        "set": set(value.__pydantic_fields_set__),
        "extra": value.__pydantic_extra__,
        "private": None if private is None else _defined(private),
    }
    fields = encoder.fields(state["fields"], value)
    rest = {key: encoder.encode(part) for key, part in state.items() if key != "fields" and part}
    return {"$pydantic": [name, fields, rest]}


def _defined(private: dict[str, object]) -> dict[str, object]:
    undefined = sys.modules["pydantic_core"].PydanticUndefined
    return {key: value for key, value in private.items() if value is not undefined}


def _is_path(value: object) -> TypeGuard[Path]:
    pathlib = sys.modules.get("pathlib")
    return pathlib is not None and isinstance(value, pathlib.Path)


def _path(encoder: Encoder, value: Path) -> Tree:
    from levada.materializers.paths import MATERIALIZER, is_copy

    if encoder.paths_by_name and not is_copy(value):
        return {"$path": str(value)}
    return encoder.leaf(MATERIALIZER, value)


def _leaf(encoder: Encoder, value: object) -> Tree:
    """Encode a value of a library: a scalar in place, anything else as a leaf."""
    from levada.materializers import builtin_for, refusal

    module = builtin_for(value)
    scalar = getattr(module, "encode_scalar", None)
    tree: Tree = None if scalar is None else scalar(encoder, value)
    if tree is not None:
        return tree
    materializer = module.materializer_for(value) if module is not None else None
    if materializer is None:
        raise refusal(value)
    return encoder.leaf(materializer, value)


_BY_BASE: tuple[tuple[Callable[[object], bool], Callable[[Encoder, Any], Tree]], ...] = (
    (_is_enum, _enum),
    (_is_namedtuple, _namedtuple),
    (_is_dataclass, _dataclass),
    (_is_pydantic, _pydantic),
)
