"""The IR as JSON (``levada.ir/2``), so that others can read it, compare it and write backends.

The form follows the dataclasses of :mod:`.ir`: an object for each, a list for each tuple, a
``type`` where several classes are possible, and no field that has its default. A span is
``file:line:column-line:column``. What JSON does not have: ``{"$float": "nan"}`` (``inf``,
``-inf``), ``{"$int": "0x…"}`` beyond 64 bits, ``{"$characters": […]}`` for text with halves of
characters.
``ir.schema.json`` describes it (JSON Schema, draft 2020-12).
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from ..diagnostics.diagnostic import Span
from . import ir

SCHEMA = f"levada.ir/{ir.Program.__dataclass_fields__['version'].default}"

_Read: TypeAlias = Callable[[Any, str], Any]
_SPAN = re.compile(r"(.*):(\d+):(\d+)-(\d+):(\d+)", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_LARGEST_PLAIN = 2**63
#: The classes that are told apart by ``type``, with their names in JSON.
_KINDS: dict[type, str] = {
    cls: re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()
    for cls in vars(ir).values()
    if isinstance(cls, type) and cls.__base__ in (ir.Expr, ir.Node)
}


class IrError(ValueError):
    """JSON that is not a program. ``path`` says where (``body[0].condition``)."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


# ---------------------------------------------------------------------------- writing

#: The fields of each class that was written: `slotted` makes them anew whenever it is asked.
_FIELDS: dict[type, tuple[dataclasses.Field[Any], ...]] = {}


def dump(program: ir.Program) -> str:
    """Write a program as JSON text, the same for the same program, with a line end."""
    try:
        content = {"schema": f"levada.ir/{program.version}", **_object(program)}
        content.pop("version", None)
        return json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    except RecursionError as error:
        raise IrError("", "the program is nested too deeply to be written") from error


def _object(value: Any) -> dict[str, Any]:
    written = {"type": _KINDS[type(value)]} if type(value) in _KINDS else {}
    kind = type(value)
    if kind not in _FIELDS:
        _FIELDS[kind] = dataclasses.fields(kind)
    for field in _FIELDS[kind]:
        item = getattr(value, field.name)
        if field.default is dataclasses.MISSING or item != field.default:
            written[field.name] = _written(item)
    return written


def _written(value: Any) -> Any:
    match value:
        case Span():
            start, end = f"{value.line}:{value.column}", f"{value.end_line}:{value.end_column}"
            return f"{value.file}:{start}-{end}"
        case tuple():
            return [_written(item) for item in value]
        case str():
            return _text(value)
        case float() if not math.isfinite(value):
            return {"$float": str(value)}
        case int() if abs(value) >= _LARGEST_PLAIN:
            return {"$int": hex(value)}
        case None | bool() | int() | float():
            return value
    return _object(value)


def _text(value: str) -> Any:
    # Two halves in a row would come back as one character, and UTF-8 has no half of one.
    return {"$characters": [ord(each) for each in value]} if _SURROGATE.search(value) else value


# ---------------------------------------------------------------------------- reading


def load(text: str) -> ir.Program:
    """Read a program. Raises IrError for what is not JSON or not a program.

    That references fit together is not checked here: see :mod:`.verify`.
    """
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
        return _program(content)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise IrError("", f"this is not JSON: {error.msg} ({place})") from error
    except IrError:
        raise
    except ValueError as error:  # an integer of more than 4,300 digits
        raise IrError("", str(error)) from error
    except RecursionError as error:
        raise IrError("", "this is nested too deeply") from error


def _refuse_constant(name: str) -> Any:
    raise IrError("", f'this is not JSON: `{name}` (write {{"$float": "{name.lower()}"}})')


def _program(content: Any) -> ir.Program:
    if not isinstance(content, dict):
        raise IrError("", f"a program is an object, not {_shown(content)}")
    content = dict(content)
    schema = content.pop("schema", None)
    if schema != SCHEMA:
        raise IrError("schema", f"expected {SCHEMA!r}, not {_shown(schema)}")
    if "version" in content:
        raise IrError("version", "this is not a field of a program: `schema` says it")
    program = _reader(ir.Program)(content, "")
    assert isinstance(program, ir.Program)  # noqa: S101 - the reader of Program makes one
    return program


