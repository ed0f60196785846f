"""Which functions, classes and constants differ between two programs, each with its diff."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .program_units import Definition
    from .rows import CodeRow

#: Lines of a definition that a diff is made of: difflib takes time by the square of them.
MAX_LINES = 4000
#: Lines around a change.
CONTEXT = 3


def code_changes(before: Iterable[Definition], after: Iterable[Definition]) -> list[CodeRow]:
    """Return what differs in meaning between two programs, in the order of files and lines.

    A definition that only moved to another file does not differ. An import that one program alone
    has is left out: where it matters, something that uses it differs too.
    """
    old = {(each.file, each.name): each for each in before}
    new = {(each.file, each.name): each for each in after}
    pairs: list[tuple[Definition | None, Definition | None]] = [
        (old[key], new[key]) for key in old if key in new
    ]
    removed = [old[key] for key in old if key not in new]
    added = [new[key] for key in new if key not in old]
    for gone in removed:
        found = _counterpart(gone, added)
        if found is not None:
            added.remove(found)
        pairs.append((gone, found))
    pairs += [(None, each) for each in added]
    changes = [_change(*pair) for pair in pairs if _is_change(*pair)]
    return [row for _, row in sorted(changes, key=lambda change: change[0])]


def _counterpart(gone: Definition, added: list[Definition]) -> Definition | None:
    """Find where a definition went: to another file, or a statement that was written anew."""
    same = [each for each in added if (each.kind, each.name) == (gone.kind, gone.name)]
    if not same and gone.kind == "statement":
        same = [each for each in added if (each.kind, each.file) == (gone.kind, gone.file)]
    equal = [each for each in same if each.meaning == gone.meaning]
    return next(iter([*equal, *same]), None)


def _is_change(before: Definition | None, after: Definition | None) -> bool:
    if before is None or after is None:
        found = before or after
        return found is not None and found.kind != "import"
    return before.meaning != after.meaning


def _change(
    before: Definition | None, after: Definition | None
) -> tuple[tuple[str, int, str], CodeRow]:
    """Return the row of a change, and what it is sorted by."""
    shown = after or before
    assert shown is not None  # noqa: S101  a pair has at least one of them
    change = "changed" if before and after else ("added" if after else "removed")
    steps = {step for each in (before, after) if each is not None for step in each.steps}
    row: CodeRow = {
        "function": shown.name,
        "kind": shown.kind,  # type: ignore[typeddict-item]
        "file": shown.file,
        "change": change,  # type: ignore[typeddict-item]
        "diff": unified(before, after),
        "steps": sorted(steps),
        "runs": [],
    }
    return (shown.file, shown.line, shown.name), row


def unified(before: Definition | None, after: Definition | None) -> str | None:
    """Return a unified diff with the lines numbered as in the files; None if it is too long."""
    from difflib import unified_diff

    old = before.text.splitlines() if before else []
    new = after.text.splitlines() if after else []
    if len(old) + len(new) > MAX_LINES:
        return None
    from_file = f"a/{before.file}" if before else "/dev/null"
    to_file = f"b/{after.file}" if after else "/dev/null"
    lines = list(unified_diff(old, new, from_file, to_file, n=CONTEXT, lineterm=""))
    starts = (before.line if before else 0, after.line if after else 0)
    return "\n".join(_numbered(line, *starts) if line[:2] == "@@" else line for line in lines)


def _numbered(header: str, old: int, new: int) -> str:
    """Count the lines of a hunk's header from the beginning of the files."""
    _, removed, added, _ = header.split(" ")
    return f"@@ -{_moved(removed[1:], old)} +{_moved(added[1:], new)} @@"


def _moved(span: str, first: int) -> str:
    start, comma, count = span.partition(",")
    return f"{int(start) + max(first - 1, 0)}{comma}{count}"
