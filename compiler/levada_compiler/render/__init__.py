"""What the compiler has to say, in the form that its reader wants.

Every renderer is a function from diagnostics (sorted, with files already named as the reader
knows them) and the sources by file to text. None of them reads a file or a clock.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from levada_compiler.diagnostics.diagnostic import Diagnostic

FORMATS = ("full", "concise", "json", "github", "sarif")


def render(
    diagnostics: Sequence[Diagnostic],
    sources: Mapping[str, str],
    form: str = "full",
    *,
    colour: bool = False,
) -> str:
    """The diagnostics in one of :data:`FORMATS`; text that ends with a newline, or nothing."""
    if form in ("full", "concise", "github") and not diagnostics:
        return ""
    if form == "full":
        from .full import full

        return full(diagnostics, sources, colour=colour)
    if form == "concise":
        from .concise import concise

        return concise(diagnostics, colour=colour)
    if form == "json":
        from .as_json import as_json

        return as_json(diagnostics)
    if form == "github":
        from .github import github

        return github(diagnostics)
    from .sarif import sarif

    return sarif(diagnostics, sources)
