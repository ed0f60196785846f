"""Types as far as they can be told from annotations, and what is certain to go wrong with them.

Nothing is imported, so little is known of classes. Whatever is unknown is ``any``, and
:func:`assignable` is False only where no value of the one type can be one of the other: a false
alarm would be worse than a mistake that the run finds.

A tuple of any length is ``Type("tuple", (item, ELLIPSIS))``.
"""

from __future__ import annotations

import ast
import builtins
import json

from ..program.ir import Type
from . import instances

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    #: Maps a dotted name as written to its qualified name, None where it is not known.
    Resolve: TypeAlias = Callable[[str], str | Type | None]
    #: Maps the qualified name of a class to those of its bases, None where they are not known.
    Bases: TypeAlias = Callable[[str], Iterable[str] | None]
    #: What ``json.loads`` gives.
    Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

ANY = Type("any")
ELLIPSIS = Type("...", text="...")
NONE = Type("None", text="None")

_SCALARS = frozenset(("None", "bool", "int", "float", "complex", "str", "bytes", "bytearray"))
_COLLECTIONS = frozenset(("list", "dict", "set", "frozenset", "tuple", "range"))
_BUILTINS = _SCALARS | _COLLECTIONS
#: PEP 484's numeric tower, and ``bytes`` for those who think so of ``bytearray``.
_WIDER = {"bool": "int", "int": "float", "float": "complex", "bytearray": "bytes"}

_ITERABLES = frozenset(("Iterable", "Collection", "Reversible", "Container"))
_ABSTRACT = {
    **dict.fromkeys(
        (f"collections.abc.{name}" for name in _ITERABLES),
        _COLLECTIONS | {"str", "bytes", "bytearray"},
    ),
    "collections.abc.Sequence": frozenset(("list", "tuple", "range", "str", "bytes", "bytearray")),
    "collections.abc.MutableSequence": frozenset(("list", "bytearray")),
    "collections.abc.Set": frozenset(("set", "frozenset")),
    "collections.abc.MutableSet": frozenset(("set",)),
    "collections.abc.Mapping": frozenset(("dict",)),
    "collections.abc.MutableMapping": frozenset(("dict",)),
    "collections.abc.Iterator": frozenset[str](),
    "collections.abc.Generator": frozenset[str](),
}
_KEYED = frozenset(("dict", "collections.abc.Mapping", "collections.abc.MutableMapping"))
_GENERIC = frozenset((*_ABSTRACT, "list", "dict", "set", "frozenset", "tuple", "type"))

#: Concrete classes that are known well enough to tell that they are not each other.
_KNOWN_CLASSES: dict[str, tuple[str, ...]] = {
    "datetime.date": (),
    "datetime.datetime": ("datetime.date",),
    "datetime.time": (),
    "datetime.timedelta": (),
    "decimal.Decimal": (),
    "fractions.Fraction": (),
    "pathlib.Path": (),
    "uuid.UUID": (),
    "numpy.ndarray": (),
    "pandas.DataFrame": (),
    "pandas.Index": (),
    "pandas.Series": (),
    "polars.DataFrame": (),
    "polars.LazyFrame": (),
    "polars.Series": (),
    "pyarrow.RecordBatch": (),
    "pyarrow.Table": (),
    "torch.Tensor": (),
}
#: What :func:`of_value` takes: JSON values.
JSON_VALUES = (type(None), bool, int, float, str, list, dict)

_WRAPPERS = frozenset(
    ("Annotated", "ClassVar", "Final", "InitVar", "NotRequired", "ReadOnly", "Required")
)
_RENAMED = {
    "builtins.object": "any",
    "object": "any",
    "types.NoneType": "None",
    "typing.Dict": "dict",
    "typing.FrozenSet": "frozenset",
    "typing.List": "list",
    "typing.LiteralString": "str",
    "typing.Set": "set",
    "typing.AbstractSet": "collections.abc.Set",
    "typing.Text": "str",
    "typing.Tuple": "tuple",
    "typing.Type": "type",
}

# ---------------------------------------------------------------------------- annotations


