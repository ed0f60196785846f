"""Which pipeline a compiled file was made from: said at its top, and read back from there."""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .program.ir import Program

_MADE = r"Made from ([^\n]+):([^\s:]+) by Levada"
#: How the program itself begins as JSON, which has no comments.
_IR = '{\n  "schema": "levada.ir/'


def made_from(program: Program, version: str) -> str:
    """Say what a file is made from; every file of Levada's targets has this near its top.

    ``Made from flows/churn.py:churn by Levada 0.1.0``
    """
    return f"Made from {program.origin} by Levada {version}".rstrip()


def origin_of(text: str) -> tuple[str, str] | None:
    """Return the module and the pipeline function that a file was made from, if it says so."""
    if text.startswith(_IR):
        return _origin_in_json(text)
    found = re.search(_MADE, text)
    return (found[1], found[2]) if found else None


def is_made(text: str) -> bool:
    """Return whether Levada wrote a file."""
    return text.startswith(_IR) or "by Levada " in text[:2000]


def _origin_in_json(text: str) -> tuple[str, str] | None:
    import json

    try:
        content = json.loads(text)
        return content["file"], content.get("function") or content["name"]
    except (ValueError, KeyError):
        return None


def conflict(root: str, old: str, new: str) -> str:
    """Say which other pipeline would lose its file; empty if none would.

    A pipeline that is not there any more, in the project at ``root``, was renamed or moved.
    """
    before, now = origin_of(old), origin_of(new)
    if before is None or now is None or before == now or not _is_there(root, *before):
        return ""
    return f"`{':'.join(before)}`, and this is `{':'.join(now)}`"


def _is_there(root: str, file: str, function: str) -> bool:
    import ast

    try:
        with open(os.path.join(root, *file.split("/")), "rb") as opened:
            tree = ast.parse(opened.read())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body)
