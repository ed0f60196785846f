"""The parameters of a run, checked against the plan before anything starts."""

from __future__ import annotations

import json

from levada.forms import EXPECTED, is_number, is_text_of, same, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from decimal import Decimal
    from typing import Any, Final

    from levada.plan_types import PlanParameter, Schema

#: Seconds that a pattern of a parameter may take.
_MATCH_SECONDS = 1.0


class ParameterError(ValueError):
    """Parameters that the pipeline does not take. ``problems`` has a sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def resolve(
    declared: Sequence[PlanParameter],
    given: Mapping[str, object],
    kept: Collection[str] = (),
) -> dict[str, object]:
    """The value of each declared parameter, in order: what was given, or its default.

    Those of ``kept`` have a value already and are left out.

    A whole number for a float becomes a float, whether it comes from the command line or a file.

    Raises ParameterError with everything that is wrong: unknown names, missing ones, and values
    that do not fit the parameter's JSON schema.
    """
    by_name = {parameter["name"]: parameter for parameter in declared}
    problems = [_unknown(name, by_name) for name in given if name not in by_name]
    values: dict[str, object] = {}
    for name, parameter in by_name.items():
        if name in kept:
            continue
        if name in given:
            values[name] = typed(given[name], parameter["schema"])
            problems += _mismatches(parameter, given[name])
        elif parameter["required"]:
            problems.append(f"the parameter `{name}`{_of_type(parameter)} is missing")
        else:
            values[name] = parameter["default"]
    if problems:
        raise ParameterError(problems)
    return values


def typed(value: object, schema: object) -> object:
    """Return a JSON value with floats where the schema has numbers that need not be whole.

    >>> typed([1, 2.5], {"type": "array", "items": {"type": "number"}})
    [1.0, 2.5]
    """
    if not isinstance(schema, dict):
        return value
    sides = schema.get("anyOf", [schema])
    kinds = [side.get("type") for side in sides if isinstance(side, dict)]
    if type(value) is int and "number" in kinds and "integer" not in kinds and is_number(value):
        return float(value)
    if isinstance(value, list):
        items = next((side["items"] for side in sides if "items" in side), None)
        return value if items is None else [typed(item, items) for item in value]
    if isinstance(value, dict):
        others: object = next((s.get("additionalProperties") for s in sides if len(s) > 1), None)
        return {name: typed(item, others) for name, item in value.items()}
    return value


def violation(value: object, schema: Mapping[str, object], name: str = "") -> str:
    """Say what is wrong with a value by a JSON schema; empty if nothing is.

    ``name`` is what the value is called where a place in it is meant.
    """
    for path, problem in _violations(value, schema, ""):
        return f"`{name}{path}` {problem}" if name and path else f"{path} {problem}".strip()
    return ""


def _of_type(parameter: PlanParameter) -> str:
    return f" ({parameter['type']})" if parameter["type"] else ""


def _unknown(name: str, declared: Collection[str]) -> str:
    near = min(declared, key=lambda other: _distance(name, other), default=None)
    if near is not None and _distance(name, near) <= max(1, len(near) // 3):
        return f"there is no parameter `{name}`; did you mean `{near}`?"
    names = ", ".join(f"`{other}`" for other in declared) or "none"
    return f"there is no parameter `{name}`; the pipeline takes: {names}"


def _distance(one: str, other: str) -> int:
    """The number of characters to insert, remove or replace to get from one to the other."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


def _mismatches(parameter: PlanParameter, value: object) -> list[str]:
    name, schema = parameter["name"], parameter["schema"]
    expected = parameter["type"] or json.dumps(schema if isinstance(schema, dict) else {})
    for path, problem in _violations(value, schema, ""):
        takes = f"the parameter `{name}` takes {expected}, "
        if path:
            return [f"{takes}but `{name}{path}` is {shown(_at(value, path))}: it {problem}"]
        # That it is none of the types is said already, as is what a `Literal` lists.
        listed = problem.startswith("is none of") and not expected.isidentifier()
        said = problem.startswith(("is not of type", "fits none")) or listed
        return [f"{takes}not {shown(value)}" + ("" if said else f": it {problem}")]
    return []


def _at(value: Any, path: str) -> Any:
    """Return what is at a path in a value, as :func:`_violations` writes it."""
    import re

    for name, key in re.findall(r"\.(\w+)|\[([^\]]+)\]", path):
        value = value[name or json.loads(key)]
    return value


def _member_path(path: str, name: str) -> str:
    return f"{path}.{name}" if name.isidentifier() else f"{path}[{json.dumps(name)}]"


_KINDS: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "string": (str,),
    "array": (list, tuple),
    "object": (dict,),
}


def _is(value: object, kind: str) -> bool:
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return is_number(value)
    return isinstance(value, _KINDS.get(kind, (object,)))


