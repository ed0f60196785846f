"""The text of a module, and where things stand in it."""

from __future__ import annotations

import re

from ..diagnostics.diagnostic import Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from typing import Protocol

    class Placed(Protocol):
        """Whatever of ``ast`` has a position."""

        lineno: int
        col_offset: int
        end_lineno: int | None
        end_col_offset: int | None


#: Where the tokenizer ends a line; ``str.splitlines`` knows more line ends than Python does.
LINE_END = re.compile(r"\r\n|\r|\n")


class Source:
    """A module's text with its lines, able to turn byte offsets of ``ast`` into columns."""

    __slots__ = ("file", "lines", "text")

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.lines = LINE_END.split(text)

    def span(self, node: Placed | ast.AST) -> Span:
        """The range of ``node``; the first character of the file for nodes without a place."""
        line: int = getattr(node, "lineno", 1)
        start: int = getattr(node, "col_offset", 0)
        end_line: int = getattr(node, "end_lineno", None) or line
        end: int | None = getattr(node, "end_col_offset", None)
        column = self.column(line, start)
        end_column = self.column(end_line, end) if end is not None else column
        return Span(self.file, line, column, end_line, end_column)

    def column(self, line: int, offset: int) -> int:
        """The column, from 1 and in characters, of a byte offset in ``line``."""
        if not 1 <= line <= len(self.lines):
            return offset + 1
        text = self.lines[line - 1]
        if text.isascii():
            return offset + 1
        return len(text.encode("utf-8", "surrogatepass")[:offset].decode("utf-8", "ignore")) + 1

    def line_span(self, line: int, column: int = 1) -> Span:
        """From ``column`` to the end of ``line``, both brought into the file's range."""
        line = min(max(line, 1), len(self.lines))
        width = len(self.lines[line - 1])
        column = min(max(column, 1), width + 1)
        return Span(self.file, line, column, line, max(width, column) + 1)

    def segment(self, node: ast.AST) -> str:
        """The text of an expression, on one line."""
        span = self.span(node)
        if span.line == span.end_line:
            return self.lines[span.line - 1][span.column - 1 : span.end_column - 1]
        rows = self.lines[span.line - 1 : span.end_line]
        rows[0] = rows[0][span.column - 1 :]
        rows[-1] = rows[-1][: span.end_column - 1]
        return " ".join(row.strip() for row in rows)
