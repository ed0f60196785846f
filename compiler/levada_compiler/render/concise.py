"""One line a diagnostic: ``file:line:column: error[id]: message``."""

from __future__ import annotations

from .cells import one_line
from .colours import Palette

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada_compiler.diagnostics.diagnostic import Diagnostic


def concise(diagnostics: Sequence[Diagnostic], *, colour: bool = False) -> str:
    """The lines, in order."""
    palette = Palette(colour)
    return "".join(_line(diagnostic, palette) for diagnostic in diagnostics)


def _line(diagnostic: Diagnostic, palette: Palette) -> str:
    span = diagnostic.span
    severity = diagnostic.severity.value
    place = palette.paint("bold", f"{one_line(span.file)}:{span.line}:{span.column}")
    kind = palette.paint(severity, f"{severity}[{diagnostic.id}]")
    return f"{place}: {kind}: {one_line(diagnostic.message)}\n"
