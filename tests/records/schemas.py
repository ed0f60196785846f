"""The JSON that commands print is what the schemas in the package say."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema


def schema(name: str) -> Any:
    """The schema of ``levada NAME --json``."""
    text = files("levada_records").joinpath("schemas", f"{name}.json").read_text(encoding="utf-8")
    return json.loads(text)


def assert_valid(document: Any, name: str) -> None:
    """Fail unless a document, or the text of one, is as the schema of this name says."""
    loaded = json.loads(document, parse_constant=_refuse) if isinstance(document, str) else document
    found = schema(name)
    jsonschema.Draft202012Validator.check_schema(found)
    jsonschema.validate(loaded, found, cls=jsonschema.Draft202012Validator)


def _refuse(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")
