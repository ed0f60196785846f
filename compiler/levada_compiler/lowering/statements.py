"""Statements of a pipeline: what each adds to the program, or why it cannot be one."""

from __future__ import annotations

import ast

from ..diagnostics.diagnostic import Label
from ..front import modules as m
from ..front.constants import NotConstantError
from ..program.ir import Branch, Result
from ..slotted import dataclass, replace
from . import advice, calls, evaluation, expressions, guards, loops
from .values import ListRef, Value, display, poison, selected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from ..diagnostics.diagnostic import Span
    from .frame import Frame

#: What to do instead of a statement that is outside the language.
WAYS_OUT: Final[dict[type[ast.stmt], tuple[str, str]]] = {
    ast.While: (
        "`while`",
        "loop over a list with `for`, or put the whole loop into a step",
    ),
    ast.With: ("`with`", "open the resource in the step that uses it; `try: … finally:` cleans up"),
    ast.AsyncWith: ("`async with`", "open the resource in the step that uses it"),
    ast.AsyncFor: ("`async for`", "use `for`: a loop over a step's output fans out by itself"),
    ast.Raise: ("`raise`", "raise in a step: a failed step fails the run"),
    ast.Assert: ("`assert`", "check it in a step: a failed step fails the run"),
    ast.FunctionDef: ("`def`", "define the function at the top level, under `@step`"),
    ast.AsyncFunctionDef: ("`async def`", "define the function at the top level, under `@step`"),
    ast.ClassDef: ("`class`", "define the class at the top level"),
    ast.Import: ("`import`", "import at the top of the module, or in the step"),
    ast.ImportFrom: ("`import`", "import at the top of the module, or in the step"),
    ast.Global: ("`global`", "give the value to the steps as an argument"),
    ast.Nonlocal: ("`nonlocal`", "give the value to the steps as an argument"),
    ast.Delete: ("`del`", "leave it out: nothing is held between steps"),
    ast.Break: ("`break`", "filter the items before the loop, or put the whole loop into a step"),
    ast.Continue: ("`continue`", "put what follows it under an `if`"),
    ast.Match: ("`match`", "use `if`, `elif` and `else`"),
    ast.TryStar: ("`except*`", "write `except Exception:`"),
}


@dataclass(frozen=True, slots=True)
class Returned:
    """What a pipeline returns."""

    value: Value
    result: Result


def function_body(frame: Frame) -> Returned | None:
    """Lower a pipeline's body; what it returns, None without a ``return`` of a value."""
    body = frame.function.node.body
    last = body[-1]
    if not isinstance(last, ast.Return):
        block(frame, body)
        return None
    block(frame, body[:-1])
    return returned(frame, last)


def block(frame: Frame, body: list[ast.stmt]) -> None:
    """Lower statements in order."""
    for node in body:
        statement(frame, node)


def statement(frame: Frame, node: ast.stmt) -> None:
    """Lower one statement."""
    frame.reports.place = frame.span(node)
    handler = HANDLERS.get(type(node))
    if handler is None:
        unsupported(frame, node)
    else:
        handler(frame, node)
    frame.target = None


def unsupported(frame: Frame, node: ast.stmt) -> None:
    """Report a statement that is outside the language, and poison what it would have bound."""
    report_unsupported(frame, node)
    span = frame.span(node)
    for name in loops.assigned_names(node):
        frame.bind(name, poison(span))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        frame.bind(node.name, poison(span))
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            frame.bind((alias.asname or alias.name).partition(".")[0], poison(span))


def report_unsupported(frame: Frame, node: ast.stmt) -> None:
    """Report a statement that is outside the language."""
    what, way_out = WAYS_OUT.get(
        type(node), (f"this statement ({type(node).__name__})", "move it into a step")
    )
    span = frame.span(node)
    first_line = frame.module.source.line_span(span.line, span.column)
    place = span if span.line == span.end_line else first_line
    frame.reports.error(
        "unsupported-statement", place, f"{what} cannot be used in a pipeline", help=way_out
    )


# ---------------------------------------------------------------------------- assignment


def _lower_assign(frame: Frame, node: ast.Assign) -> None:
    first = node.targets[0]
    if len(node.targets) == 1 and is_parallel(first, node.value):
        lower_parallel(frame, first, node.value)
        return
    frame.target = first.id if isinstance(first, ast.Name) else None
    value = expressions.lower(frame, node.value)
    if len(node.targets) > 1 and value.fresh and value.cell is None and not value.poisoned:
        value = replace(value, cell=frame.new_list(frame.scope, value).cell)
    for target in node.targets:
        loops.assign(frame, target, value)


def is_parallel(target: ast.expr, value: ast.expr) -> bool:
    """Whether an assignment is of the form ``a, b = x, y``."""
    sequences = ast.Tuple | ast.List
    if not (isinstance(target, sequences) and isinstance(value, sequences)):
        return False
    starred = any(isinstance(item, ast.Starred) for item in (*target.elts, *value.elts))
    return not starred and len(target.elts) == len(value.elts)