@functools.cache
def _reader(hint: Any) -> _Read:
    """Return what reads a value of the type ``hint``."""
    if hint is ir.Scalar:
        return _read_scalar
    if hint is Span:
        return _read_span
    if hint in (str, int, bool):
        return functools.partial(_read_plain, hint)
    if hint in (ir.Expr, ir.Node):
        kinds = {name: cls for cls, name in _KINDS.items() if cls.__base__ is hint}
        return functools.partial(_read_kind, kinds)
    if hint in _KINDS:
        return functools.partial(_read_kind, {_KINDS[hint]: hint})
    if dataclasses.is_dataclass(hint):
        return functools.partial(_read_object, hint)
    if isinstance(hint, types.UnionType):
        return functools.partial(_read_union, typing.get_args(hint))
    return functools.partial(_read_tuple, typing.get_args(hint))


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _read_plain(cls: type, data: Any, path: str) -> Any:
    if cls is str and isinstance(data, dict):
        data = _read_characters(data, path)
    if type(data) is not cls:
        names = {str: "text", int: "an integer", bool: "true or false"}
        raise IrError(path, f"expected {names[cls]}, not {_shown(data)}")
    return data


def _read_characters(data: dict[str, Any], path: str) -> str:
    points = data.get("$characters") if len(data) == 1 else None
    valid = isinstance(points, list) and all(type(each) is int for each in points)
    if not valid or not all(0 <= each <= 0x10FFFF for each in points or ()):
        raise IrError(path, f"expected text, not {_shown(data)}")
    return "".join(map(chr, points or ()))


def _read_scalar(data: Any, path: str) -> Any:
    if isinstance(data, dict) and "$float" in data and len(data) == 1:
        if data["$float"] in ("nan", "inf", "-inf"):
            return float(data["$float"])
    elif isinstance(data, dict) and "$int" in data and len(data) == 1:
        if isinstance(data["$int"], str) and re.fullmatch(r"-?0x[0-9a-f]+", data["$int"]):
            return int(data["$int"], 16)
    elif isinstance(data, dict):
        return _read_characters(data, path)
    elif not isinstance(data, list):
        return data
    raise IrError(path, f"expected a constant, not {_shown(data)}")


def _read_span(data: Any, path: str) -> Span:
    match = _SPAN.fullmatch(_read_plain(str, data, path))
    if match is None:
        raise IrError(path, f"expected file:line:column-line:column, not {_shown(data)}")
    file, *numbers = match.groups()
    return Span(file, *map(int, numbers))


