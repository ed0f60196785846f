"""Say what is wrong with a module, and show the smallest one with the same fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.reduction import reduced
from tests.fuzz.compiling import fault
from tests.fuzz.modules import module

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def report(seed: int, said: str, folder: Path) -> str:
    """Return what is wrong with the module of a number, a small module, and how to repeat it."""
    small = smaller(module(seed), _shows(said, folder))
    return "\n".join(
        [
            f"module {seed}: {said}",
            small.decode("utf-8", "backslashreplace"),
            f"repeat: python -m tests.fuzz --first {seed} --count 1",
        ]
    )


def _shows(said: str, folder: Path) -> Callable[[bytes], bool]:
    """Return whether a module has a fault with the same first line."""
    kind = said.partition("\n")[0] if not said.startswith("it takes") else "it takes"
    return lambda content: fault(content, folder).startswith(kind)


def smaller(content: bytes, shows: Callable[[bytes], bool]) -> bytes:
    """Return fewer lines of a module, then fewer nodes, for which ``shows`` is still true."""
    lines = content.splitlines(keepends=True)
    width = len(lines) // 2
    while width:
        at = 0
        while at < len(lines):
            fewer = lines[:at] + lines[at + width :]
            if shows(b"".join(fewer)):
                lines = fewer
            else:
                at += width
        width //= 2
    content = b"".join(lines)
    try:
        return reduced(content.decode(), lambda text: shows(text.encode())).encode()
    except (SyntaxError, ValueError, RecursionError):
        return content
