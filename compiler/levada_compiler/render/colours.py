"""Terminal colours: which parts of a message get which, and none at all where none are wanted."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

#: What ``--color`` takes.
CHOICES = ("auto", "always", "never")
_CODES = {
    "error": "1;31",
    "warning": "1;33",
    "help": "1;32",
    "added": "32",
    "removed": "31",
    "frame": "1;34",
    "bold": "1",
    "dim": "2",
    "good": "32",
}


class Palette:
    """Paints text by its role, or leaves it alone."""

    __slots__ = ("enabled",)

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def paint(self, role: str, text: str) -> str:
        """``text`` in the colour of ``role``; one of ``error warning help frame bold …``."""
        if not self.enabled or not text:
            return text
        return f"\x1b[{_CODES[role]}m{text}\x1b[0m"


def palette(choice: str, stream: TextIO) -> Palette:
    """The colours for a stream: those of ``--color``, else of the environment and the terminal."""
    if choice != "auto":
        return Palette(choice == "always")
    if os.environ.get("NO_COLOR"):
        return Palette(False)
    if os.environ.get("FORCE_COLOR"):
        return Palette(True)
    return Palette(stream.isatty() and os.environ.get("TERM") != "dumb")
