"""What a valid program is: the definition of the IR that can be run.

A program of the front end, or one read from JSON, that :func:`verify` has nothing to say about
can be handed to any backend. The front end reports what users do wrong; what is found here is a
fault of a compiler pass, or of whoever wrote the JSON.

A value is *visible* at a place if it is certain to be there: the node comes before the place, and
each region around the node is around the place too, or is one that was entered for sure, or is
entered by the expression: a loop by ``Collect``, a side of a branch by ``Select``, the body and
handler of a guard by ``Recover``. Groups, the body of a guard without a handler, and the final
region of a guard that came before hide nothing.
"""

from __future__ import annotations

import json
import keyword
import re
from collections import Counter
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from levada.operations import RESERVED

from .ir import (
    Argument,
    Attribute,
    Binary,
    BoolOp,
    Branch,
    Call,
    Collect,
    Compare,
    Const,
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
    Parameter,
    Program,
    Recover,
    Result,
    Select,
    Sequence,
    Setting,
    Slice,
    Step,
    Subscript,
    Target,
    Type,
    Unary,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..diagnostics.diagnostic import Span

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BINARY = frozenset("+ - * / // % ** | & ^ << >>".split())  # noqa: SIM905 - a line of operators
_COMPARISONS = frozenset(("<", "<=", ">", ">=", "==", "!=", "in", "not in", "is", "is not"))
_PARAMETER_KINDS = frozenset(("plain", "positional-only", "keyword-only", "variadic", "keywords"))
#: The numbers of positional arguments, and the keywords.
_SEQUENCES: dict[str, tuple[int, float, frozenset[str]]] = {
    "range": (1, 3, frozenset()),
    "enumerate": (1, 2, frozenset(("start",))),
    "zip": (0, float("inf"), frozenset(("strict",))),
}

#: A region: the id of a branch, loop, guard or group, and the name of its field.
_Region = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node is: the regions around it, outermost first, and its number in source order.

    ``end`` is the number of the last node within it.
    """

    node: Node
    regions: tuple[_Region, ...]
    number: int
    end: int


def verify(program: Program) -> list[str]:
    """Return what makes ``program`` invalid, each as ``file:line:column: …``; empty if nothing."""
    verifier = _Verifier(program)
    verifier.verify()
    return verifier.problems


class _Verifier:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.problems: list[str] = []
        self.parameters = {parameter.name for parameter in program.parameters}
        self.steps = {step.key: step for step in program.steps}
        self.places: dict[str, _Place] = {}
        self.count = 0

    def report(self, span: Span, message: str) -> None:
        self.problems.append(f"{span.file}:{span.line}:{span.column}: {message}")

    def verify(self) -> None:
        program = self.program
        self.check_header()
        for step in program.steps:
            self.check_step(step)
        self.collect(program.body, ())
        self.check_loop_names()
        for place in list(self.places.values()):
            self.check_node(place)
        if program.result is not None:
            self.check_result(program.result)

    # ------------------------------------------------------------------ the program and its steps

    def check_header(self) -> None:
        program = self.program
        self.check_span(program.span, "the pipeline")
        if not program.name.isidentifier():
            self.report(program.span, f"the pipeline's name `{program.name}` is not a name")
        if program.version != 1:
            self.report(program.span, f"version {program.version} is not known")
        if not _DIGEST.fullmatch(program.source):
            self.report(program.span, f"`{program.source}` is not a digest of the source")
        for folder in program.search:
            if folder != "." and not _is_relative(folder):
                self.report(program.span, f"`{folder}` is not a folder in the project")
        if not _is_relative(program.file):
            self.report(program.span, f"`{program.file}` is not a path in the project")
        self.check_parameters(program.parameters, program.span, "the pipeline")
        for parameter in program.parameters:
            if parameter.default is not None:
                self.check_json(parameter.default, parameter.span, f"`{parameter.name}`")
            if parameter.kind in ("variadic", "keywords"):
                self.report(parameter.span, f"parameter `{parameter.name}` is {parameter.kind}")
        self.check_settings(program.settings, program.span)
        self.check_unique((step.key for step in program.steps), program.span, "step")

    def check_step(self, step: Step) -> None:
        self.check_span(step.span, f"step `{step.key}`")
        if step.key != f"{step.module}:{step.function}":
            self.report(step.span, f"the key `{step.key}` is not `{step.module}:{step.function}`")
        if not step.module or not step.function.isidentifier():
            self.report(step.span, f"`{step.key}` is not `module:function`")
        if not _DIGEST.fullmatch(step.code):
            self.report(step.span, f"`{step.code}` is not a digest of the code")
        if step.source_root != "." and not _is_relative(step.source_root):
            self.report(step.span, f"`{step.source_root}` is not a folder in the project")
        if list(step.imports) != sorted(set(step.imports)):
            self.report(step.span, f"the imports of `{step.key}` are not sorted")
        self.check_parameters(step.parameters, step.span, f"step `{step.key}`")
        self.check_type(step.returns, step.span)
        for output in step.outputs:
            self.check_type(output.type, step.span)
        self.check_unique((output.name for output in step.outputs), step.span, "output")
        self.check_settings(step.settings, step.span)

    def check_parameters(self, parameters: tuple[Parameter, ...], span: Span, owner: str) -> None:
        self.check_unique((each.name for each in parameters), span, "parameter")
        for parameter in parameters:
            self.check_span(parameter.span, f"parameter `{parameter.name}`")
            self.check_type(parameter.type, parameter.span)
            if not parameter.name.isidentifier():
                self.report(parameter.span, f"`{parameter.name}` of {owner} is not a name")
            if parameter.kind not in _PARAMETER_KINDS:
                self.report(parameter.span, f"`{parameter.kind}` is no kind of parameter")

    def check_type(self, kind: Type, span: Span) -> None:
        if not kind.name:
            self.report(span, "a type has no name")
        if kind.values and kind.name != "literal" and ":" not in kind.name:
            self.report(span, f"type `{kind.name}` has values, which only a literal has")
        if kind.name == "union" and len(kind.arguments) < 2:
            self.report(span, "a union is of two types or more")
        for value in kind.values:
            self.check_json(value, span, f"a value of `{kind.text or kind.name}`")
        for argument in kind.arguments:
            self.check_type(argument, span)

    def check_settings(self, settings: tuple[Setting, ...], span: Span) -> None:
        self.check_unique((each.name for each in settings), span, "setting")
        for setting in settings:
            self.check_span(setting.span, f"setting `{setting.name}`")
            value = self.check_json(setting.value, setting.span, f"setting `{setting.name}`")
            if _compact(value) != _compact(json.loads(json.dumps(value, sort_keys=True))):
                self.report(setting.span, f"the keys of setting `{setting.name}` are not sorted")

    def check_json(self, text: str, span: Span, owner: str) -> object:
        """Report what is not JSON as the front end writes it: no spaces, no escapes of letters."""
        try:
            value = json.loads(text, parse_constant=_refuse)
        except ValueError:
            self.report(span, f"{owner} is not JSON: {text}")
            return None
        if text != _compact(value):
            self.report(span, f"{owner} is not canonical JSON: {text}")
        return value

    def check_unique(self, names: Iterable[str], span: Span, what: str) -> None:
        for name, count in Counter(names).items():
            if count > 1:
                self.report(span, f"{what} `{name}` is there {count} times")

    def check_span(self, span: Span, owner: str) -> None:
        is_ordered = (span.line, span.column) <= (span.end_line, span.end_column)
        if min(span.line, span.column, span.end_line, span.end_column) < 1 or not is_ordered:
            self.report(span, f"the span of {owner} is not a range of text: {span}")
        if not _is_relative(span.file):
            self.report(span, f"the span of {owner} is not in a file of the project")

    # ------------------------------------------------------------------ nodes

    def collect(self, nodes: tuple[Node, ...], regions: tuple[_Region, ...]) -> None:
        """Note the place of each node."""
        for node in nodes:
            number = self.count
            self.count += 1
            for name, inner in _regions(node):
                self.collect(inner, (*regions, (node.id, name)))
            if node.id in self.places:
                self.report(node.span, f"the id `{node.id}` is not unique")
            self.places[node.id] = _Place(node, regions, number, self.count)

    def check_node(self, place: _Place) -> None:
        node = place.node
        self.check_span(node.span, f"`{node.id}`")
        self.check_id(place)
        self.check_after(place)
        match node:
            case Call():
                self.check_call(node, place)
            case Branch():
                self.check_expression(node.condition, place, ())
            case Loop():
                self.check_target(node.target, node)
                self.check_expression(node.items, place, ())
                for condition in node.conditions:
                    self.check_expression(condition, place, ((node.id, "body"),))
            case Guard() if node.handler is None and not node.final:
                self.report(node.span, f"guard `{node.id}` has neither handler nor final region")

    def check_id(self, place: _Place) -> None:
        node = place.node
        prefix, _, name = node.id.rpartition(".")
        groups = [each for each, _ in place.regions if isinstance(self.places[each].node, Group)]
        if prefix != (groups[-1] if groups else ""):
            self.report(node.span, f"the prefix of `{node.id}` is not the group around it")
        if not name.isidentifier() or keyword.iskeyword(name):
            self.report(node.span, f"the id `{node.id}` is not a name")
        if node.id in RESERVED:
            self.report(node.span, f"the id `{node.id}` has a meaning of its own in expressions")

    def check_after(self, place: _Place) -> None:
        node = place.node
        self.check_unique(node.after, node.span, f"`after` of `{node.id}`:")
        for other in node.after:
            if other not in self.places:
                self.report(node.span, f"`{node.id}` is after `{other}`, which is not there")
            elif self.places[other].end > place.number:
                self.report(node.span, f"`{node.id}` is after `{other}`, which is not over before")

    def check_call(self, node: Call, place: _Place) -> None:
        self.check_settings(node.settings, node.span)
        for argument in node.arguments:
            self.check_span(argument.span, f"argument `{argument.name}`")
            self.check_expression(argument.value, place, ())
        step = self.steps.get(node.step)
        if step is None:
            self.report(node.span, f"`{node.id}` calls `{node.step}`, which is no step")
        else:
            self.check_arguments(node, node.arguments, step)

    def check_arguments(self, node: Call, arguments: tuple[Argument, ...], step: Step) -> None:
        given = {argument.name for argument in arguments}
        self.check_unique((each.name for each in arguments), node.span, "argument")
        for name in sorted(given - {parameter.name for parameter in step.parameters}):
            self.report(node.span, f"`{step.key}` has no parameter `{name}`")
        for parameter in step.parameters:
            is_optional = parameter.default is not None or parameter.kind in (
                "variadic",
                "keywords",
            )
            if not is_optional and parameter.name not in given:
                self.report(node.span, f"`{node.id}` has no argument for `{parameter.name}`")

    def check_target(self, target: Target, loop: Loop) -> None:
        if not target.names:
            self.report(loop.span, f"loop `{loop.id}` has a target without names")
        if not target.is_tuple and not (
            len(target.names) == 1 and isinstance(target.names[0], str)
        ):
            self.report(loop.span, f"loop `{loop.id}` has a target that is not one name")
        for name in target.names:
            if isinstance(name, Target):
                self.check_target(name, loop)

    def check_loop_names(self) -> None:
        loops = [each.node for each in self.places.values() if isinstance(each.node, Loop)]
        names = [name for loop in loops for name in _target_names(loop.target)]
        self.check_unique(names, self.program.span, "loop variable")
        for name in names:
            if not name.isidentifier() or keyword.iskeyword(name) or name in RESERVED:
                self.report(self.program.span, f"the loop variable `{name}` is not a free name")

    def check_result(self, result: Result) -> None:
        self.check_span(result.span, "the result")
        if len(result.names) != len(result.values):
            self.report(result.span, "the result has not as many names as values")
        if not result.is_tuple and len(result.values) != 1:
            self.report(result.span, f"the result is one value, but has {len(result.values)}")
        for value in result.values:
            self.check_expression(value, None, ())

    # ------------------------------------------------------------------ expressions

    def check_expression(
        self, expr: Expr, place: _Place | None, entered: tuple[_Region, ...]
    ) -> None:
        """Check an expression of a node, or of the result (``place`` is None).

        ``entered`` are the regions that the expression enters on its way to ``expr``.
        """
        pending: list[tuple[Expr, tuple[_Region, ...]]] = [(expr, entered)]
        if isinstance(expr, Slice):
            self.report(expr.span, "a slice is no value by itself")
        while pending:
            each, inside = pending.pop()
            self.check_span(each.span, f"`{type(each).__name__}`")
            self.check_form(each)
            self.check_reference(each, place, inside)
            pending.extend(_parts(each, inside))

    def check_form(self, expr: Expr) -> None:
        problem = _form_problem(expr)
        if problem:
            self.report(expr.span, problem)

    def check_reference(
        self, expr: Expr, place: _Place | None, entered: tuple[_Region, ...]
    ) -> None:
        match expr:
            case Param(name=name):
                if name not in self.parameters:
                    self.report(expr.span, f"`{name}` is no parameter of the pipeline")
            case Item():
                self.check_item(expr, place, entered)
            case Output(node=node):
                self.check_visible(node, Call, expr, place, entered)
            case Collect(loop=loop):
                self.check_visible(loop, Loop, expr, place, entered)
            case Select(branch=branch):
                self.check_visible(branch, Branch, expr, place, entered)
            case Recover(guard=guard):
                self.check_visible(guard, Guard, expr, place, entered)
                known = self.places.get(guard)
                if known and isinstance(known.node, Guard) and known.node.handler is None:
                    self.report(expr.span, f"`{guard}` has no handler to recover by")

    def check_item(self, expr: Item, place: _Place | None, entered: tuple[_Region, ...]) -> None:
        around = (place.regions if place else ()) + entered
        if (expr.loop, "body") not in around:
            self.report(expr.span, f"`{expr.name}` is used outside of the loop `{expr.loop}`")
            return
        known = self.places.get(expr.loop)
        if known is None or not isinstance(known.node, Loop):
            self.report(expr.span, f"`{expr.loop}` is no loop")
        elif expr.name not in _target_names(known.node.target):
            self.report(expr.span, f"loop `{expr.loop}` does not bind `{expr.name}`")

    def check_visible(
        self,
        id: str,  # noqa: A002 - what it is
        kind: type,
        expr: Expr,
        place: _Place | None,
        entered: tuple[_Region, ...],
    ) -> None:
        known = self.places.get(id)
        if known is None or not isinstance(known.node, kind):
            self.report(expr.span, f"`{id}` is no {kind.__name__.lower()} of the program")
        elif place is not None and known.end > place.number:
            self.report(expr.span, f"`{id}` is used before it is there")
        else:
            self.check_regions(known, expr, place, entered)

    def check_regions(
        self, known: _Place, expr: Expr, place: _Place | None, entered: tuple[_Region, ...]
    ) -> None:
        around = {*(place.regions if place else ()), *entered}
        containers = {each for each, _ in (place.regions if place else ())}
        for container, name in known.regions:
            if (container, name) in around:
                continue
            if container in containers or self.hides(container, name):
                self.report(
                    expr.span,
                    f"`{known.node.id}` is in {name} of `{container}`, which is not entered here",
                )

    def hides(self, container: str, region: str) -> bool:
        """Whether it is not sure that a region was run once when its node is over."""
        node = self.places[container].node
        if isinstance(node, Guard):
            return region != "final" and node.handler is not None
        return not isinstance(node, Group)


# ---------------------------------------------------------------------------- parts of the IR


def _regions(node: Node) -> Iterator[tuple[str, tuple[Node, ...]]]:
    """Yield the regions of a node, in the order in which they run."""
    for name in ("then", "otherwise", "body", "handler", "final"):
        inner = getattr(node, name, None)
        if inner is not None:
            yield name, inner


def _parts(expr: Expr, entered: tuple[_Region, ...]) -> Iterator[tuple[Expr, tuple[_Region, ...]]]:
    """Yield the expressions in an expression, each with the regions that are entered for it."""
    match expr:
        case Collect():
            yield expr.value, (*entered, (expr.loop, "body"))
        case Select():
            yield expr.then, (*entered, (expr.branch, "then"))
            yield expr.otherwise, (*entered, (expr.branch, "otherwise"))
        case Recover():
            yield expr.body, (*entered, (expr.guard, "body"))
            yield expr.handler, (*entered, (expr.guard, "handler"))
        case _:
            for part in _plain_parts(expr):
                yield part, entered


def _plain_parts(value: object) -> Iterator[Expr]:
    """Yield the expressions directly in the fields of ``value``, which is part of one."""
    if isinstance(value, tuple):
        items: Iterable[object] = value
    else:
        items = (getattr(value, field.name) for field in fields(value))  # type: ignore[arg-type]
    for item in items:
        if isinstance(item, Expr):
            yield item
        elif isinstance(item, tuple | Field):
            yield from _plain_parts(item)


def _form_problem(expr: Expr) -> str:
    """Return what is wrong with an expression by itself, or nothing."""
    match expr:
        case Const(value=value) if not (
            value is None or isinstance(value, bool | int | float | str)
        ):
            return f"{value!r} is not a constant"
        case Unary(op=op) if op not in ("not", "-", "+", "~"):
            return f"`{op}` is no unary operator"
        case Binary(op=op) if op not in _BINARY:
            return f"`{op}` is no binary operator"
        case BoolOp() if expr.op not in ("and", "or") or len(expr.operands) < 2:
            return f"`{expr.op}` of {len(expr.operands)} operands is no condition"
        case Compare() if not _is_chain(expr):
            return f"{len(expr.operands)} operands cannot be compared by {', '.join(expr.ops)}"
        case Display(kind=kind) if kind not in ("list", "tuple", "set"):
            return f"`{kind}` is no kind of display"
        case Member(enum=enum, members=members) if ":" not in enum or not members:
            return f"`{enum}` is no enumeration"
        case Attribute(name=name) if not name:
            return "an attribute has no name"
        case Format(parts=parts):
            wrong = [
                part for part in parts if isinstance(part, Field) and part.conversion not in "sra"
            ]
            return f"`!{wrong[0].conversion}` is no conversion" if wrong else ""
        case Sequence():
            return _sequence_problem(expr)
    values = (expr.value,) if isinstance(expr, Subscript) else _plain_parts(expr)
    return "a slice is no value by itself" if any(isinstance(v, Slice) for v in values) else ""


def _is_chain(expr: Compare) -> bool:
    return len(expr.operands) == len(expr.ops) + 1 > 1 and _COMPARISONS.issuperset(expr.ops)


def _sequence_problem(expr: Sequence) -> str:
    if expr.function not in _SEQUENCES:
        return f"`{expr.function}` is not one of range, enumerate and zip"
    least, most, keywords = _SEQUENCES[expr.function]
    names = [name for name, _ in expr.arguments]
    given = [name for name in names if name is not None]
    if not least <= names.count(None) <= most or None in names[len(names) - len(given) :]:
        return f"`{expr.function}` does not take {names.count(None)} arguments"
    if not keywords.issuperset(given) or len(set(given)) < len(given):
        return f"`{expr.function}` does not take {', '.join(given)}"
    return ""


def _target_names(target: Target) -> list[str]:
    names: list[str] = []
    for name in target.names:
        names += _target_names(name) if isinstance(name, Target) else [name]
    return names


def _is_relative(path: str) -> bool:
    return bool(path) and not path.startswith("/") and ".." not in path.split("/")


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _refuse(name: str) -> object:
    raise ValueError(name)
