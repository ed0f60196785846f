"""One value for everything the compiler has to say about a module."""

from __future__ import annotations

from enum import Enum

from ..slotted import dataclass


class Severity(Enum):
    """How bad it is: an error stops the compilation, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A range of source text.

    ``file`` is a POSIX path relative to the project's root. Lines and columns count from 1;
    columns count characters (code points), not bytes. The end column is exclusive.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Label:
    """A secondary place that says why."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """What is wrong, where, why, and a way out.

    ``id`` is a kebab-case rule name with a page of its own (``levada explain ID``). ``message``
    says what, ``label`` is written under the primary span, ``help`` is a concrete way out and
    ``edit`` the lines that it would add or replace.
    """

    id: str
    message: str
    span: Span
    severity: Severity = Severity.ERROR
    label: str = ""
    labels: tuple[Label, ...] = ()
    help: str = ""
    edit: tuple[str, ...] = ()

    @property
    def is_error(self) -> bool:
        """Whether it keeps the module from being compiled."""
        return self.severity is Severity.ERROR
