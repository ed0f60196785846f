"""Expressions as the text that plans and generated files carry.

The text is a subset of Python and means exactly what the expression means: evaluated by
``levada.expressions`` it gives the value that Python would have given.
"""

from __future__ import annotations

import json
import math
import re

from .inlining import inlined
from .ir import (
    Apply,
    Attribute,
    Binary,
    BoolOp,
    Branch,
    Catches,
    Clause,
    Collect,
    Compare,
    Comprehension,
    Concat,
    Conditional,
    Const,
    DictDisplay,
    Display,
    Error,
    Expr,
    Field,
    Format,
    FromJson,
    FunctionName,
    Group,
    Guard,
    Instance,
    Item,
    Lambda,
    Loop,
    Member,
    Method,
    Node,
    Output,
    Param,
    Program,
    Recover,
    Scalar,
    Select,
    Slice,
    Starred,
    Subscript,
    Target,
    Unary,
    Use,
    Value,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

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
    """Writes the expressions of one program as text.

    Values that may raise are written out where they are used only with ``inline_raising``.
    """

    def __init__(self, program: Program, *, inline_raising: bool = True) -> None:
        self._program = program
        self._inline_raising = inline_raising
        self._nodes: dict[str, Node] = {}
        #: node id -> the loops around it, outermost first
        self._enclosing: dict[str, tuple[Loop, ...]] = {}
        self._quote = '"'
        self._survey(program.body, ())
        #: the values that are written out where they are used: once, and small
        self.inlined = inlined(program, raising=inline_raising)

    def _survey(self, nodes: tuple[Node, ...], loops: tuple[Loop, ...]) -> None:
        for node in nodes:
            self._nodes[node.id] = node
            self._enclosing[node.id] = loops
            inner = (*loops, node) if isinstance(node, Loop) else loops
            for region in node.regions():
                self._survey(region, inner)

    def definitions(self) -> dict[str, str]:
        """Return what the names of values, branches and guards stand for, as text.

        Of a branch that is its condition, of a guard whether its body failed. Values have all of
        theirs, branches and guards those that an expression asks for.
        """
        asked = {name for expr in self._expressions() for name in _asked(expr)}
        found: dict[str, str] = {}
        for node in self._nodes.values():
            match node:
                case Value(value=value) if node.id not in self.inlined:
                    found[node.id] = self.text(value)
                case Branch(condition=condition) if node.id in asked:
                    found[node.id] = self.text(condition)
                case Guard() if node.id in asked:
                    found[node.id] = self.failure(node)
        return found

    def _expressions(self) -> Iterator[Expr]:
        for node in self._nodes.values():
            yield from node.expressions()
        yield from self._program.result.values

    def failure(self, guard: Guard) -> str:
        """Return, as text, whether the body of a guard has failed: a node of it, or a value."""
        failing = failing_nodes(guard.body, with_values=not self._inline_raising)
        asked = {"failed": failing, "raises": guard.checks}
        calls = [f"{name}({', '.join(map(self._string, of))})" for name, of in asked.items() if of]
        return " or ".join(calls) or "False"

    def text(self, expr: Expr) -> str:
        """Return the expression as text."""
        return self._write(expr)[0]

    def target(self, target: Target) -> str:
        """Return what a loop binds, as it stands after ``for``."""
        parts = [n if isinstance(n, str) else f"({self.target(n)})" for n in target.names]
        if not target.is_tuple:
            return parts[0]
        return f"{parts[0]}," if len(parts) == 1 else ", ".join(parts)

    def _write(self, expr: Expr) -> tuple[str, int]:
        match expr:
            case Const(value=constant):
                return self._constant(constant)
            case Param(name=name):
                return f"params.{name}", _ATOM
            case Item(name=name):
                return name, _ATOM
            case Use(value=name) if name in self.inlined:
                (value,) = self._nodes[name].expressions()
                return self._write(value)
            case Output(node=name) | Use(value=name):
                return self._named(name), _ATOM
            case Attribute(value=value, name=name):
                field = f"_{name}" if name[:1].isdecimal() else name
                return f"{self._postfix_operand(value)}.{field}", _ATOM
            case Subscript(value=value, index=index):
                return f"{self._holder(value, index)}[{self.text(index)}]", _ATOM
            case Unary() | Binary() | Compare() | BoolOp():
                return self._operation(expr)
            case Format(parts=parts):
                return self._format(parts)
            case _:
                return self._enclosed(expr), _ATOM

    def _enclosed(self, expr: Expr) -> str:
        match expr:
            case Slice():
                return self._slice(expr)
            case Conditional() | Select() | Recover():
                return self._choice(expr)
            case Starred(value=value):
                return f"*{self._at(value, _BITOR)}"
            case Apply() | Method() | Member() | Instance() | FromJson() | Error() | Catches():
                return self._call(expr)
        return self._collection(expr)

    def _at(self, expr: Expr, level: int) -> str:
        """Return the text of an operand that must bind at least as tightly as ``level``."""
        text, own = self._write(expr)
        return text if own >= level else f"({text})"

    def _postfix_operand(self, expr: Expr) -> str:
        # `1.real` is not Python, `(1).real` is.
        text, level = self._write(expr)
        plain = level == _ATOM and not (isinstance(expr, Const) and not isinstance(expr.value, str))
        return text if plain else f"({text})"

    def _holder(self, value: Expr, index: Expr) -> str:
        """Return the text of what is subscripted.

        A bare name subscripted by variables means that iteration of the node: an item of what the
        node gave is written ``[train][0][i]``.
        """
        text = self._postfix_operand(value)
        is_tuple = isinstance(index, Display) and index.kind == "tuple"
        parts = index.items if isinstance(index, Display) and is_tuple else (index,)
        is_iteration = text in self._nodes and all(isinstance(part, Item) for part in parts)
        return f"[{text}][0]" if is_iteration else text

    def _slice(self, expr: Slice) -> str:
        given = [expr.lower, expr.upper]
        if not _is_none(expr.step):
            given.append(expr.step)
        return ":".join("" if _is_none(bound) else self.text(bound) for bound in given)

    def _named(self, node: str) -> str:
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

    def _choice(self, expr: Conditional | Select | Recover) -> str:
        match expr:
            case Conditional():
                test, then, otherwise = self._at(expr.test, _OR), expr.then, expr.otherwise
            case Select():
                test, then, otherwise = self._named(expr.branch), expr.then, expr.otherwise
            case Recover():
                test = f"failed({self._string(expr.guard)})"
                then, otherwise = expr.handler, expr.body
        return f"({self._at(then, _OR)} if {test} else {self._at(otherwise, _TERNARY)})"

    def _call(self, expr: Expr) -> str:
        match expr:
            case Apply(
                function="dict",
                arguments=((None, Collect(value=Display(kind="tuple"), flatten=False) as collect),),
            ):
                return self._collect(collect, "dict")
            case Apply(function=function, arguments=arguments):
                return f"{function}({self._arguments(arguments)})"
            case Method(value=value, name=name, arguments=arguments):
                return f"{self._postfix_operand(value)}.{name}({self._arguments(arguments)})"
            case Member(enum=enum, members=members, value=value):
                pairs = ", ".join(f"{self._string(n)}: {self._constant(v)[0]}" for n, v in members)
                return f"member({self._string(enum)}, {{{pairs}}}, {self.text(value)})"
            case Instance(cls=cls, kind=kind, fields=fields):
                given = "".join(f", {name}={self.text(value)}" for name, value in fields)
                return f"instance({self._string(cls)}, {self._string(kind)}{given})"
            case FromJson(form=form, value=value):
                return f"from_json({self.text(value)}, {self._literal(json.loads(form))})"
            case Error(guard=guard):
                return f"error({self._string(guard)})"
            case Catches(guard=guard, classes=classes):
                return f"catches({', '.join(map(self._string, (guard, *classes)))})"
        raise TypeError(f"not a call: {expr!r}")

    def _literal(self, value: Any) -> str:
        """Return a JSON value as Python writes it."""
        if isinstance(value, list):
            return f"[{', '.join(map(self._literal, value))}]"
        if isinstance(value, dict):
            pairs = (f"{self._string(name)}: {self._literal(v)}" for name, v in value.items())
            return f"{{{', '.join(pairs)}}}"
        return self._constant(value)[0]

    def _arguments(self, arguments: tuple[tuple[str | None, Expr], ...]) -> str:
        return ", ".join(f"{k}={self.text(v)}" if k else self.text(v) for k, v in arguments)

    def _collection(self, expr: Expr) -> str:
        match expr:
            case Display(kind=kind, items=items):
                return _display(kind, [self.text(item) for item in items])
            case DictDisplay(items=items):
                return f"{{{', '.join(self._pair(key, value) for key, value in items)}}}"
            case Comprehension():
                return self._comprehension(expr)
            case FunctionName(name=name):
                return name
            case Lambda(parameters=parameters, body=body):
                return f"(lambda {', '.join(parameters)}: {self._at(body, _TERNARY)})"
            case Concat(parts=parts):
                return f"[{', '.join(f'*{self._at(part, _BITOR)}' for part in parts)}]"
            case Collect(flatten=flatten):
                text = self._collect(expr, "list")
                return f"flat({text})" if flatten else text
        raise TypeError(f"not an expression: {expr!r}")

    def _pair(self, key: Expr | None, value: Expr) -> str:
        if key is None:
            return f"**{self._at(value, _BITOR)}"
        return f"{self.text(key)}: {self.text(value)}"

    def _collect(self, expr: Collect, kind: str) -> str:
        node = self._nodes[expr.loop]
        assert isinstance(node, Loop)  # noqa: S101 - the definition of a valid program
        clauses = (Clause(node.target, node.items, node.conditions),)
        return self._comprehension(Comprehension(node.id, kind, expr.value, clauses, expr.span))

    def _comprehension(self, expr: Comprehension) -> str:
        clauses = "".join(map(self._clause, expr.clauses))
        if expr.kind == "dict":
            key, value = expr.element.children()
            return f"{{{self._pair(key, value)}{clauses}}}"
        start, end = "[]" if expr.kind == "list" else "{}"
        return f"{start}{self.text(expr.element)}{clauses}{end}"

    def _clause(self, clause: Clause) -> str:
        filters = "".join(f" if {self._at(c, _OR)}" for c in clause.conditions)
        return f" for {self.target(clause.target)} in {self._at(clause.items, _OR)}{filters}"

    # -- text

    def _constant(self, value: Scalar) -> tuple[str, int]:
        if isinstance(value, str):
            return self._string(value), _ATOM
        if isinstance(value, float) and not math.isfinite(value):
            if math.isnan(value):
                return f"float({self._string('nan')})", _ATOM
            text = f"float({self._string('inf')})"
            return (text, _ATOM) if value > 0 else (f"-{text}", _SIGN)
        if isinstance(value, int) and value.bit_length() > _DECIMAL_BITS:
            text = hex(value)
        else:
            text = repr(value)
        return text, _SIGN if text.startswith("-") else _ATOM

    def _string(self, value: str) -> str:
        """Return a string literal, in the quotes that the place has."""
        return f"{self._quote}{_escaped(value, self._quote)}{self._quote}"

    def _format(self, parts: tuple[str | Field, ...]) -> tuple[str, int]:
        """Return an f-string; where Python 3.11 could not parse it, its parts added up."""
        literal = ""
        for part in parts:
            if isinstance(part, str):
                literal += _escaped(part, self._quote).replace("{", "{{").replace("}", "}}")
                continue
            text = self._in_field(part.value)
            if text is None or isinstance(part.format, Format):
                return self._sum(parts), _SUM
            space = " " if text.startswith("{") else ""
            conversion = f"!{part.conversion}" if part.conversion else ""
            spec = f":{_escaped(part.format, self._quote)}" if part.format else ""
            literal += f"{{{space}{text}{conversion}{spec}}}"
        return f"f{self._quote}{literal}{self._quote}", _ATOM

    def _in_field(self, expr: Expr) -> str | None:
        """Return the text of a value within an f-string; None if it cannot stand there."""
        outer, self._quote = self._quote, "'"
        try:
            text, level = self._write(expr)
        finally:
            self._quote = outer
        if level < _BITOR:  # `!=`, `:=` and `=` mean something else at the end of a field
            text = f"({text})"
        return None if any(c in text for c in f'"\\#\n{outer}') else text

    def _sum(self, parts: tuple[str | Field, ...]) -> str:
        """Return the parts of an f-string added up; there are two at least, or one is no text."""
        words = [self._string(p) if isinstance(p, str) else self._formatted(p) for p in parts]
        return " + ".join(words if len(words) > 1 else [self._string(""), *words])

    def _formatted(self, field: Field) -> str:
        text = self.text(field.value)
        if field.conversion:
            names = {"s": "str", "r": "repr", "a": "ascii"}
            text = f"{names[field.conversion]}({text})"
        if isinstance(field.format, Format):
            return f"format({text}, {self.text(field.format)})"
        return (
            f"format({text}, {self._string(field.format)})" if field.format else f"format({text})"
        )


def source_names(loop: Loop) -> list[str]:
    """Return what the source calls variables of a loop, where it is another name.

    Plans and requests have it so: ``["depth_2 as depth"]``.
    """
    return [f"{variable} as {name}" for variable, name in loop.named]


def _asked(expression: Expr) -> Iterator[str]:
    """Yield the branches and guards whose outcome an expression asks for."""
    for each in expression.walk():
        match each:
            case Select(branch=name) | Recover(guard=name) | Error(guard=name):
                yield name
            case Catches(guard=name):
                yield name


class Uses:
    """Finds the definitions that texts use; each definition's text is searched once.

    >>> Uses({"a": "n + 1", "b": "a * 2", "c": "b"}).of(["b.x"])
    {'a': 'n + 1', 'b': 'a * 2'}
    """

    def __init__(self, definitions: Mapping[str, str]) -> None:
        self._definitions = definitions
        self._names = list(definitions)
        self._numbers = {name: number for number, name in enumerate(definitions)}
        #: What each definition uses: a bit for each definition. It is extended to what these use.
        self._closures = [self._directly(text) for text in definitions.values()]
        self._extend()

    def of(self, texts: Iterable[str]) -> dict[str, str]:
        """Return the definitions that these texts use, directly or through others, in order."""
        found = 0
        for text in texts:
            found |= self._closure_of(self._directly(text))
        names = [self._names[number] for number in _numbers_in(found)]
        return {name: self._definitions[name] for name in names}

    def _extend(self) -> None:
        """Extend the closures until none grows.

        A definition mostly uses earlier ones, so one pass is enough. A text in it may hold any
        name.
        """
        grows = True
        while grows:
            before = list(self._closures)
            for number, direct in enumerate(before):
                self._closures[number] = self._closure_of(direct)
            later = any(bits >> number for number, bits in enumerate(before))
            grows = later and self._closures != before

    def _closure_of(self, direct: int) -> int:
        found = direct
        for number in _numbers_in(direct):
            found |= self._closures[number]
        return found

    def _directly(self, text: str) -> int:
        found = 0
        # A name of Python's may hold what `\w` does not have: combining marks, a middle dot.
        for name in re.findall(r"[\w.\u0080-\U0010ffff]+", text):
            while name and name not in self._definitions:
                name = name.rpartition(".")[0]
            if name:
                found |= 1 << self._numbers[name]
        return found


def _numbers_in(bits: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set, from the lowest."""
    if bits.bit_count() > 64:  # taking a bit from a long number copies it
        yield from [number for number, bit in enumerate(bin(bits)[:1:-1]) if bit == "1"]
        return
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def failing_nodes(nodes: tuple[Node, ...], *, with_values: bool = False) -> tuple[str, ...]:
    """Return the ids of the nodes of a region whose own failure leaves the region.

    With ``with_values`` these include the values that are evaluated at their place.
    """
    return tuple(_failing(nodes, with_values=with_values))


def _failing(nodes: tuple[Node, ...], *, with_values: bool) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Value):
            fails = node.is_checked or (node.raises and with_values)
        else:
            fails = not isinstance(node, Guard | Group)
        if fails:
            yield node.id
        inner = node.regions()
        if isinstance(node, Guard):
            # What a `finally` raises takes the place of what was raised before it.
            unhandled = node.body if node.handler is None else node.handler
            inner = (node.final, unhandled)
        for region in inner:
            yield from _failing(region, with_values=with_values)


def first_variable(target: Target) -> str:
    """Return the first name that a target binds: a loop's outputs are subscripted by it."""
    first = target.names[0]
    return first if isinstance(first, str) else first_variable(first)


def expression_texts(program: Program, values: Mapping[str, Expr]) -> dict[str, str]:
    """Return several expressions of a program as text, by name."""
    writer = ExpressionWriter(program)
    return {name: writer.text(value) for name, value in values.items()}


def _is_none(expr: Expr) -> bool:
    return isinstance(expr, Const) and expr.value is None


def _display(kind: str, items: list[str]) -> str:
    joined = ", ".join(items)
    if kind == "list":
        return f"[{joined}]"
    if kind == "set":
        return f"{{{joined}}}" if items else "{*[]}"
    return f"({joined},)" if len(items) == 1 else f"({joined})"


def _quoted(value: str) -> str:
    """Return a string literal in double quotes, all that is not printable escaped."""
    return f'"{_escaped(value)}"'


def _escaped(value: str, quote: str = '"') -> str:
    return "".join([_escaped_character(c, quote) for c in value])


def _escaped_character(character: str, quote: str) -> str:
    if character in "\"'":
        return f"\\{character}" if character == quote else character
    return repr(character)[1:-1]  # it has the exact escapes of everything else
