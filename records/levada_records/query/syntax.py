"""The text of an expression as a tree of Python's, and the error that points into the text."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from typing import Any

_ONLY_AST = 0x400  # ast.PyCF_ONLY_AST
#: Characters of an expression. Python's parser takes a minute for some that are much longer.
LONGEST = 20_000


_SPACES = str.maketrans("\r\n\t\f\v", "     ")


class QueryError(ValueError):
    """What was asked of the index makes no sense. ``str(error)`` shows the place below the message.

    ``message`` is the first line. ``text`` is the expression; ``start`` and ``end`` are offsets in
    it, in characters.
    """

    def __init__(self, message: str, text: str = "", start: int = 0, end: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        self.start = start
        self.end = max(end, start + 1)

    def __str__(self) -> str:
        if not self.text:
            return self.message
        # A long expression is cut, so that the place stays in sight.
        first = max(0, self.start - 60)
        last = first + 160
        gap = " " * _width(self.text[first : self.start])
        mark = "^" * max(1, _width(self.text[self.start : min(self.end, last)]))
        return f"{self.message}\n  {self.text[first:last]}\n  {gap}{mark}"


class Text:
    """The text of one expression; makes errors that point at a node of its tree."""

    __slots__ = ("_bytes", "text")

    def __init__(self, text: str) -> None:
        #: A line break is a space: the expression is one line then.
        self.text = text.translate(_SPACES)
        self._bytes = b""

    def tree(self) -> ast.expr:
        """Return the tree. Raises QueryError if the text is not an expression."""
        import warnings

        stripped = self.text.lstrip()
        self.text = stripped.rstrip()
        if not self.text:
            raise QueryError("the expression is empty: write, for example, status == 'failed'")
        if len(self.text) > LONGEST:
            raise QueryError(f"the expression is longer than {LONGEST:,} characters")
        _check_characters(self.text)
        try:
            with warnings.catch_warnings():  # `x is 3` has a better message of ours
                warnings.simplefilter("ignore")
                tree: Any = compile(self.text, "<where>", "eval", _ONLY_AST, dont_inherit=True)
        except SyntaxError as error:
            raise self._syntax_error(error) from None
        except (ValueError, MemoryError, RecursionError):
            raise QueryError("the expression is nested too deep, or is no text") from None
        body: ast.expr = tree.body
        return body

    def error(self, message: str, node: ast.AST) -> QueryError:
        """Return the error that points at a node."""
        found: Any = node
        end = self._characters(found.end_col_offset or 0)
        return QueryError(message, self.text, self._characters(found.col_offset), end)

    def source(self, node: ast.AST) -> str:
        """Return the text of a node."""
        found: Any = node
        start, end = found.col_offset, found.end_col_offset or 0
        return self.text[self._characters(start) : self._characters(end)]

    def _characters(self, offset: int) -> int:
        """Return an offset in characters; the tree has it in bytes of UTF-8."""
        self._bytes = self._bytes or self.text.encode("utf-8")
        return len(self._bytes[:offset].decode("utf-8", "ignore"))

    def _syntax_error(self, error: SyntaxError) -> QueryError:
        last = max(len(self.text) - 1, 0)
        start = min(error.offset - 1, last) if error.offset else last  # none: at the end
        end = error.end_offset - 1 if error.end_offset and error.end_offset > 0 else start + 1
        message = f"this is not an expression: {error.msg}"
        rest = self.text[start:].lstrip()
        is_assignment = rest.startswith("=") and not rest.startswith("==")
        if is_assignment or "'=='" in (error.msg or ""):
            message = "this is not an expression: compare with `==`"
        return QueryError(message, self.text, start, min(end, len(self.text)))


def _check_characters(text: str) -> None:
    """Refuse what no database takes as text."""
    for position, character in enumerate(text):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            shown = f"<U+{ord(character):04X}>"
            raise QueryError(
                f"character {position + 1} of the expression is {shown}, which no text of a run has"
            )


def _width(text: str) -> int:
    """Return the columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text
    )
