"""Which pipeline a compiled file was made from: said at its top, and read back from there."""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .program.ir import Program

_MADE = r"Made from ([^\n]+):([^\s:]+) by Levada(?: [^\s;<]+?)?"
#: How the program itself begins as JSON, which has no comments.
_IR = '{\n  "schema": "levada.ir/'
#: The kinds of files, and how each begins. A text that only mentions such a line is not one.
_HEADERS = {
    "kubeflow": re.compile(rf"# [^\n]+ for Kubeflow Pipelines 2\. {_MADE}\.\n"),
    "kubernetes": re.compile(rf"# {_MADE}; do not edit: compile it again\.\n"),
    "mermaid": re.compile(rf"(?:```mermaid\n)?flowchart TD\n  %% {_MADE}\n"),
    "svg": re.compile(rf"<svg [^\n]+\n  <title>[^\n]*</title>\n  <metadata>{_MADE}</metadata>\n"),
}
#: The end of a DAG's docstring, which begins with what the user says of the pipeline.
_DOCUMENTED = re.compile(rf"^{_MADE}\.\nSource: sha256:[0-9a-f]{{64}}\n", re.MULTILINE)
_QUOTES = '"""'
#: A header is at the top of a file.
HEAD = 1 << 16


def made_from(program: Program, version: str) -> str:
    """Say what a file is made from; every file of Levada's targets has this near its top.

    ``Made from flows/churn.py:churn by Levada 0.1.0``
    """
    return f"Made from {program.origin} by Levada {version}".rstrip()


def origin_of(text: str) -> tuple[str, str] | None:
    """Return the module and the pipeline function that a file was made from, if it says so."""
    if kind_of(text) == "ir":
        return _origin_in_json(text)
    _, found = _header(text)
    return (found[1], found[2]) if found else None


def kind_of(text: str) -> str:
    """Return the kind of a file that Levada wrote (``airflow``, ``ir``, …); else nothing."""
    return _header(text)[0]


def is_made(text: str) -> bool:
    """Return whether Levada wrote a file."""
    return bool(kind_of(text))


def _header(text: str) -> tuple[str, re.Match[str] | None]:
    """The kind of a file by the line at its top that says so, and that line."""
    head = text[:HEAD].replace("\r\n", "\n")
    if head.startswith(_IR):
        return "ir", None
    if head.startswith(_QUOTES):
        documented, _, _ = head[len(_QUOTES) :].partition(_QUOTES)
        found = list(_DOCUMENTED.finditer(documented))
        return ("airflow", found[-1]) if found else ("", None)
    for kind, pattern in _HEADERS.items():
        if match := pattern.match(head):
            return kind, match
    return "", None


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