def _violations(value: object, schema: object, path: str) -> Iterator[tuple[str, str]]:
    """Where the value does not fit the schema: the path in it, and what is wrong there."""
    if schema is False:
        yield path, "is one too many"
    if not isinstance(schema, dict):
        return
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield path, f"is not of type {' or '.join(kinds)}"
        return
    if "const" in schema and not same(value, schema["const"]):
        yield path, f"is not {shown(schema['const'])}"
    if "enum" in schema and not any(same(value, one) for one in schema["enum"]):
        yield path, f"is none of {', '.join(shown(one) for one in schema['enum'])}"
    if "anyOf" in schema and not any(_fits(value, one, path) for one in schema["anyOf"]):
        meant = [side for side in schema["anyOf"] if _may_be(value, side)]
        if len(meant) == 1:
            yield from _violations(value, meant[0], path)
        else:
            yield path, "fits none of the types"
    if isinstance(value, int | float) and is_number(value):
        yield from _number_violations(value, schema, path)
    elif isinstance(value, str):
        yield from _text_violations(value, schema, path)
    elif isinstance(value, list | tuple):
        yield from _item_violations(value, schema, path)
    elif isinstance(value, dict):
        yield from _member_violations(value, schema, path)


def _may_be(value: object, schema: object) -> bool:
    """Whether a value is of the JSON type of one of several alternatives."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    return isinstance(kind, str) and _is(value, kind)


def _number_violations(
    value: float | Decimal, schema: Schema, path: str
) -> Iterator[tuple[str, str]]:
    if "minimum" in schema and value < schema["minimum"]:
        yield path, f"is less than {schema['minimum']}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield path, f"is not more than {schema['exclusiveMinimum']}"
    if "maximum" in schema and value > schema["maximum"]:
        yield path, f"is more than {schema['maximum']}"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        yield path, f"is not less than {schema['exclusiveMaximum']}"
    if schema.get("multipleOf") and value % schema["multipleOf"]:
        yield path, f"is no multiple of {schema['multipleOf']}"


def _text_violations(value: str, schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    if len(value) < schema.get("minLength", 0):
        yield path, f"has fewer than {schema['minLength']} characters"
    if len(value) > schema.get("maxLength", len(value)):
        yield path, f"has more than {schema['maxLength']} characters"
    if "pattern" in schema:
        try:
            if not _is_found(schema["pattern"], value):
                yield path, f"does not match {schema['pattern']}"
        except TimeoutError:
            yield path, f"takes longer than {_MATCH_SECONDS:g} s to match {schema['pattern']}"
    form = _FORMATS.get(schema.get("format") or schema.get("contentEncoding", ""))
    if form is not None:
        yield from _form_violations(value, schema, path, form)


def _is_found(pattern: str, text: str) -> bool:
    """Search a text. Raises TimeoutError: a pattern such as `(a+)+$` may take for ever.

    Only the main thread can be interrupted; elsewhere there is no limit.
    """
    import re
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        return re.search(pattern, text) is not None
    handler = signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, _MATCH_SECONDS)
    try:
        return re.search(pattern, text) is not None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def _give_up(*_: object) -> None:
    raise TimeoutError


#: The forms of ``levada.forms`` that are a text, by what their schema says.
_FORMATS: Final = {
    "base64": "bytes",
    "date": "date",
    "date-time": "datetime",
    "time": "time",
    "duration": "timedelta",
    "decimal": "Decimal",
    "uuid": "UUID",
}


def _form_violations(value: str, schema: Schema, path: str, form: str) -> Iterator[tuple[str, str]]:
    if not is_text_of(form, value):
        yield path, f"is not {EXPECTED[form]}"
    elif form == "Decimal":
        from decimal import Decimal

        number = Decimal(value)
        if number.is_finite():
            yield from _number_violations(number, schema, path)


def _fits(value: object, schema: object, path: str) -> bool:
    return next(_violations(value, schema, path), None) is None


def _item_violations(
    value: list[object] | tuple[object, ...], schema: Schema, path: str
) -> Iterator[tuple[str, str]]:
    if len(value) < schema.get("minItems", 0):
        yield path, f"has fewer than {schema['minItems']} items"
    if len(value) > schema.get("maxItems", len(value)):
        yield path, f"has more than {schema['maxItems']} items"
    if schema.get("uniqueItems") and len({json.dumps(v, sort_keys=True) for v in value}) < len(
        value
    ):
        yield path, "has an item twice"
    first = schema.get("prefixItems", [])
    for i, item in enumerate(value):
        of_item = first[i] if i < len(first) else schema.get("items")
        yield from _violations(item, of_item, f"{path}[{i}]")


def _member_violations(
    value: dict[str, object], schema: Schema, path: str
) -> Iterator[tuple[str, str]]:
    known = schema.get("properties", {})
    if len(value) < schema.get("minProperties", 0):
        yield path, f"has fewer than {schema['minProperties']} items"
    if len(value) > schema.get("maxProperties", len(value)):
        yield path, f"has more than {schema['maxProperties']} items"
    for name in schema.get("required", ()):
        if name not in value:
            yield path, f"has no {name!r}"
    for name, member in value.items():
        of_member = known.get(name, schema.get("additionalProperties"))
        if of_member is False:
            yield path, f"has an unknown {name!r}"
        for _, problem in _violations(name, schema.get("propertyNames"), ""):
            yield path, f"has the key {shown(name)}, which {problem}"
        yield from _violations(member, of_member, _member_path(path, name))