def _read_tuple(items: tuple[Any, ...], data: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise IrError(path, f"expected a list, not {_shown(data)}")
    if items[-1] is ...:
        read = _reader(items[0])
        return tuple(read(item, f"{path}[{i}]") for i, item in enumerate(data))
    if len(data) != len(items):
        raise IrError(path, f"expected {len(items)} items, not {len(data)}")
    pairs = zip(items, data, strict=True)
    return tuple(_reader(hint)(item, f"{path}[{i}]") for i, (hint, item) in enumerate(pairs))


def _read_union(members: tuple[Any, ...], data: Any, path: str) -> Any:
    if data is None and types.NoneType in members:
        return None
    others = [member for member in members if member is not types.NoneType]
    if str in others and len(others) > 1:
        if isinstance(data, str) or _is_characters(data):
            return _read_plain(str, data, path)
        others.remove(str)
    return _reader(others[0])(data, path)


def _is_characters(data: Any) -> bool:
    return isinstance(data, dict) and "$characters" in data


def _read_kind(classes: dict[str, Any], data: Any, path: str) -> Any:
    kind = data.get("type") if isinstance(data, dict) else None
    if not isinstance(kind, str) or kind not in classes:
        expected = ", ".join(classes)
        raise IrError(path, f"expected an object of a type among {expected}, not {_shown(data)}")
    fields = {name: value for name, value in data.items() if name != "type"}
    return _read_object(classes[kind], fields, path)


def _read_object(cls: Any, data: Any, path: str) -> Any:
    if not isinstance(data, dict):
        raise IrError(path, f"expected an object ({cls.__name__}), not {_shown(data)}")
    hints = _hints(cls)
    unknown = sorted(set(data) - set(hints))
    if unknown:
        raise IrError(_below(path, unknown[0]), f"this is not a field of {cls.__name__}")
    values = {}
    for field in dataclasses.fields(cls):
        if field.name in data:
            read = _reader(hints[field.name])
            values[field.name] = read(data[field.name], _below(path, field.name))
        elif field.default is dataclasses.MISSING:
            raise IrError(_below(path, field.name), "this is missing")
    return cls(**values)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shown(data: Any) -> str:
    text = json.dumps(data, ensure_ascii=True, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."


# ---------------------------------------------------------------------------- the schema


def json_schema() -> dict[str, Any]:
    """Make the JSON Schema of a program: what ``ir.schema.json`` holds."""
    definitions = {
        "Scalar": _scalar_schema(),
        "Span": {"type": "string", "pattern": r"^[\s\S]*:\d+:\d+-\d+:\d+$"},
        "Text": {"anyOf": [{"type": "string"}, _tagged("$characters", _CODE_POINTS)]},
        "Expr": _one_of(cls for cls in _KINDS if cls.__base__ is ir.Expr),
        "Node": _one_of(cls for cls in _KINDS if cls.__base__ is ir.Node),
    }
    plain = (
        ir.Field,
        ir.Clause,
        ir.Setting,
        ir.Type,
        ir.Parameter,
        ir.NamedOutput,
        ir.Container,
        ir.Step,
    )
    for cls in (*_KINDS, *plain, ir.Argument, ir.Target, ir.Result):
        definitions[cls.__name__] = _object_schema(cls)
    program = _object_schema(ir.Program)
    del program["properties"]["version"]
    properties = {"schema": {"const": SCHEMA}, **program["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:levada:ir:2",
        "title": "A pipeline as Levada's compiler understands it",
        **program,
        "properties": properties,
        "required": ["schema", *program["required"]],
        "$defs": definitions,
    }


_CODE_POINTS = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0, "maximum": 0x10FFFF},
}


def _tagged(tag: str, value: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {tag: value},
        "required": [tag],
        "additionalProperties": False,
    }


def _scalar_schema() -> dict[str, Any]:
    return {
        "anyOf": [
            {"type": ["null", "boolean", "number", "string"]},
            _tagged("$float", {"enum": ["nan", "inf", "-inf"]}),
            _tagged("$int", {"type": "string", "pattern": "^-?0x[0-9a-f]+$"}),
            _tagged("$characters", _CODE_POINTS),
        ]
    }


def _object_schema(cls: Any) -> dict[str, Any]:
    hints = _hints(cls)
    properties = {"type": {"const": _KINDS[cls]}} if cls in _KINDS else {}
    properties.update({field.name: _schema(hints[field.name]) for field in dataclasses.fields(cls)})
    optional = {f.name for f in dataclasses.fields(cls) if f.default is not dataclasses.MISSING}
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _one_of(classes: Iterable[type]) -> dict[str, Any]:
    return {"oneOf": [{"$ref": f"#/$defs/{cls.__name__}"} for cls in classes]}


def _schema(hint: Any) -> dict[str, Any]:
    names = {str: "Text", ir.Scalar: "Scalar", ir.Expr: "Expr", ir.Node: "Node"}
    if hint in names or dataclasses.is_dataclass(hint):
        return {"$ref": f"#/$defs/{names.get(hint) or hint.__name__}"}
    if hint in (int, bool):
        return {"type": "integer" if hint is int else "boolean"}
    if hint is types.NoneType:
        return {"type": "null"}
    items = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        return {"anyOf": [_schema(member) for member in items]}
    if items[-1] is ...:
        return {"type": "array", "items": _schema(items[0])}
    return {
        "type": "array",
        "prefixItems": [_schema(item) for item in items],
        "minItems": len(items),
        "maxItems": len(items),
    }
