"""Expressions as the text that plans and generated files carry.

The text is a subset of Python and means exactly what the expression means: evaluated by
``levada.expressions`` it gives the value that Python would have given.
"""

from __future__ import annotations

import math

from .ir import (
    Attribute,
    Binary,
    BoolOp,
    Branch,
    Call,
    Collect,
    Compare,
    Concat,
    Const,
    DictDisplay,
    Display,
    Expr,
    Field,
    Format,
    Group,
    Guard,
    Item,
    Loop,
    Member,
    Node,
    Output,
    Param,
    Program,
    Recover,
    Scalar,
    Select,
    Sequence,
    Slice,
    Subscript,
    Target,
    Unary,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# How tightly a form binds, as in Python's grammar; a looser form inside a tighter one is put in
# parentheses.
_TERNARY, _OR, _AND, _NOT, _COMPARE, _BITOR, _BITXOR, _BITAND, _SHIFT, _SUM, _PRODUCT, _SIGN = (
    range(12)
)
_POWER, _ATOM = 12, 13

_BINARY = {
    "|": _BITOR,
    "^": _BITXOR,
    "&": _BITAND,
    "<<": _SHIFT,
    ">>": _SHIFT,
    "+": _SUM,
    "-": _SUM,
    "*": _PRODUCT,
    "/": _PRODUCT,
    "//": _PRODUCT,
    "%": _PRODUCT,
    "@": _PRODUCT,
    "**": _POWER,
}

#: Beyond this many bits an integer is written in hexadecimal, which has no limit on digits.
_DECIMAL_BITS = 4096


class ExpressionWriter:
    """Writes the expressions of one program as text."""

    def __init__(self, program: Program) -> None:
        self._branches: dict[str, Branch] = {}
        self._loops: dict[str, Loop] = {}
        self._guards: dict[str, Guard] = {}
        #: node id -> the loops around it, outermost first
        self._enclosing: dict[str, tuple[Loop, ...]] = {}
        self._survey(program.body, ())

    def _survey(self, nodes: tuple[Node, ...], loops: tuple[Loop, ...]) -> None:
        for node in nodes:
            self._enclosing[node.id] = loops
            inner = loops
            if isinstance(node, Branch):
                self._branches[node.id] = node
            elif isinstance(node, Guard):
                self._guards[node.id] = node
            elif isinstance(node, Loop):
                self._loops[node.id] = node
                inner = (*loops, node)
            for region in regions(node):
                self._survey(region, inner)

    def text(self, expr: Expr) -> str:
        """The expression as text."""
        return self._write(expr)[0]

    def target(self, target: Target) -> str:
        """What a loop binds, as it stands after ``for``."""
        parts = [n if isinstance(n, str) else f"({self.target(n)})" for n in target.names]
        if not target.is_tuple:
            return parts[0]
        return f"{parts[0]}," if len(parts) == 1 else ", ".join(parts)

    def _write(self, expr: Expr) -> tuple[str, int]:
        match expr:
            case Const(value=value):
                return _constant(value)
            case Param(name=name):
                return f"params.{name}", _ATOM
            case Item(name=name):
                return name, _ATOM
            case Member(enum=enum, members=members, value=value):
                pairs = ", ".join(f"{_quoted(n)}: {_constant(v)[0]}" for n, v in members)
                return f"member({_quoted(enum)}, {{{pairs}}}, {self.text(value)})", _ATOM
            case Output(node=node):
                return self._output(node), _ATOM
            case Attribute(value=value, name=name):
                field = f"_{name}" if name[:1].isdecimal() else name
                return f"{self._postfix_operand(value)}.{field}", _ATOM
            case Subscript(value=value, index=index):
                return f"{self._postfix_operand(value)}[{self.text(index)}]", _ATOM
            case Slice():
                return self._slice(expr), _ATOM
            case Unary() | Binary() | Compare() | BoolOp():
                return self._operation(expr)
            case Select() | Recover():
                return self._choice(expr), _ATOM
            case Format(parts=parts):
                return self._format(parts), _ATOM
            case _:
                return self._collection(expr), _ATOM

    def _at(self, expr: Expr, level: int) -> str:
        """The text of an operand that must bind at least as tightly as ``level``."""
        text, own = self._write(expr)
        return text if own >= level else f"({text})"

    def _postfix_operand(self, expr: Expr) -> str:
        # `1.real` is not Python, `(1).real` is.
        text, level = self._write(expr)
        return text if level == _ATOM and not isinstance(expr, Const) else f"({text})"

    def _slice(self, expr: Slice) -> str:
        given = [expr.lower, expr.upper]
        if not _is_none(expr.step):
            given.append(expr.step)
        return ":".join("" if _is_none(bound) else self.text(bound) for bound in given)

    def _output(self, node: str) -> str:
        variables = [first_variable(loop.target) for loop in self._enclosing[node]]
        return f"{node}[{', '.join(variables)}]" if variables else node

    def _operation(self, expr: Unary | Binary | Compare | BoolOp) -> tuple[str, int]:
        if isinstance(expr, Unary):
            if expr.op == "not":
                return f"not {self._at(expr.operand, _NOT)}", _NOT
            return f"{expr.op}{self._at(expr.operand, _SIGN)}", _SIGN
        if isinstance(expr, Binary):
            level = _BINARY[expr.op]
            # All operators group to the left, but `**` groups to the right.
            left, right = (level + 1, level) if expr.op == "**" else (level, level + 1)
            return f"{self._at(expr.left, left)} {expr.op} {self._at(expr.right, right)}", level
        if isinstance(expr, BoolOp):
            level = _OR if expr.op == "or" else _AND
            words = [self._at(operand, level + 1) for operand in expr.operands]
            return f" {expr.op} ".join(words), level
        words = [self._at(expr.operands[0], _BITOR)]
        for op, operand in zip(expr.ops, expr.operands[1:], strict=True):
            words += [op, self._at(operand, _BITOR)]
        return " ".join(words), _COMPARE

    def _choice(self, expr: Select | Recover) -> str:
        if isinstance(expr, Select):
            then, otherwise = expr.then, expr.otherwise
            condition = self._at(self._branches[expr.branch].condition, _OR)
        else:
            then, otherwise = expr.handler, expr.body
            names = failing_nodes(self._guards[expr.guard].body)
            condition = f"failed({', '.join(_quoted(name) for name in names)})"
        return f"({self._at(then, _OR)} if {condition} else {self._at(otherwise, _TERNARY)})"

    def _collection(self, expr: Expr) -> str:
        match expr:
            case Display(kind=kind, items=items):
                return _display(kind, [self.text(item) for item in items])
            case DictDisplay(items=items):
                return f"{{{', '.join(f'{self.text(k)}: {self.text(v)}' for k, v in items)}}}"
            case Sequence(function=function, arguments=arguments):
                words = [f"{k}={self.text(v)}" if k else self.text(v) for k, v in arguments]
                return f"{function}({', '.join(words)})"
            case Concat(parts=parts):
                return f"[{', '.join(f'*{self._at(part, _BITOR)}' for part in parts)}]"
            case Collect(loop=loop, value=value, flatten=flatten):
                text = self._comprehension(self._loops[loop], self.text(value))
                return f"flat({text})" if flatten else text
        raise TypeError(f"not an expression: {expr!r}")

    def _comprehension(self, loop: Loop, value: str) -> str:
        filters = "".join(f" if {self._at(c, _OR)}" for c in loop.conditions)
        items = self._at(loop.items, _OR)
        return f"[{value} for {self.target(loop.target)} in {items}{filters}]"

    def _format(self, parts: tuple[str | Field, ...]) -> str:
        """An f-string that Python 3.11 can parse too: no backslash and no own quote in a field."""
        bound: list[tuple[str, str]] = []
        literal = ""
        for part in parts:
            if isinstance(part, str):
                literal += _escaped(part).replace("{", "{{").replace("}", "}}")
                continue
            text = self.text(part.value)
            if not _fits_in_field(text):
                bound.append((f"_field_{len(bound)}", text))
                text = bound[-1][0]
            space = " " if text.startswith("{") else ""
            conversion = f"!{part.conversion}" if part.conversion else ""
            spec = f":{_escaped(part.format)}" if part.format else ""
            literal += f"{{{space}{text}{conversion}{spec}}}"
        string = f'f"{literal}"'
        for name, text in reversed(bound):
            string = f"[{string} for {name} in [{text}]][0]"
        return string


def regions(node: Node) -> tuple[tuple[Node, ...], ...]:
    """The regions of a node, in source order."""
    match node:
        case Branch():
            return node.then, node.otherwise
        case Loop() | Group():
            return (node.body,)
        case Guard():
            return node.body, node.handler or (), node.final
        case _:
            return ()


def failing_nodes(nodes: tuple[Node, ...]) -> tuple[str, ...]:
    """The ids of the nodes of a region whose own failure leaves the region."""
    return tuple(_failing(nodes))


def _failing(nodes: tuple[Node, ...]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Call | Branch | Loop):
            yield node.id
        inner = regions(node)
        if isinstance(node, Guard) and node.handler is not None:
            inner = inner[1:]
        for region in inner:
            yield from _failing(region)


def first_variable(target: Target) -> str:
    """The first name that a target binds: the one by which a loop's outputs are subscripted."""
    first = target.names[0]
    return first if isinstance(first, str) else first_variable(first)


def expression_texts(program: Program, values: Mapping[str, Expr]) -> dict[str, str]:
    """Several expressions of a program as text, by name."""
    writer = ExpressionWriter(program)
    return {name: writer.text(value) for name, value in values.items()}


def _is_none(expr: Expr) -> bool:
    return isinstance(expr, Const) and expr.value is None


def _constant(value: Scalar) -> tuple[str, int]:
    if isinstance(value, str):
        return _quoted(value), _ATOM
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            return 'float("nan")', _ATOM
        return ('float("inf")', _ATOM) if value > 0 else ('-float("inf")', _SIGN)
    if isinstance(value, int) and value.bit_length() > _DECIMAL_BITS:
        text = hex(value)
    else:
        text = repr(value)
    return text, _SIGN if text.startswith("-") else _ATOM


def _display(kind: str, items: list[str]) -> str:
    joined = ", ".join(items)
    if kind == "list":
        return f"[{joined}]"
    if kind == "set":
        return f"{{{joined}}}" if items else "{*[]}"
    return f"({joined},)" if len(items) == 1 else f"({joined})"


def _quoted(value: str) -> str:
    """A string literal in double quotes, all that is not printable escaped."""
    return f'"{_escaped(value)}"'


def _escaped(value: str) -> str:
    return "".join(_escaped_character(c) for c in value)


def _escaped_character(character: str) -> str:
    if character == '"':
        return '\\"'
    # repr has the exact escapes of everything else; the single quote needs none here.
    return character if character == "'" else repr(character)[1:-1]


def _fits_in_field(text: str) -> bool:
    return not any(c in text for c in '"\\#!:=\n{}')
