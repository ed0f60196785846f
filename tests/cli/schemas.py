"""The JSON that commands print is what the schemas in the package say."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema


def valid(name: str, text: str) -> Any:
    """The document that a command has printed; fails if it is not as the schema ``name`` says."""
    schema = json.loads(files("levada_cli").joinpath("schemas", f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    found = json.loads(text)
    jsonschema.validate(found, schema, cls=jsonschema.Draft202012Validator)
    return found
