"""A piece of source with its labels drawn under the places that they are about."""

from __future__ import annotations

from itertools import groupby

from levada_compiler.slotted import dataclass, replace

from .cells import cells

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada_compiler.diagnostics.diagnostic import Span

    from .cells import Cell
    from .colours import Palette

#: Columns of source that are shown; longer lines are cut around their labels.
LIMIT = 140
#: A span of more lines than this is shown without its middle.
TALL = 6


@dataclass(frozen=True, slots=True)
class Mark:
    """A place, what is said about it, and whether it is what the diagnostic is about."""

    span: Span
    text: str
    primary: bool


@dataclass(frozen=True, slots=True)
class _Piece:
    """The part of a mark on one line, in display columns."""

    start: int
    end: int
    text: str
    primary: bool


def snippet(
    marks: Sequence[Mark], lines: Sequence[str], margin: int, palette: Palette, severity: str
) -> list[str]:
    """The rows between the arrow and the help; ``margin`` is the width of the line numbers."""
    placed = [replace(mark, span=_within(mark.span, lines)) for mark in marks]
    tall = [mark for mark in placed if mark.span.end_line > mark.span.line]
    flat = [mark for mark in placed if mark.span.end_line == mark.span.line]
    frame = _Frame(margin, tall, palette, severity)
    rows = [frame.row(None, "")]
    for number in _shown_lines(placed):
        if number is None:
            rows.append(frame.gap())
        else:
            rows += _line_rows(number, lines[number - 1], flat, frame)
    return rows


class _Frame:
    """Writes rows: line number, bar, and one column for each span of several lines."""

    def __init__(self, margin: int, tall: Sequence[Mark], palette: Palette, severity: str) -> None:
        self.margin = margin
        self.tall = list(tall)
        self.palette = palette
        self.severity = severity
        self.open: set[int] = set()

    def row(self, number: int | None, text: str, bars: str | None = None) -> str:
        label = " " * self.margin if number is None else f"{number:>{self.margin}}"
        start = self.palette.paint("frame", f"{label} |")
        rest = (self.bars() if bars is None else bars) + text
        return f"{start} {rest}".rstrip() if rest.strip() else start

    def gap(self) -> str:
        """Lines that are left out."""
        return f"{'...':<{self.margin + 3}}{self.bars()}".rstrip()

    def bars(self) -> str:
        return "".join(
            self.paint("|", mark) + " " if index in self.open else "  "
            for index, mark in enumerate(self.tall)
        )

    def paint(self, text: str, mark: Mark | _Piece) -> str:
        return self.palette.paint(self.severity if mark.primary else "frame", text)

    def starting(self, number: int) -> list[int]:
        return [i for i, mark in enumerate(self.tall) if mark.span.line == number]

    def ending(self, number: int) -> list[int]:
        return [i for i, mark in enumerate(self.tall) if mark.span.end_line == number]


def _within(span: Span, lines: Sequence[str]) -> Span:
    """The span, moved into the text if it points outside of it."""
    last = len(lines)
    line = min(max(span.line, 1), last)
    end_line = min(max(span.end_line, line), last)
    column = min(max(span.column, 1), len(lines[line - 1]) + 1)
    end_column = min(max(span.end_column, 1), len(lines[end_line - 1]) + 1)
    if end_line > line and end_column == 1:  # ends before the first character of a line
        end_line -= 1
        end_column = len(lines[end_line - 1]) + 1
    if end_line == line:
        end_column = max(end_column, column)
    return type(span)(span.file, line, column, end_line, end_column)


def _shown_lines(marks: Sequence[Mark]) -> list[int | None]:
    """The numbers of the lines to show, None where lines within a span are left out."""
    wanted: set[int] = set()
    gaps: set[int] = set()
    for mark in marks:
        first, last = mark.span.line, mark.span.end_line
        if last - first < TALL:
            wanted.update(range(first, last + 1))
        else:
            wanted.update((first, first + 1, last - 1, last))
            gaps.add(first + 1)
    shown: list[int | None] = []
    for number in sorted(wanted):
        shown.append(number)
        if number in gaps and number + 1 not in wanted:
            shown.append(None)
    return shown


def _line_rows(number: int, line: str, flat: Sequence[Mark], frame: _Frame) -> list[str]:
    shown = cells(line)
    spans = [mark for mark in flat if mark.span.line == number]
    points = [(mark.span.column - 1, mark.span.end_column - 1) for mark in spans]
    edges = [(frame.tall[i].span.column - 1,) * 2 for i in frame.starting(number)]
    edges += [(max(frame.tall[i].span.end_column - 2, 0),) * 2 for i in frame.ending(number)]
    view = _View(shown, points + edges)
    rows = [_source_row(number, line, view, frame)]
    rows += _opening_rows(number, line, view, frame)
    pieces = [
        _Piece(*view.columns(start, end), mark.text, mark.primary)
        for mark, (start, end) in zip(spans, points, strict=True)
    ]
    rows += [frame.row(None, text) for text in _label_rows(pieces, frame)]
    return rows + _closing_rows(number, view, frame)


def _source_row(number: int, line: str, view: _View, frame: _Frame) -> str:
    """The line itself; a span that starts at its first word is opened by a slash beside it."""
    slashes = [i for i in frame.starting(number) if _starts_line(frame.tall[i], line)]
    bars = "".join(
        frame.paint("/", mark) + " "
        if index in slashes
        else (frame.paint("|", mark) + " " if index in frame.open else "  ")
        for index, mark in enumerate(frame.tall)
    )
    frame.open.update(slashes)
    return frame.row(number, view.text, bars)