def lower_parallel(frame: Frame, target: Any, value: Any) -> None:
    """``a, b = x, y``: no tuple is made, so that a new list may still be appended to."""
    values = [expressions.lower(frame, item) for item in value.elts]
    for item, given in zip(target.elts, values, strict=True):
        loops.assign(frame, item, given)


def _lower_annotated(frame: Frame, node: ast.AnnAssign) -> None:
    if node.value is None:
        return
    frame.target = node.target.id if isinstance(node.target, ast.Name) else None
    value = expressions.lower(frame, node.value)
    wanted = frame.building.declarations.annotation(frame.module, node.annotation)
    if not value.poisoned and not advice.fits(frame.building.declarations, value, wanted):
        advice.report_mismatch(
            frame, frame.span(node.value), frame.text(node.target), value.type, wanted
        )
        value = poison(frame.span(node.value))
    loops.assign(frame, node.target, value)


def _lower_augmented(frame: Frame, node: ast.AugAssign) -> None:
    if not isinstance(node.target, ast.Name):
        loops.refuse_target(
            frame, node.target, "an attribute or an item", "change values in a step"
        )
        expressions.lower(frame, node.value)
        return
    binding = frame.scope.names.get(node.target.id)
    if isinstance(binding, ListRef) and isinstance(node.op, ast.Add):
        _extend(frame, binding, node.value, node)
        return
    name = ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target)
    left, right = expressions.lower(frame, name), expressions.lower(frame, node.value)
    try:
        value = expressions.arithmetic(frame, node, node.op, left, right)
    except NotConstantError as error:
        value = expressions.not_constant(frame, error)
    loops.assign(frame, node.target, value)


# ---------------------------------------------------------------------------- lists


def _lower_expression(frame: Frame, node: ast.Expr) -> None:
    value = node.value
    if isinstance(value, ast.Constant):
        return
    if isinstance(value, ast.Call):
        if lower_list_method(frame, value) or lower_barrier(frame, value):
            return
    elif not isinstance(value, ast.ListComp | ast.IfExp | ast.BoolOp | ast.List | ast.Tuple):
        before = frame.building.emitted
        lowered = expressions.lower(frame, value)
        if not lowered.poisoned and frame.building.emitted == before:
            frame.reports.warning(
                "unused-result",
                frame.span(value),
                "this expression does nothing",
                help="remove it",
            )
        return
    expressions.lower(frame, value)


def lower_list_method(frame: Frame, node: ast.Call) -> bool:
    """``out.append(x)`` and ``out.extend(xs)`` on a list that the pipeline has made."""
    func = node.func
    if not (isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name)):
        return False
    name = func.value.id
    if func.attr not in ("append", "extend") or not expressions.is_local(frame, name):
        return False
    binding = frame.scope.names.get(name)
    one = len(node.args) == 1 and not node.keywords and not isinstance(node.args[0], ast.Starred)
    if not isinstance(binding, ListRef) or not one:
        return _refuse_append(frame, node, func.value, one=one)
    if func.attr == "extend":
        _extend(frame, binding, node.args[0], node)
        return True
    item = expressions.lower(frame, node.args[0])
    evaluation.settle(frame, (item,), name, frame.span(node))
    frame.share(item, frame.span(node.args[0]))
    append(frame, binding, display("list", (item,), frame.span(node)), node)
    return True


def _refuse_append(frame: Frame, node: ast.Call, name: ast.Name, *, one: bool) -> bool:
    owner = expressions.lower(frame, name)
    calls.lower_arguments(frame, node)
    if owner.poisoned:
        return True
    if not one:
        frame.reports.error(
            "too-many-arguments",
            frame.span(node),
            "a list takes exactly one value here",
            help="append one value: `out.append(x)`",
        )
        return True
    frame.reports.error(
        "shared-list",
        frame.span(node),
        f"`{name.id}` cannot be appended to: this pipeline has not made the list itself",
        labels=(Label(owner.expr.span, "this is where it comes from"),),
        help=f"start a list of your own (`{name.id} = []`) and append to that",
    )
    return True


def _extend(frame: Frame, binding: ListRef, node: ast.expr, place: ast.AST) -> None:
    value = expressions.lower(frame, node)
    if value.poisoned:
        append(frame, binding, value, place)
        return
    evaluation.settle(frame, (value,), "items", frame.span(node))
    items = frame.items_of(value, frame.span(node))
    if items is not None:
        append(frame, binding, display("list", items, frame.span(node)), place)
    elif value.fresh or value.cell is not None:
        append(frame, binding, replace(value, cell=None), place)
    else:
        frame.reports.error(
            "compute-in-pipeline",
            frame.span(node),
            "joining a list that is known only in the run would run inside the orchestrator",
            help="append the list itself (`out.append(xs)`) and join the lists in a step",
        )
        append(frame, binding, poison(frame.span(node)), place)


