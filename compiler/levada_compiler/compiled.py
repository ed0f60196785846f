"""What compiling a file gave: a program, or the diagnostics that say why there is none."""

from __future__ import annotations

from .slotted import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .diagnostics.diagnostic import Diagnostic
    from .program.ir import Program


@dataclass(frozen=True, slots=True)
class Compilation:
    """The result of compiling one file.

    ``program`` is None if there is an error. ``sources`` holds the text of every file that a span
    may point into, ``files`` the absolute path and ``sha256:…`` of everything that was read.
    ``pipelines`` are the names of the module's pipelines, ``outermost`` those that no other one of
    them calls.
    """

    program: Program | None
    diagnostics: tuple[Diagnostic, ...]
    sources: dict[str, str]
    files: dict[str, str]
    pipelines: tuple[str, ...]
    consulted: tuple[str, ...] = ()
    outermost: tuple[str, ...] = ()