def _opening_rows(number: int, line: str, view: _View, frame: _Frame) -> list[str]:
    """A row ``____^`` for each span that starts within the line."""
    rows = []
    for index in frame.starting(number):
        mark = frame.tall[index]
        if _starts_line(mark, line):
            continue
        at, _ = view.columns(mark.span.column - 1, mark.span.column)
        run = "_" * (2 * (len(frame.tall) - index) - 1 + at)
        bars = _bars_before(frame, index) + " "
        rows.append(frame.row(None, frame.paint(run + _sign(mark), mark), bars))
        frame.open.add(index)
    return rows


def _closing_rows(number: int, view: _View, frame: _Frame) -> list[str]:
    """A row ``|____^ label`` for each span that ends in the line."""
    rows = []
    for index in frame.ending(number):
        mark = frame.tall[index]
        at, _ = view.columns(max(mark.span.end_column - 2, 0), mark.span.end_column - 1)
        run = "|" + "_" * (2 * (len(frame.tall) - index) - 1 + at) + _sign(mark)
        text = f"{run} {mark.text}".rstrip()
        rows.append(frame.row(None, frame.paint(text, mark), _bars_before(frame, index)))
        frame.open.discard(index)
    return rows


def _bars_before(frame: _Frame, index: int) -> str:
    return "".join(
        frame.paint("|", mark) + " " if place in frame.open else "  "
        for place, mark in enumerate(frame.tall[:index])
    )


def _starts_line(mark: Mark, line: str) -> bool:
    return not line[: mark.span.column - 1].strip()


def _sign(mark: Mark | _Piece) -> str:
    return "^" if mark.primary else "-"


# ---------------------------------------------------------------------------- one line


class _View:
    """A line as it is shown: all of it, or the part around its labels."""

    def __init__(self, shown: Sequence[Cell], points: Sequence[tuple[int, int]]) -> None:
        self.offsets = [0]
        for cell in shown:
            self.offsets.append(self.offsets[-1] + cell.width)
        first, last = _window(self.offsets, points)
        before, after = first > 0, last < len(shown)
        text = "".join(cell.text for cell in shown[first:last])
        self.text = f"{'…' if before else ''}{text}{'…' if after else ''}".rstrip()
        self.shift = self.offsets[first] - before
        self.end = self.offsets[last] - self.shift + after

    def columns(self, start: int, end: int) -> tuple[int, int]:
        """Display columns of a range of characters; at least one wide, and in view."""
        last = len(self.offsets) - 1
        left = self.offsets[min(start, last)] - self.shift
        right = self.offsets[min(end, last)] - self.shift
        left = min(max(left, 0), self.end)
        return left, max(min(right, self.end), left + 1)


def _window(offsets: Sequence[int], points: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Which characters to show (first, last), so that as many points as possible are in view."""
    count = len(offsets) - 1
    if offsets[-1] <= LIMIT:
        return 0, count
    starts = [min(start, count) for start, _ in points] or [0]
    ends = [min(max(end, start), count) for start, end in points] or [0]
    if offsets[max(ends)] <= LIMIT - 10:
        return 0, _until(offsets, 0)
    first = next(i for i in range(count + 1) if offsets[i] >= offsets[min(starts)] - 20)
    return first, _until(offsets, first)


def _until(offsets: Sequence[int], first: int) -> int:
    fits = (i for i in range(len(offsets) - 1, first, -1) if offsets[i] - offsets[first] <= LIMIT)
    return next(fits, first)


# ---------------------------------------------------------------------------- labels


def _label_rows(pieces: Sequence[_Piece], frame: _Frame) -> list[str]:
    """The row of carets and dashes, the last label beside it and the others hung below."""
    if not pieces:
        return []
    order = sorted(pieces, key=lambda piece: (piece.start, piece.primary))
    beside, below = _arrange(order)
    rows = [_signs_row(order, frame)]
    if beside and beside.text:
        rows[0] += " " + frame.paint(beside.text, beside)
    if below:
        rows.append(_hang(below, None, frame))
    while below:
        piece = below.pop()
        rows.append(_hang(below, piece, frame))
    return rows


def _arrange(order: Sequence[_Piece]) -> tuple[_Piece | None, list[_Piece]]:
    """Which label stands beside the signs, and which hang below, from left to right.

    The last one to end stands beside, unless another one covers the place where it starts.
    """
    beside = max(order, key=lambda piece: (piece.end, piece.start))
    others = [piece for piece in order if piece is not beside]
    return beside, [piece for piece in others if piece.text]


def _signs_row(order: Sequence[_Piece], frame: _Frame) -> str:
    signs: dict[int, _Piece] = {}
    for piece in sorted(order, key=lambda piece: piece.primary):  # a caret covers a dash
        signs.update(dict.fromkeys(range(piece.start, piece.end), piece))
    columns = range(max(signs) + 1)
    row = ""
    for piece, run in groupby(columns, key=lambda column: signs.get(column)):
        count = len(list(run))
        row += frame.paint(_sign(piece) * count, piece) if piece else " " * count
    return row


def _hang(waiting: Sequence[_Piece], labelled: _Piece | None, frame: _Frame) -> str:
    """Bars under the labels that still wait, then the text of this one."""
    row, column = "", 0
    for piece in waiting:
        if piece.start < column or (labelled and piece.start >= labelled.start):
            continue
        row += " " * (piece.start - column) + frame.paint("|", piece)
        column = piece.start + 1
    if labelled:
        row += " " * (labelled.start - column) + frame.paint(labelled.text, labelled)
    return row