def append(frame: Frame, binding: ListRef, part: Value, place: ast.AST) -> None:
    """Join ``part``, a list, to an accumulator."""
    held = frame.scope.lists[binding.cell]
    span = frame.span(place)
    if held.shared is not None:
        frame.reports.error(
            "shared-list",
            span,
            "this list is also held by another value, which would change with it",
            labels=(Label(held.shared, "it is stored here"),),
            help="append first and store the list afterwards, or start a new list",
        )
    if held.read_depth > held.depth and frame.depth >= held.read_depth and held.read_span:
        frame.reports.error(
            "loop-carried",
            held.read_span,
            "a list that a loop is still filling is used in that loop",
            labels=(Label(span, "it is appended to here"),),
            help="iterations run at the same time: use the list after the loop",
        )
        part = poison(span)
    frame.scope.lists[binding.cell] = held.appended(part, frame.depth)
    frame.scope.when.setdefault(binding.cell, frame.building.emitted)


# ---------------------------------------------------------------------------- order


def lower_barrier(frame: Frame, node: ast.Call) -> bool:
    """``after(x, y)`` as a statement: what follows in the block waits for them."""
    definition = calls.callee_of(frame, node.func)
    if definition != m.External("levada.after"):
        return False
    ids = calls.after_ids(frame, node)
    frame.barrier = tuple(dict.fromkeys((*frame.barrier, *ids)))
    return True


# ---------------------------------------------------------------------------- branches


def _lower_if(frame: Frame, node: ast.If) -> None:
    test = expressions.lower(frame, node.test)
    if test.is_static:
        block(frame, node.body if test.static else node.orelse)
        refuse_dead(frame, node.orelse if test.static else node.body)
        return
    span = header_span(frame, node)
    branch = frame.new_id("if")
    before = frame.scope
    frame.scope = before.copy()
    with frame.inner_region() as then:
        block(frame, node.body)
    after_then, frame.scope = frame.scope, before.copy()
    with frame.inner_region() as otherwise:
        block(frame, node.orelse)
    after_else = frame.scope
    frame.emit(Branch(branch, test.expr, tuple(then), tuple(otherwise), frame.barrier, span))

    def choose(one: Value, other: Value) -> Value:
        return selected(branch, test, one, other, span)

    ways = ("if the condition holds", "if the condition does not hold")
    frame.scope = frame.merge(choose, span, ways).scopes(after_then, after_else)


def refuse_dead(frame: Frame, body: list[ast.stmt]) -> None:
    """Report statements outside the language in a branch that is never taken."""
    for item in [inner for node in body for inner in ast.walk(node)]:
        if isinstance(item, ast.Return):
            report_return(frame, item)
        elif isinstance(item, ast.stmt) and type(item) not in HANDLERS:
            report_unsupported(frame, item)


def header_span(frame: Frame, node: ast.If) -> Span:
    """From `if` to the end of its condition."""
    whole, test = frame.span(node), frame.span(node.test)
    return replace(whole, end_line=test.end_line, end_column=test.end_column)


# ---------------------------------------------------------------------------- return


def _lower_return(frame: Frame, node: ast.Return) -> None:
    if node.value is not None:
        expressions.lower(frame, node.value)
    report_return(frame, node)


def report_return(frame: Frame, node: ast.Return) -> None:
    """Report a `return` within a block or before the end."""
    frame.reports.error(
        "return-not-last",
        frame.span(node),
        "`return` can only be the last statement of a pipeline",
        help="assign a name on each way, and return the name at the end",
    )


def returned(frame: Frame, node: ast.Return) -> Returned | None:
    """The pipeline's outputs."""
    if node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None):
        return None
    value = expressions.lower(frame, node.value)
    span = frame.span(node)
    is_tuple = isinstance(node.value, ast.Tuple)
    nodes = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
    values = value.parts if is_tuple and value.parts is not None else (value,)
    names = result_names(nodes, len(values))
    wanted = frame.function.node.returns
    if wanted is not None and not value.poisoned:
        kind = frame.building.declarations.annotation(frame.module, wanted)
        if not advice.fits(frame.building.declarations, value, kind):
            advice.report_mismatch(
                frame, frame.span(node.value), frame.function.node.name, value.type, kind
            )
    exprs = tuple(item.expr for item in values)
    return Returned(value, Result(exprs, names, is_tuple, span))


def result_names(nodes: list[ast.expr], count: int) -> tuple[str, ...]:
    """The variable's or the output's name where there is one, else the position."""
    names: list[str] = []
    for index in range(count):
        node = nodes[index] if len(nodes) == count else None
        name = str(index)
        if isinstance(node, ast.Name):
            name = node.id
        elif isinstance(node, ast.Attribute):
            name = node.attr
        names.append(name if name not in names else f"{name}_{index}")
    return tuple(names)


def lower_pass(frame: Frame, node: ast.Pass) -> None:
    """Nothing."""


HANDLERS: Final[dict[type[ast.stmt], Callable[[Frame, Any], None]]] = {
    ast.Assign: _lower_assign,
    ast.AnnAssign: _lower_annotated,
    ast.AugAssign: _lower_augmented,
    ast.Expr: _lower_expression,
    ast.If: _lower_if,
    ast.For: lambda frame, node: loops.lower_for(frame, node),
    ast.Try: lambda frame, node: guards.lower_try(frame, node),
    ast.Return: _lower_return,
    ast.Pass: lower_pass,
}
