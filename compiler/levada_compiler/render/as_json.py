"""The diagnostics as a JSON list of flat objects."""

from __future__ import annotations

import json

from .cells import escaped_in_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from levada_compiler.diagnostics.diagnostic import Diagnostic, Span


def as_json(diagnostics: Sequence[Diagnostic]) -> str:
    """A list, indented by two, that ends with a newline."""
    text = json.dumps([as_object(diagnostic) for diagnostic in diagnostics], indent=2)
    return escaped_in_json(text) + "\n"


def as_object(diagnostic: Diagnostic) -> dict[str, Any]:
    """One diagnostic. Lines and columns count from 1, the end is exclusive."""
    return {
        **_place(diagnostic.span),
        "id": diagnostic.id,
        "severity": diagnostic.severity.value,
        "message": diagnostic.message,
        "label": diagnostic.label,
        "labels": [{**_place(label.span), "message": label.text} for label in diagnostic.labels],
        "help": diagnostic.help,
        "edit": list(diagnostic.edit),
    }


def _place(span: Span) -> dict[str, Any]:
    return {
        "file": span.file,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }
