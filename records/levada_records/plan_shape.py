"""Tells whether what a store has as a plan is one that this version of Levada reads.

A plan in a store may be damaged, newer than this Levada, or changed by somebody. The engine and the
reading side read plans as `levada.plan_types` says, and would end in an internal error.
"""

from __future__ import annotations

from typing import Any

SCHEMA = "levada.plan/2"

_TEXTS = {"*": str}
_PARAMETER = {"name": str, "type": str, "schema": dict, "required": bool}
_STEP = {
    "module": str,
    "function": str,
    "source_root": str,
    "code": (str, type(None)),
    "imports": [str],
    "outputs": [str],
    "returns": str,
    "settings": dict,
    "file?": str,
    "container?": dict,
}
#: A shape is a class, several of them, a list of one shape, or a dict of shapes by field: ``*`` is
#: any field, and one with ``?`` may be left out.
_PLAN = {
    "schema": str,
    "pipeline": str,
    "file": str,
    "source": (str, type(None)),
    "search": [str],
    "settings": dict,
    "parameters": [_PARAMETER],
    "steps": {"*": _STEP},
    "definitions?": _TEXTS,
    "body": [dict],
    "result": {"values": [str], "names": [str], "kind": str, "after": [str]},
}
_NODE = {"id": str, "kind": str, "after": [str]}
_KINDS: dict[str, dict[str, Any]] = {
    "call": {"step": str, "inputs": _TEXTS, "settings": dict},
    "value": {},
    "fail": {"classes": [str], "arguments": [str], "guard": (str, type(None))},
    "branch": {"condition": str, "then": [dict], "otherwise": [dict]},
    "loop": {"target": str, "items": str, "where": [str], "body": [dict]},
    "guard": {
        "body": [dict],
        "handler": (list, type(None)),
        "final": [dict],
        "checks": [str],
    },
    "group": {"pipeline": str, "body": [dict]},
}
_REGIONS = ("then", "otherwise", "body", "handler", "final")


def problem_of(plan: Any) -> str | None:
    """Say in words why something is no plan that can be read; None if it is one.

    >>> problem_of({"schema": "levada.plan/9", "body": []})
    'its plan is levada.plan/9, and this Levada reads levada.plan/2'
    """
    schema = plan.get("schema") if isinstance(plan, dict) else None
    if isinstance(schema, str) and schema.startswith("levada.plan/") and schema != SCHEMA:
        return f"its plan is {schema}, and this Levada reads {SCHEMA}"
    if schema != SCHEMA or not _fits(plan, _PLAN):
        return "its plan is damaged"
    return None if _are_nodes(plan["body"], plan["steps"]) else "its plan is damaged"


def _are_nodes(body: list[Any], steps: dict[str, Any]) -> bool:
    pending = [*body]
    while pending:
        node = pending.pop()
        if not _fits(node, _NODE) or node["kind"] not in _KINDS:
            return False
        if not _fits(node, _KINDS[node["kind"]]):
            return False
        if node["kind"] == "call" and node["step"] not in steps:
            return False
        for region in _REGIONS:
            pending += node.get(region) or ()
    return True


def _fits(value: Any, shape: Any) -> bool:
    if isinstance(shape, list):
        return isinstance(value, list) and all(_fits(each, shape[0]) for each in value)
    if not isinstance(shape, dict):
        return isinstance(value, shape)
    if not isinstance(value, dict):
        return False
    for field, inner in shape.items():
        name = field.removesuffix("?")
        if field == "*":
            if not all(_fits(each, inner) for each in value.values()):
                return False
        elif name in value:
            if not _fits(value[name], inner):
                return False
        elif name == field:
            return False
    return True
