"""Parameters of a run, as given on the command line or in a file."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click
from levada.regular_files import regular

if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada.plan_types import PlanParameter


def parse(given: Sequence[str], declared: Sequence[PlanParameter]) -> dict[str, Any]:
    """``NAME=VALUE`` each; what a value means depends on the parameter's JSON schema."""
    from levada.engine.parameters import typed

    schemas = {parameter["name"]: parameter["schema"] for parameter in declared}
    values = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--param takes NAME=VALUE, not `{item}`")
        if name in values:
            raise click.UsageError(f"--param gives `{name}` twice: leave one of them out")
        schema = schemas.get(name, {})
        values[name] = typed(value(text, schema), schema)
        _check_container(name, text, values[name], schema)
    return values


def _check_container(name: str, text: str, found: Any, schema: dict[str, Any]) -> None:
    """Refuse a word for a list or an object, and say how that is written."""
    kinds = {one.get("type") for one in _alternatives(schema)}
    if not isinstance(found, str) or not kinds & {"array", "object"} or kinds & {"string", None}:
        return
    written: object
    if "array" in kinds:
        written, what = [_literal(item.strip()) for item in text.split(",")], "list"
    else:
        pairs = [item.partition("=" if "=" in item else ":") for item in text.split(",")]
        written, what = {key.strip(): _literal(item.strip()) for key, _, item in pairs}, "object"
    form = f"-p {name}='{json.dumps(written, ensure_ascii=False)}'"
    raise click.UsageError(f"`{name}` takes a JSON {what}, not `{text}`: write {form}")


def value(text: str, schema: dict[str, Any]) -> Any:
    """The value of a word of the command line.

    Text where the parameter takes nothing but text (``--param version=1.10`` stays ``1.10``), else
    JSON, else a Python literal (``True``, ``['a']``), else text.
    """
    allowed = _alternatives(schema)
    if text in [item for one in allowed for item in one.get("enum", ()) if isinstance(item, str)]:
        return text
    kinds = {str(one["type"]) for one in allowed if "type" in one}
    if allowed and kinds <= {"string", "null"} and len(kinds) and _all_typed(allowed):
        return None if text in ("null", "None") and "null" in kinds else text
    if kinds & {"number"} and text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        return float(text)
    return _literal(text)


#: Where a shell hands over what a command prints, `<(…)`, or its own input.
_GIVEN = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")


def read_file(path: str | None) -> dict[str, Any]:
    """The parameters of a JSON, a YAML or a TOML file, by its suffix."""
    if path is None:
        return {}
    try:
        with open(
            path, encoding="utf-8", opener=None if path.startswith(_GIVEN) else regular
        ) as file:
            text = file.read()
    except OSError as error:
        reason = error.strerror or str(error)
        raise click.UsageError(f"cannot read the parameters `{path}`: {reason}") from error
    except UnicodeDecodeError as error:
        raise click.UsageError(f"the parameters `{path}` are not UTF-8") from error
    readers = {".toml": _read_toml, ".yaml": _read_yaml, ".yml": _read_yaml}
    values = readers.get(os.path.splitext(path)[1], _read_json)(path, text)
    if not isinstance(values, dict):
        raise click.UsageError(f"the parameters `{path}` must be an object: names and values")
    return values


def _alternatives(schema: dict[str, Any]) -> list[dict[str, Any]]:
    if "anyOf" not in schema:
        return [schema]
    return [inner for one in schema["anyOf"] for inner in _alternatives(one)]


def _all_typed(allowed: Sequence[dict[str, Any]]) -> bool:
    return all("type" in one for one in allowed)


def _as_key(key: Any) -> str:
    if isinstance(key, str):
        return key
    return key.isoformat() if hasattr(key, "isoformat") else json.dumps(key, default=str)


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    from ast import literal_eval

    try:
        found = literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return _with_lists(found) if _is_json(found) else text


def _with_lists(found: Any) -> Any:
    """A literal as JSON has it: no engine is given a tuple."""
    if isinstance(found, (list, tuple)):
        return [_with_lists(item) for item in found]
    if isinstance(found, dict):
        return {key: _with_lists(item) for key, item in found.items()}
    return found


def _is_json(found: object) -> bool:
    if isinstance(found, (list, tuple)):
        return all(map(_is_json, found))
    if isinstance(found, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in found.items())
    return found is None or isinstance(found, (bool, int, float, str))


def _read_json(path: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"the parameters `{path}` are not JSON: {error}") from error


def _read_toml(path: str, text: str) -> Any:
    from levada.pyproject import parse_toml

    try:
        return _without_dates(parse_toml(text))
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"the parameters `{path}` are not TOML: {error}") from error


def _read_yaml(path: str, text: str) -> Any:
    from levada_compiler.front.file_formats import parse_yaml

    try:
        return _without_dates(parse_yaml(text))
    except ImportError as error:
        raise click.UsageError(
            f"the parameters `{path}` are YAML, which needs PyYAML: install it"
            " (`pip install pyyaml`), or write them as JSON or TOML"
        ) from error
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"the parameters `{path}` are not YAML: {error}") from error


def _without_dates(found: Any) -> Any:
    """Dates and times of TOML and YAML as ISO text, which is what JSON has for them.

    A key of YAML's that is no text becomes one, as in JSON.
    """
    if isinstance(found, dict):
        return {_as_key(key): _without_dates(item) for key, item in found.items()}
    if isinstance(found, list):
        return [_without_dates(item) for item in found]
    if isinstance(found, bytes | set):
        kind = type(found).__name__
        raise ValueError(f"JSON has no {kind}, which a value is: {str(found)[:80]}")  # noqa: TRY004
    return found.isoformat() if hasattr(found, "isoformat") else found