def read(node: ast.expr | None, resolve: Resolve) -> Type:
    """Return the type that an annotation stands for, ``any`` where it cannot be told.

    ``resolve`` gives ``module:Class`` only for what is a class of the project, and for an alias
    or a new type the type that it stands for; type variables are None to it.
    """
    if node is None:
        return ANY
    try:
        return _Reader(resolve).read(node)
    except (RecursionError, ValueError):  # nested too deeply, or a number of 5,000 digits
        return ANY


def size(kind: Type) -> int:
    """Return how many parts a type has, itself included."""
    return 1 + sum(map(size, kind.arguments))


def unquoted(annotation: ast.expr | None) -> ast.expr | None:
    """What an annotation says that may be in quotes; None if it is no expression."""
    if not (isinstance(annotation, ast.Constant) and isinstance(annotation.value, str)):
        return annotation
    try:
        return ast.parse(annotation.value.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None


class _Reader:
    def __init__(self, resolve: Resolve) -> None:
        self.resolve = resolve

    def read(self, node: ast.expr) -> Type:
        """Return the type with its text as written."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            inner = unquoted(node)
            return Type("any", text=node.value) if inner is None else self.read(inner)
        kind = self.form(node)
        text = node.id if isinstance(node, ast.Name) else ast.unparse(node)
        return Type(kind.name, kind.arguments, kind.values, text)

    def form(self, node: ast.expr) -> Type:
        match node:
            case ast.Constant(value=None):
                return NONE
            case ast.Constant(value=value) if value is ...:
                return ELLIPSIS
            case ast.BinOp(op=ast.BitOr()):
                return union(self.read(each) for each in _alternatives(node))
            case ast.Name() | ast.Attribute():
                return self.named(node)
            case ast.Subscript():
                return self.generic(self.qualified(node.value), _arguments(node.slice))
        return ANY

    def named(self, node: ast.expr) -> Type:
        dotted = _dotted(node)
        name = self.resolve(dotted) if dotted is not None else None
        if isinstance(name, Type):
            return name
        if name is None:
            plain = dotted is not None and "." not in dotted and hasattr(builtins, dotted)
            name = dotted if dotted is not None and plain else "any"
        return Type(_standard_name(name))

    def qualified(self, node: ast.expr) -> str:
        """The name of what is given arguments; an alias that takes some is not known."""
        found = self.named(node)
        return found.name if not (found.arguments or found.values) else "any"

    def generic(self, name: str, arguments: list[ast.expr]) -> Type:
        last = name.rpartition(".")[2]
        if name.startswith(("typing.", "dataclasses.")) and last in _WRAPPERS and arguments:
            return self.read(arguments[0])
        if name == "typing.Optional" and arguments:
            return union((self.read(arguments[0]), NONE))
        if name == "typing.Union":
            return union(self.read(each) for each in arguments)
        if name == "typing.Literal":
            return self.literal(arguments)
        if name in _GENERIC:
            return Type(name, tuple(self.read(each) for each in arguments))
        return Type(name)

    def literal(self, arguments: list[ast.expr]) -> Type:
        values: dict[str, None] = {}
        for argument in arguments:
            found = self.literal_values(argument)
            if found is None:
                return ANY
            values.update(dict.fromkeys(found))
        return Type("literal", values=tuple(values))

    def literal_values(self, node: ast.expr) -> tuple[str, ...] | None:
        """Return the values as JSON text; None where one is not JSON (bytes, an Enum's member)."""
        match node:
            case ast.Constant(value=None | bool() | int() | str()):
                return (_json_text(node.value),)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as number)):
                return (_json_text(-number),)
            case ast.Subscript():
                nested = self.read(node)
                return nested.values if nested.name == "literal" else None
        return None


def _standard_name(name: str) -> str:
    if name.startswith("typing_extensions."):
        name = name.replace("typing_extensions", "typing", 1)
    name = _RENAMED.get(name, name.removeprefix("builtins."))
    package, _, last = name.rpartition(".")
    if package != "typing":
        return name
    if f"collections.abc.{last}" in _ABSTRACT:
        return f"collections.abc.{last}"
    known = last in _WRAPPERS or last in ("Literal", "Optional", "Union")
    return name if known else "any"


