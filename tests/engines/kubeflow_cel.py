"""Decide conditions by an implementation of CEL, in KFP's environment, by `tests.engines.kubeflow`.

Standard input is a JSON list of pairs: a condition, and the parameters as KFP would give them to
CEL (a number is a double there).
"""

from __future__ import annotations

import json
import sys
from typing import Any

import celpy
from celpy.adapter import json_to_cel


def decide(condition: str, parameters: dict[str, Any]) -> Any:
    """True, false, or the text of an error."""
    environment = celpy.Environment()
    try:
        program = environment.program(environment.compile(condition))
        given = json_to_cel({"parameter_values": as_doubles(parameters)})
        return bool(program.evaluate({"inputs": given}))
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"


def as_doubles(value: Any) -> Any:
    """JSON with every number as KFP has it (`google.protobuf.Value`)."""
    if isinstance(value, dict):
        return {name: as_doubles(each) for name, each in value.items()}
    if isinstance(value, list):
        return [as_doubles(each) for each in value]
    return float(value) if type(value) is int else value


if __name__ == "__main__":
    print(json.dumps([decide(*question) for question in json.load(sys.stdin)]))
