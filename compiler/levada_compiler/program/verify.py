"""What a valid program is: the definition of the IR that can be run.

A program of the front end, or one read from JSON, that :func:`verify` has nothing to say about
can be handed to any backend. The front end reports what users do wrong; what is found here is a
fault of a compiler pass, or of whoever wrote the JSON.

A value is *visible* at a place if it is certain to be there: the node comes before the place, and
each region around the node is around the place too, or is one that was entered for sure, or is
entered by the expression: a loop by ``Collect``, a side of a branch by ``Select``, the body and
handler of a guard by ``Recover``. Groups, the body of a guard without a handler, and the final
region of a guard that came before hide nothing.

A branch, a loop and a guard have something to do: a node that is not a named value.
"""

from __future__ import annotations

import json
import keyword
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from levada.engine.parameters import violation
from levada.operations import FUNCTIONS, RESERVED, named
from levada.settings import CALL, HOLDERS, PIPELINE, SETTINGS, STEP, settings_of

from . import forms
from .ir import (
    Apply,
    Argument,
    Attribute,
    Binary,
    BoolOp,
    Branch,
    Call,
    Catches,
    Collect,
    Compare,
    Comprehension,
    Const,
    Container,
    Display,
    Error,
    Expr,
    Fail,
    Field,
    Format,
    FromJson,
    FunctionName,
    Group,
    Guard,
    Item,
    Lambda,
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
    Setting,
    Slice,
    Step,
    Subscript,
    Target,
    Type,
    Unary,
    Use,
    Value,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from levada.settings import Setting as Definition

    from ..diagnostics.diagnostic import Span

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BINARY = frozenset("+ - * / // % ** | & ^ << >>".split())  # noqa: SIM905 - a line of operators
_COMPARISONS = frozenset(("<", "<=", ">", ">=", "==", "!=", "in", "not in", "is", "is not"))
_PARAMETER_KINDS = frozenset(("plain", "positional-only", "keyword-only", "variadic", "keywords"))
#: Names that mean something else in an expression's text.
_RESULTS = frozenset(("none", "value", "tuple", "dict"))

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
        self.comprehensions: dict[str, tuple[str, ...]] = {}
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
        self.check_result(program.result)

    # ------------------------------------------------------------------ the program and its steps

    def check_header(self) -> None:
        program = self.program
        self.check_span(program.span, "the pipeline")
        if not _is_pipeline_name(program.name):
            self.report(program.span, f"the pipeline's name `{program.name}` is not a name")
        if program.function and not program.function.isidentifier():
            self.report(program.span, f"`{program.function}` is not the name of a function")
        if program.version != 2:
            self.report(program.span, f"version {program.version} is not known")
        if not _DIGEST.fullmatch(program.source):
            self.report(program.span, f"`{program.source}` is not a digest of the source")
        for folder in program.search:
            if folder != "." and not _is_relative(folder):
                self.report(program.span, f"`{folder}` is not relative to the project")
        if not _is_relative(program.file) or program.file.startswith("../"):
            self.report(program.span, f"`{program.file}` is not a path in the project")
        self.check_parameters(program.parameters, program.span, "the pipeline")
        for parameter in program.parameters:
            if parameter.default is not None:
                self.check_json(parameter.default, parameter.span, f"`{parameter.name}`")
            if parameter.kind in ("variadic", "keywords"):
                self.report(parameter.span, f"parameter `{parameter.name}` is {parameter.kind}")
        self.check_settings(program.settings, program.span, PIPELINE)
        self.check_unique((step.key for step in program.steps), program.span, "step")

    def check_container(self, step: Step, container: Container) -> None:
        if all(setting.name != "image" for setting in step.settings):
            self.report(step.span, f"`{step.key}` runs a program, and has no `image`")
        if container.command == ():
            self.report(step.span, f"the command of `{step.key}` is empty")
        for output in container.outputs:
            self.check_type(output.type, step.span)
            if not output.name.isidentifier():
                self.report(step.span, f"`{output.name}` cannot be the name of an output")
        self.check_unique((output.name for output in container.outputs), step.span, "output")

    def check_step(self, step: Step) -> None:
        self.check_span(step.span, f"step `{step.key}`")
        if step.key != f"{step.module}:{step.function}":
            self.report(step.span, f"the key `{step.key}` is not `{step.module}:{step.function}`")
        path = step.function.split(".")
        if not step.module or len(path) > 2 or not all(name.isidentifier() for name in path):
            self.report(step.span, f"`{step.key}` is not `module:function`")
        if not _DIGEST.fullmatch(step.code):
            self.report(step.span, f"`{step.code}` is not a digest of the code")
        if step.source_root != "." and not _is_relative(step.source_root):
            self.report(step.span, f"`{step.source_root}` is not relative to the project")
        if list(step.imports) != sorted(set(step.imports)):
            self.report(step.span, f"the imports of `{step.key}` are not sorted")
        self.check_parameters(step.parameters, step.span, f"step `{step.key}`")
        self.check_type(step.returns, step.span)
        for output in step.outputs:
            self.check_type(output.type, step.span)
        self.check_unique((output.name for output in step.outputs), step.span, "output")
        self.check_settings(step.settings, step.span, STEP)
        if step.container is not None:
            self.check_container(step, step.container)

    def check_parameters(self, parameters: tuple[Parameter, ...], span: Span, owner: str) -> None:
        self.check_unique((each.name for each in parameters), span, "parameter")
        for parameter in parameters:
            self.check_span(parameter.span, f"parameter `{parameter.name}`")
            self.check_type(parameter.type, parameter.span)
            if not parameter.name.isidentifier():
                self.report(parameter.span, f"`{parameter.name}` of {owner} is not a name")
            if parameter.kind not in _PARAMETER_KINDS:
                self.report(parameter.span, f"`{parameter.kind}` is no kind of parameter")
            if parameter.form and not forms.is_form(parameter.form):
                self.report(parameter.span, f"the form of `{parameter.name}` is none")

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

    def check_settings(self, settings: tuple[Setting, ...], span: Span, holder: str) -> None:
        self.check_unique((each.name for each in settings), span, "setting")
        known = settings_of(holder)
        for setting in settings:
            self.check_span(setting.span, f"setting `{setting.name}`")
            value = self.check_json(setting.value, setting.span, f"setting `{setting.name}`")
            if _compact(value) != _compact(json.loads(json.dumps(value, sort_keys=True))):
                self.report(setting.span, f"the keys of setting `{setting.name}` are not sorted")
            definition = known.get(setting.name)
            if definition is None or not definition.for_targets:
                self.report(setting.span, f"{HOLDERS[holder]} has no setting `{setting.name}`")
            elif problem := _setting_problem(definition, value):
                self.report(setting.span, f"setting `{setting.name}` {problem}")

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
            self.report(span, f"the span of {owner} is not in a file relative to the project")

    # ------------------------------------------------------------------ nodes

    def collect(self, nodes: tuple[Node, ...], regions: tuple[_Region, ...]) -> None:
        """Note the place of each node."""
        for node in nodes:
            number = self.count
            self.count += 1
            for name, inner in node.parts():
                self.collect(inner, (*regions, (node.id, name)))
            if node.id in self.places:
                self.report(node.span, f"the id `{node.id}` is not unique")
            self.places[node.id] = _Place(node, regions, number, self.count)

    def check_node(self, place: _Place) -> None:
        node = place.node
        self.check_span(node.span, f"`{node.id}`")
        self.check_id(place)
        self.check_after(place)
        for name in node.after:
            self.check_use(name, node.span, place, ())
        match node:
            case Call():
                self.check_call(node, place)
            case Branch() | Value():
                self.check_expressions(node.expressions(), place)
            case Fail():
                self.check_fail(node, place)
            case Loop():
                self.check_target(node.target, node)
                self.check_named(node)
                if node.max_parallel is not None and node.max_parallel < 1:
                    self.report(node.span, f"loop `{node.id}` lets no iteration run")
                self.check_expression(node.items, place, ())
                for condition in node.conditions:
                    self.check_expression(condition, place, ((node.id, "body"),))
            case Guard():
                self.check_guard(node)
        regions = node.regions()
        if regions and not isinstance(node, Group | Guard) and not any(map(_has_task, regions)):
            self.report(node.span, f"`{node.id}` has nothing to do")

    def check_fail(self, node: Fail, place: _Place) -> None:
        if bool(node.classes) == bool(node.guard) or (node.guard and node.arguments):
            self.report(node.span, f"`{node.id}` raises a class, or again what a guard handles")
        if node.guard:
            self.check_handles(node.guard, node.span, place.regions)
        self.check_expressions(node.arguments, place)

    def check_guard(self, node: Guard) -> None:
        if node.handler is None and (not node.final or node.checks):
            self.report(node.span, f"guard `{node.id}` has neither handler nor final region")
        values = {each.id for each in node.body if isinstance(each, Value)}
        for name in node.checks:
            if name not in values:
                self.report(node.span, f"`{name}` is not a value in the body of `{node.id}`")
        if not _has_task(node.body) and not node.checks:
            self.report(node.span, f"the body of `{node.id}` has nothing to do")

    def check_handles(self, guard: str, span: Span, regions: tuple[_Region, ...]) -> None:
        if (guard, "handler") not in regions:
            self.report(span, f"the exception of `{guard}` is known in its handler only")

    def check_use(
        self, name: str, span: Span, place: _Place | None, entered: tuple[_Region, ...]
    ) -> None:
        """Check a value that a node has in ``after``: it is evaluated there."""
        if name in self.places and isinstance(self.places[name].node, Value):
            self.check_visible(name, Value, Use(name, span), place, entered)

    def check_id(self, place: _Place) -> None:
        node = place.node
        prefix, _, name = node.id.rpartition(".")
        groups = [each for each, _ in place.regions if isinstance(self.places[each].node, Group)]
        if prefix != (groups[-1] if groups else ""):
            self.report(node.span, f"the prefix of `{node.id}` is not the group around it")
        if not name.isidentifier() or keyword.iskeyword(name):
            self.report(node.span, f"the id `{node.id}` is not a name")
        if node.id.partition(".")[0] in RESERVED:
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
        self.check_settings(node.settings, node.span, CALL)
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
        # `**` has arguments whose names are known in the run.
        for name in sorted(given - {"**"} - {parameter.name for parameter in step.parameters}):
            self.report(node.span, f"`{step.key}` has no parameter `{name}`")
        for parameter in step.parameters:
            is_optional = parameter.default is not None or parameter.kind in (
                "variadic",
                "keywords",
            )
            if not is_optional and parameter.name not in given and "**" not in given:
                self.report(node.span, f"`{node.id}` has no argument for `{parameter.name}`")

    def check_target(self, target: Target, loop: Loop | Comprehension) -> None:
        if not target.names:
            self.report(loop.span, f"loop `{loop.id}` has a target without names")
        if not target.is_tuple and not (
            len(target.names) == 1 and isinstance(target.names[0], str)
        ):
            self.report(loop.span, f"loop `{loop.id}` has a target that is not one name")
        for name in target.names:
            if isinstance(name, Target):
                self.check_target(name, loop)

    def check_named(self, loop: Loop) -> None:
        variables = loop.target.variables()
        for variable, name in loop.named:
            if variable not in variables or not name.isidentifier():
                self.report(loop.span, f"loop `{loop.id}` cannot call `{variable}` `{name}`")

    def check_loop_names(self) -> None:
        loops = [each.node for each in self.places.values() if isinstance(each.node, Loop)]
        names = [name for loop in loops for name in loop.target.variables()]
        self.check_names(names, self.program.span)

    def check_names(self, names: list[str], span: Span) -> None:
        self.check_unique(names, span, "loop variable")
        for name in names:
            if not name.isidentifier() or keyword.iskeyword(name) or name in RESERVED:
                self.report(span, f"the loop variable `{name}` is not a free name")

    def check_result(self, result: Result) -> None:
        self.check_span(result.span, "the result")
        if len(result.names) != len(result.values):
            self.report(result.span, "the result has not as many names as values")
        if result.kind not in _RESULTS and ":" not in result.kind:
            self.report(result.span, f"`{result.kind}` is no kind of result")
        count = {"none": 0, "value": 1}.get(result.kind, len(result.values))
        if len(result.values) != count:
            what = "one value" if count else "no value"
            self.report(result.span, f"the result is {what}, but has {len(result.values)}")
        for name in result.after:
            if name not in self.places or not isinstance(self.places[name].node, Value):
                self.report(result.span, f"the result is after `{name}`, which is no value")
            self.check_use(name, result.span, None, ())
        self.check_expressions(result.values, None)

    # ------------------------------------------------------------------ expressions

    def check_expressions(self, expressions: Iterable[Expr], place: _Place | None) -> None:
        for expression in expressions:
            self.check_expression(expression, place, ())

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
            if isinstance(each, Comprehension | Lambda):
                self.enter(each)
            pending.extend(_parts(each, inside))

    def enter(self, expr: Comprehension | Lambda) -> None:
        if isinstance(expr, Lambda):
            names = list(expr.parameters)
        else:
            for clause in expr.clauses:
                self.check_target(clause.target, expr)
            names = [name for clause in expr.clauses for name in clause.target.variables()]
        self.check_names(names, expr.span)
        if expr.id in self.places or self.comprehensions.get(expr.id, tuple(names)) != tuple(names):
            self.report(expr.span, f"the id `{expr.id}` is not unique")
        self.comprehensions[expr.id] = tuple(names)

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
            case Use(value=value):
                self.check_visible(value, Value, expr, place, entered)
            case Error(guard=guard) | Catches(guard=guard):
                self.check_handles(guard, expr.span, (place.regions if place else ()) + entered)
            case Collect(loop=loop):
                self.check_visible(loop, Loop, expr, place, entered)
            case Select(branch=branch):
                self.check_visible(branch, Branch, expr, place, entered)
            case Recover(guard=guard):
                self.check_visible(guard, Guard, expr, place, entered)
                known = self.places.get(guard)
                is_open = known and isinstance(known.node, Guard) and known.node.handler is None
                around = place.regions if place else ()
                if is_open and (guard, "final") not in around:
                    self.report(expr.span, f"`{guard}` has no handler to recover by")

    def check_item(self, expr: Item, place: _Place | None, entered: tuple[_Region, ...]) -> None:
        around = (place.regions if place else ()) + entered
        if (expr.loop, "body") not in around:
            self.report(expr.span, f"`{expr.name}` is used outside of the loop `{expr.loop}`")
            return
        known = self.places.get(expr.loop)
        names = self.comprehensions.get(expr.loop, ())
        if known is not None and isinstance(known.node, Loop):
            names = known.node.target.variables()
        if expr.name not in names:
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
        elif place is None or known.end <= place.number or (id, "final") in place.regions:
            # A `finally` may ask how the body of its own `try` ended.
            self.check_regions(known, expr, place, entered)
        else:
            self.report(expr.span, f"`{id}` is used before it is there")

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
        """Whether it is not sure that a region was run once when its node has succeeded."""
        node = self.places[container].node
        others = [nodes for name, nodes in node.parts() if name != region]
        if isinstance(node, Guard):
            return region != "final" and node.handler is not None and not any(map(_fails, others))
        if isinstance(node, Branch):
            return not any(map(_fails, others))
        return not isinstance(node, Group)


# ---------------------------------------------------------------------------- parts of the IR


def _has_task(nodes: tuple[Node, ...]) -> bool:
    return any(not isinstance(node, Value) for node in nodes)


def _fails(nodes: tuple[Node, ...]) -> bool:
    """Return whether a region ends by an exception in any case."""
    return any(isinstance(node, Fail) or _always_fails(node) for node in nodes)


def _always_fails(node: Node) -> bool:
    match node:
        case Branch():
            return _fails(node.then) and _fails(node.otherwise)
        case Guard(body=body, handler=handler, final=final):
            return _fails(final) or (_fails(body) and (handler is None or _fails(handler)))
        case Group(body=body):
            return _fails(body)
    return False


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
        case Lambda():
            yield expr.body, (*entered, (expr.id, "body"))
        case Comprehension():
            first, *others = expr.children()
            yield first, entered
            for each in others:
                yield each, (*entered, (expr.id, "body"))
        case _:
            for part in expr.children():
                yield part, entered


def _form_problem(expr: Expr) -> str:
    """Return what is wrong with an expression by itself, or nothing."""
    problem = _operation_problem(expr) or _collection_problem(expr)
    if problem:
        return problem
    if isinstance(expr, Subscript):
        return "a slice is no value by itself" if _is_slice(expr.value) else ""
    return "a slice is no value by itself" if any(map(_is_slice, expr.children())) else ""


def _is_slice(expr: Expr) -> bool:
    return isinstance(expr, Slice)


def _operation_problem(expr: Expr) -> str:
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
        case Attribute(name=""):
            return "an attribute has no name"
        case FunctionName(name=name) if named(name) is None:
            return f"`{name}` is no function of the evaluator"
        case Apply(function=name) if name not in FUNCTIONS and name not in ("flat", "folded"):
            return f"`{name}` is no function of the evaluator"
    return ""


def _collection_problem(expr: Expr) -> str:
    match expr:
        case Display(kind=kind) if kind not in ("list", "tuple", "set"):
            return f"`{kind}` is no kind of display"
        case FromJson(form=form) if not forms.is_form(form):
            return f"`{form}` is no form"
        case Member(enum=enum, members=members) if ":" not in enum or not members:
            return f"`{enum}` is no enumeration"
        case Format(parts=parts):
            fields = [part for part in parts if isinstance(part, Field)]
            wrong = [field.conversion for field in fields if field.conversion not in "sra"]
            return f"`!{wrong[0]}` is no conversion" if wrong else ""
        case Comprehension() if expr.kind not in ("list", "set", "dict") or not expr.clauses:
            return f"`{expr.kind}` is no kind of comprehension"
        case Comprehension(kind="dict", element=element) if not _is_pair(element):
            return "the element of a dict is a pair"
    return ""


def _is_pair(expr: Expr) -> bool:
    return isinstance(expr, Display) and expr.kind == "tuple" and len(expr.items) == 2


def _is_chain(expr: Compare) -> bool:
    return len(expr.operands) == len(expr.ops) + 1 > 1 and _COMPARISONS.issuperset(expr.ops)


def _setting_problem(definition: Definition, value: Any) -> str:
    if problem := violation(value, definition.kind.schema):
        return problem
    try:
        if definition.check is not None and value is not None:
            definition.check(value)
    except ValueError as error:
        return f"cannot be: {error}"
    return ""


def _is_pipeline_name(name: str) -> bool:
    if name.isidentifier():
        return True
    try:
        return bool(SETTINGS["name"].read("name", name))
    except ValueError:
        return False


def _is_relative(path: str) -> bool:
    """Whether a path is relative to the project; a package of it may be beside the project."""
    parts = path.split("/")
    while parts[:1] == [".."]:
        parts.pop(0)
    return bool(path) and not path.startswith("/") and ".." not in parts


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _refuse(name: str) -> object:
    raise ValueError(name)
