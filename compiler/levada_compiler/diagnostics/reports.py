"""Collects what there is to say about a module."""

from __future__ import annotations

from .diagnostic import Diagnostic, Label, Severity, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MOST_COMPARED = 100  #: names that a misspelt one is compared with


class Reports:
    """The diagnostics of one compilation; the same thing at the same place is said once."""

    def __init__(self) -> None:
        self.place: Span | None = None  #: of the statement under way
        self._seen: dict[tuple[str, Span, str], Diagnostic] = {}

    def error(
        self,
        rule: str,
        span: Span,
        message: str,
        *,
        label: str = "",
        labels: Sequence[Label] = (),
        help: str = "",  # noqa: A002 - the field's name in a diagnostic
        edit: Iterable[str] = (),
    ) -> None:
        """Add an error."""
        self._add(
            Diagnostic(rule, message, span, Severity.ERROR, label, tuple(labels), help, tuple(edit))
        )

    def warning(
        self,
        rule: str,
        span: Span,
        message: str,
        *,
        label: str = "",
        labels: Sequence[Label] = (),
        help: str = "",  # noqa: A002 - the field's name in a diagnostic
        edit: Iterable[str] = (),
    ) -> None:
        """Add a warning."""
        self._add(
            Diagnostic(
                rule, message, span, Severity.WARNING, label, tuple(labels), help, tuple(edit)
            )
        )

    def _add(self, diagnostic: Diagnostic) -> None:
        key = (diagnostic.id, diagnostic.span, diagnostic.message)
        self._seen.setdefault(key, diagnostic)

    def add_all(self, others: Reports) -> None:
        """Add what others have collected."""
        for diagnostic in others._seen.values():
            self._add(diagnostic)

    @property
    def failed(self) -> bool:
        """Whether there is an error."""
        return any(d.severity is Severity.ERROR for d in self._seen.values())

    def sorted(self, first: str) -> tuple[Diagnostic, ...]:
        """All of them by place, those of the file ``first`` before the others'."""
        return tuple(
            sorted(
                self._seen.values(),
                key=lambda d: (d.span.file != first, d.span, d.severity.value, d.id, d.message),
            )
        )


def closest(name: str, candidates: Iterable[str], likeness: float = 0.6) -> str | None:
    """The candidate that ``name`` was probably meant to be, of at least this likeness (0 to 1)."""
    from difflib import get_close_matches

    known = set(candidates)
    if len(known) > _MOST_COMPARED:  # comparing costs a microsecond, for each error of a file
        known = {each for each in known if each[:1] == name[:1] and abs(len(each) - len(name)) < 3}
    found = get_close_matches(name, sorted(known)[:_MOST_COMPARED], n=1, cutoff=likeness)
    return found[0] if found else None


def did_you_mean(name: str, candidates: Iterable[str], otherwise: str = "") -> str:
    """``did you mean `x`?`` or ``otherwise``."""
    found = closest(name, candidates)
    return f"did you mean `{found}`?" if found else otherwise


def listing(names: Sequence[str]) -> str:
    """`a`, `b` and `c`."""
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
