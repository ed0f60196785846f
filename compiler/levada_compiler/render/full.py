"""The full form: the message, the source with every label under its place, and the way out."""

from __future__ import annotations

from levada_compiler.diagnostics.diagnostic import Label, Severity

from .cells import escape, one_line, source_lines
from .colours import Palette
from .snippet import Mark, snippet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from levada_compiler.diagnostics.diagnostic import Diagnostic


def full(
    diagnostics: Sequence[Diagnostic], sources: Mapping[str, str], *, colour: bool = False
) -> str:
    """All diagnostics, a blank line between two, and how many there were at the end."""
    if not diagnostics:
        return ""
    palette = Palette(colour)
    lines = {file: source_lines(text) for file, text in sources.items()}
    blocks = [_block(diagnostic, lines, palette) for diagnostic in diagnostics]
    return "\n".join([*blocks, f"{tally(diagnostics)}\n"])


def tally(diagnostics: Sequence[Diagnostic]) -> str:
    """``2 errors, 1 warning``."""
    errors = sum(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics)
    warnings = len(diagnostics) - errors
    counts = [(errors, "error"), (warnings, "warning")]
    return ", ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in counts if n)


def _block(diagnostic: Diagnostic, lines: Mapping[str, Sequence[str]], palette: Palette) -> str:
    severity = diagnostic.severity.value
    kind = palette.paint(severity, f"{severity}[{diagnostic.id}]")
    marks = _marks(diagnostic)
    known = {file for file in marks if lines.get(file)}
    digits = max((_last_line(marks[file], len(lines[file])) for file in known), default=1)
    margin = len(str(digits))
    out = [f"{kind}{palette.paint('bold', ': ' + one_line(diagnostic.message))}"]
    for number, (file, here) in enumerate(marks.items()):
        out.append(_arrow(diagnostic, file, here, margin, palette, known, first=not number))
        if file in known:
            out += snippet(here, lines[file], margin, palette, severity)
    return "\n".join(out + _help(diagnostic, margin, palette)) + "\n"


def _arrow(
    diagnostic: Diagnostic,
    file: str,
    marks: Sequence[Mark],
    margin: int,
    palette: Palette,
    known: set[str],
    *,
    first: bool,
) -> str:
    span = diagnostic.span if first else min(mark.span for mark in marks)
    place = f"{one_line(file)}:{span.line}:{span.column}" if file in known else one_line(file)
    return " " * margin + palette.paint("frame", "--> " if first else "::: ") + place


def _marks(diagnostic: Diagnostic) -> dict[str, list[Mark]]:
    """The places to show by file, the file of the primary one first."""
    marks = {
        diagnostic.span.file: [Mark(diagnostic.span, one_line(diagnostic.label), primary=True)]
    }
    for label in diagnostic.labels:
        marks.setdefault(label.span.file, []).append(_secondary(label))
    return marks


def _secondary(label: Label) -> Mark:
    return Mark(label.span, one_line(label.text), primary=False)


def _last_line(marks: Sequence[Mark], count: int) -> int:
    return min(max(max(mark.span.line, mark.span.end_line) for mark in marks), count)


def _help(diagnostic: Diagnostic, margin: int, palette: Palette) -> list[str]:
    if not diagnostic.help and not diagnostic.edit:
        return []
    first, *more = escape(diagnostic.help or "write").split("\n")
    out = [f"{palette.paint('help', 'help')}: {first}", *(f"      {line}" for line in more)]
    indent = " " * (margin + 1)
    added = (f"+ {one_line(line)}".rstrip() for line in diagnostic.edit)
    return out + [indent + palette.paint("added", line) for line in added]
