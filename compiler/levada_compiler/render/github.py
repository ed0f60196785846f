"""GitHub Actions workflow commands: annotations on the lines of a pull request.

Format: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from .cells import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada_compiler.diagnostics.diagnostic import Diagnostic


def github(diagnostics: Sequence[Diagnostic]) -> str:
    """One command a diagnostic."""
    return "".join(_command(diagnostic) for diagnostic in diagnostics)


def _command(diagnostic: Diagnostic) -> str:
    span = diagnostic.span
    properties = {"file": span.file, "line": str(span.line), "endLine": str(span.end_line)}
    if span.line == span.end_line:  # columns make sense to GitHub only within one line
        properties |= {"col": str(span.column), "endColumn": str(span.end_column)}
    properties["title"] = f"levada: {diagnostic.id}"
    settings = ",".join(f"{name}={_property(escape(value))}" for name, value in properties.items())
    return f"::{diagnostic.severity.value} {settings}::{_data(escape(_text(diagnostic)))}\n"


def _text(diagnostic: Diagnostic) -> str:
    parts = [diagnostic.message]
    if diagnostic.label:
        parts.append(diagnostic.label)
    if diagnostic.help:
        parts.append(f"help: {diagnostic.help}")
    return "\n".join([*parts, *diagnostic.edit])


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