def _alternatives(node: ast.expr) -> list[ast.expr]:
    found = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        found.append(node.right)
        node = node.left
    return [node, *reversed(found)]


def _arguments(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _dotted(node: ast.expr) -> str | None:
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def _json_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


# ---------------------------------------------------------------------------- making and showing


_MOST_ALTERNATIVES = 100  #: of a union; unrolled rounds may each add one


def union(alternatives: Iterable[Type]) -> Type:
    """Return either of several types, flat and without repetition.

    It is ``any`` if one of them is, or if there are more than anybody would read.
    """
    distinct: dict[str, Type] = {}
    for each in alternatives:
        for member in _members(each):
            distinct.setdefault(_rebuilt(member), member)
    if len(distinct) > _MOST_ALTERNATIVES or any(e.name == "any" for e in distinct.values()):
        return ANY
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    return Type("union", tuple(distinct.values()), text=" | ".join(map(text, distinct.values())))


def _members(kind: Type) -> tuple[Type, ...]:
    return kind.arguments if kind.name == "union" else (kind,)


def of_value(value: object) -> Type:
    """Return the type of a JSON value: of a list the union of its items' types."""
    if value is None:
        return NONE
    if isinstance(value, list):
        return _of_items("list", [_common(value)])
    if isinstance(value, dict):
        return _of_items("dict", [_common(value), _common(value.values())])
    name = type(value).__name__
    return Type(name, text=name) if name in _BUILTINS else ANY


def of_constant(value: object) -> Type:
    """Return the type of a constant of the pipeline, tuples and sets included."""
    if isinstance(value, tuple):
        return Type("tuple", tuple(of_constant(item) for item in value))
    if isinstance(value, set | frozenset | bytes):
        return Type(type(value).__name__)
    if isinstance(value, instances.ConstantInstance | instances.ConstantMember):
        return Type(value.cls, text=value.cls.partition(":")[2])
    if instances.holds_instance(value):
        assert isinstance(value, list | dict)  # noqa: S101 - nothing else holds one
        items = value if isinstance(value, list) else value.values()
        inner = union([of_constant(item) for item in items])
        if isinstance(value, list):
            return _of_items("list", [inner])
        return _of_items("dict", [_common(value), inner])
    library = instances.LIBRARY_TYPES.get(type(value).__name__)
    return Type(library, text=library) if library else of_value(value)


def _common(values: Iterable[object]) -> Type:
    found = [of_value(value) for value in values]
    return union(found) if found else ANY


def _of_items(name: str, arguments: list[Type]) -> Type:
    if all(argument.name == "any" for argument in arguments):
        return Type(name, text=name)
    kind = Type(name, tuple(arguments))
    return Type(name, kind.arguments, text=_rebuilt(kind))


def text(kind: Type) -> str:
    """Return a type as a message shows it: as written, else in the same form."""
    return kind.text or _rebuilt(kind)


def _rebuilt(kind: Type) -> str:
    arguments = [_rebuilt(argument) for argument in kind.arguments]
    if kind.name == "union":
        return " | ".join(arguments)
    if kind.name == "literal":
        return f"Literal[{', '.join(map(_python_text, kind.values))}]"
    name = "Any" if kind.name == "any" else kind.name.rpartition(":")[2]
    return f"{name}[{', '.join(arguments)}]" if arguments else name


def _python_text(value: str) -> str:
    return repr(json.loads(value))


def element(kind: Type) -> Type:
    """Return the type of what a loop over the type goes over."""
    if kind.name in ("str", "bytes", "bytearray", "range"):
        name = "str" if kind.name == "str" else "int"
        return Type(name, text=name)
    if kind.name == "union":
        return union(element(member) for member in kind.arguments if _may_be_iterated(member))
    if kind.name == "literal":
        return union(element(_of_literal(value)) for value in kind.values) if kind.values else ANY
    if kind.name == "tuple" and kind.arguments:
        return union(each for each in kind.arguments if each != ELLIPSIS)
    if kind.name in _GENERIC and kind.name != "type" and kind.arguments:
        return kind.arguments[0]
    return ANY


def _may_be_iterated(kind: Type) -> bool:
    return kind.name not in ("None", "bool", "int", "float", "complex")


def _of_literal(value: str) -> Type:
    return of_value(json.loads(value))


def field(kind: Type, name: str) -> Type:
    """Return the type of one item of a tuple (``name`` is its index), ``any`` of all else."""
    if kind.name != "tuple" or not name.isdecimal():
        return ANY
    if ELLIPSIS in kind.arguments:
        return kind.arguments[0]
    index = int(name)
    return kind.arguments[index] if index < len(kind.arguments) else ANY


# ---------------------------------------------------------------------------- what fits


def assignable(given: Type, wanted: Type, bases: Bases = lambda _: None) -> bool:
    """Return False if a value of type ``given`` is certainly not one of type ``wanted``.

    A union fits if one of its members does, since the value may be that one. ``bases`` makes it
    possible to tell more about classes of the project: without it only a scalar is told from them.
    """
    return _Relation(bases).fits(given, wanted)


def accepts(value: object, wanted: Type, bases: Bases = lambda _: None) -> bool:
    """Return False if a constant, a JSON value, is certainly not of type ``wanted``.

    Unlike ``assignable(of_value(value), wanted)`` this knows the values of a ``Literal``.
    """
    is_small = not isinstance(value, int) or value.bit_length() < 64
    if is_small and (value is None or isinstance(value, bool | int | str)):
        return assignable(Type("literal", values=(_json_text(value),)), wanted, bases)
    return assignable(of_value(value), wanted, bases)


class _Relation:
    def __init__(self, bases: Bases) -> None:
        self.bases = bases

    def fits(self, given: Type, wanted: Type) -> bool:
        if "any" in (given.name, wanted.name):
            return True
        if given.name == "union":
            return any(self.fits(member, wanted) for member in given.arguments)
        if wanted.name == "union":
            return any(self.fits(given, member) for member in wanted.arguments)
        if "literal" in (given.name, wanted.name):
            return self.literal_fits(given, wanted)
        return self.class_fits(given, wanted) and self.arguments_fit(given, wanted)

    def literal_fits(self, given: Type, wanted: Type) -> bool:
        if given.name == wanted.name:
            return not set(given.values).isdisjoint(wanted.values)
        if given.name == "literal":
            return any(self.fits(_of_literal(value), wanted) for value in given.values)
        return any(self.fits(given, _of_literal(value)) for value in wanted.values)

    def class_fits(self, given: Type, wanted: Type) -> bool:
        one, other = given.name, wanted.name
        if one == other:
            return True
        if one in _BUILTINS and other in _BUILTINS:
            return other in _wider(one)
        if other in _ABSTRACT:
            return one in _ABSTRACT[other] or one not in _BUILTINS
        if one in _ABSTRACT:
            return other not in _SCALARS or other in _ABSTRACT[one]
        if one in _BUILTINS:
            return self.builtin_fits(one, other)
        if other in _BUILTINS:
            return self.class_fits_builtin(one, other)
        return not (_are_unrelated(one, other) or self.are_apart(one, other))

    def are_apart(self, given: str, wanted: str) -> bool:
        """Whether one is a class of the project, and the other a library's that is not a base."""
        own, library = (given, wanted) if ":" in given else (wanted, given)
        if ":" not in own or library not in _KNOWN_CLASSES:
            return False
        ancestors = self.ancestors(own)
        if ancestors is None or library in ancestors:
            return False
        return not {name.rpartition(".")[2] for name in ancestors} & {"Protocol", "any", "object"}

    def builtin_fits(self, given: str, wanted: str) -> bool:
        """Whether a value of a builtin type may be an instance of a class."""
        if wanted in _KNOWN_CLASSES:
            return False
        if ":" not in wanted:
            return True
        ancestors = self.ancestors(wanted)
        if ancestors is None:
            return given not in _SCALARS
        names = {name.rpartition(".")[2] for name in ancestors}
        return bool(names & {"Protocol", "TypedDict", given})

    def class_fits_builtin(self, given: str, wanted: str) -> bool:
        """Whether an instance of a class may be one of a builtin type: if it derives from it."""
        if given in _KNOWN_CLASSES:
            return False
        ancestors = self.ancestors(given)
        if ancestors is None:
            return True
        found = {name.removeprefix("builtins.") for name in ancestors}
        aliases = {"NamedTuple": "tuple", "TypedDict": "dict", "IntEnum": "int", "StrEnum": "str"}
        found |= {aliases.get(name.rpartition(".")[2], name) for name in ancestors}
        return any(wanted == name or wanted in _wider(name) for name in found)

    def ancestors(self, name: str) -> set[str] | None:
        """Return the class and all its bases; None if one of them may be anything."""
        found: set[str] = set()
        pending = [name]
        while pending:
            each = pending.pop()
            if each in found:
                continue
            found.add(each)
            if ":" in each:
                bases = self.bases(each)
                if bases is None:
                    return None
                pending.extend(bases)
            elif not _is_known_base(each):
                return None
        return found

    def arguments_fit(self, given: Type, wanted: Type) -> bool:
        if not given.arguments or not wanted.arguments:
            return self.iterated_text_fits(given, wanted)
        if given.name == wanted.name == "tuple":
            return self.tuple_fits(given.arguments, wanted.arguments)
        if wanted.name in _KEYED and given.name in _KEYED:
            pairs = zip(given.arguments, wanted.arguments, strict=False)
            return all(self.fits(one, other) for one, other in pairs)
        if wanted.name in _GENERIC and given.name in _GENERIC and wanted.name != "type":
            return self.fits(element(given), element(wanted))
        return True

    def iterated_text_fits(self, given: Type, wanted: Type) -> bool:
        """``str`` is an iterable of ``str``, ``range`` one of ``int``."""
        if wanted.name in _ABSTRACT and wanted.arguments and wanted.name not in _KEYED:
            return self.fits(element(given), wanted.arguments[0])
        return True

    def tuple_fits(self, given: tuple[Type, ...], wanted: tuple[Type, ...]) -> bool:
        if ELLIPSIS in given or ELLIPSIS in wanted:
            pairs: Iterator[tuple[Type, Type]] = _open_pairs(given, wanted)
            return all(self.fits(one, other) for one, other in pairs)
        if len(given) != len(wanted):
            return False
        return all(self.fits(one, other) for one, other in zip(given, wanted, strict=True))


def _open_pairs(given: tuple[Type, ...], wanted: tuple[Type, ...]) -> Iterator[tuple[Type, Type]]:
    """Pair the items where at least one of two tuples has any length."""
    if ELLIPSIS in given and ELLIPSIS in wanted:
        yield given[0], wanted[0]
    elif ELLIPSIS in given:
        yield from ((given[0], each) for each in wanted)
    else:
        yield from ((each, wanted[0]) for each in given)


def _wider(name: str) -> tuple[str, ...]:
    """Return the builtin types that take a value of ``name``, itself included."""
    found = [name]
    while found[-1] in _WIDER:
        found.append(_WIDER[found[-1]])
    return tuple(found)


def _is_known_base(name: str) -> bool:
    plain = name.removeprefix("builtins.")
    known = ("abc.ABC", "enum.Enum", "enum.Flag", "enum.IntEnum", "enum.StrEnum", "object", "any")
    typed = ("typing.NamedTuple", "typing.TypedDict", "typing.Protocol", "typing.Generic")
    return plain in _BUILTINS or plain in known or plain in typed or plain in _KNOWN_CLASSES


def _are_unrelated(one: str, other: str) -> bool:
    if one not in _KNOWN_CLASSES or other not in _KNOWN_CLASSES:
        return False
    return one not in _KNOWN_CLASSES[other] and other not in _KNOWN_CLASSES[one]
