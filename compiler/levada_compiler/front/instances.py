"""Instances of classes of the project, and members of its enumerations, as constants.

Nothing is imported: an instance is what its class was given.
"""

from __future__ import annotations

from ..slotted import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


@dataclass(frozen=True, slots=True)
class ConstantMember:
    """A member of the enumeration ``cls`` (``module:Class``)."""

    cls: str
    name: str
    value: int | str


@dataclass(frozen=True, slots=True, eq=False)
class ConstantInstance:
    """An instance of the class ``cls`` (``module:Class``) with all of its fields that are known.

    ``kind`` is ``dataclass``, ``namedtuple``, or ``made`` of a class that runs code of its own;
    those in ``left_out`` have the class's default.
    """

    cls: str
    kind: str
    fields: dict[str, object]
    left_out: tuple[str, ...] = ()


def holds_instance(value: object) -> bool:
    """Return whether a constant is an instance or a member, or holds one."""
    if isinstance(value, ConstantInstance | ConstantMember):
        return True
    if isinstance(value, dict):
        return any(map(holds_instance, value.values())) or any(map(holds_instance, value))
    return isinstance(value, list | tuple | set | frozenset) and any(map(holds_instance, value))


def as_json(value: object) -> object:
    """Return what JSON has for a constant, as the forms of ``levada.forms`` read it.

    Raises TypeError for what is none of their types.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        value.encode("utf-8")
        return value
    if isinstance(value, ConstantMember):
        return value.value
    if isinstance(value, ConstantInstance):
        given = {name: each for name, each in value.fields.items() if name not in value.left_out}
        return {name: as_json(each) for name, each in given.items()}
    if isinstance(value, dict):
        return {_key(key): as_json(each) for key, each in value.items()}
    if isinstance(value, set | frozenset):
        import json

        return sorted(map(as_json, value), key=json.dumps)
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    return _text(value)


def _key(key: object) -> str:
    found = as_json(key)
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        raise TypeError(f"a key cannot be {key!r}")
    return str(found)


def _text(value: object) -> str:
    from datetime import date, time, timedelta
    from decimal import Decimal
    from pathlib import PurePath
    from uuid import UUID

    from levada.forms import duration_text
    from levada.trees.encode import base64

    match value:
        case bytes():
            return base64(value)
        case date() | time():
            return value.isoformat()
        case timedelta():
            return duration_text(value)
        case Decimal() | UUID() | PurePath():
            return str(value)
    raise TypeError(f"a {type(value).__name__} is not one of JSON's values")


#: The names of the types of constants that are no builtins.
LIBRARY_TYPES: Final = {
    "date": "datetime.date",
    "datetime": "datetime.datetime",
    "time": "datetime.time",
    "timedelta": "datetime.timedelta",
    "Decimal": "decimal.Decimal",
    "UUID": "uuid.UUID",
    "PosixPath": "pathlib.Path",
    "WindowsPath": "pathlib.Path",
}
