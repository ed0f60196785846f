"""Blocks of statements: how each ends, and what is decided between them.

A jump (`return`, and in an unrolled loop `break` and `continue`) ends a block early. Where it is
taken on one side of an `if` only, what follows in the block becomes the other side. Where that is
not enough, the jump sets a flag, a named value that what follows depends on.
"""

from __future__ import annotations

import ast
from enum import IntEnum
from functools import partial
from importlib import import_module

from ..program.ir import BoolOp, Branch, Conditional, Const, Display, Select, Value
from ..slotted import replace
from . import checks, flow, jumps, proven
from .flow import FLAGS
from .values import (
    BOOL,
    Lowered,
    callable_value,
    chosen,
    constant,
    display,
    made_of,
    poison,
    selected,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final, TypeAlias

    from ..diagnostics.diagnostic import Span
    from ..program.ir import Expr, Node
    from .frame import Frame

    Handled: TypeAlias = "tuple[Ending, bool] | None"
    StatementHandler: TypeAlias = Callable[[Frame, Any, list[ast.stmt]], Handled]


class Ending(IntEnum):
    """How control leaves a statement or a block."""

    FALLS = 0  #: it goes on behind it
    MAYBE = 1  #: flags of the frame say whether a jump was taken
    LEAVES = 2  #: by a jump, on every path
    RAISES = 3  #: by an exception, on every path


#: Each is given the statements that follow in the block. What it returns: how the block goes on,
#: and whether it has lowered those too; None where it goes on behind it.
STATEMENTS: Final[dict[type[ast.stmt], StatementHandler]] = {}
#: The modules of those statements that few pipelines have: imported when a pipeline has one.
_MODULES: Final[dict[type[ast.stmt], str]] = {
    ast.Match: "matching",
    ast.Try: "guards",
    **dict.fromkeys((ast.Raise, ast.Assert), "failures"),
    **dict.fromkeys((ast.For, ast.Break, ast.Continue), "loops"),
}
FALLS: Final = (Ending.FALLS, False)
#: What the two sides of a decision are called in messages.
WAYS: Final = ("if the condition holds", "if the condition does not hold")


def _handler(kind: type[ast.stmt]) -> StatementHandler | None:
    """Return what lowers a statement; None where nothing does."""
    if kind not in STATEMENTS and kind in _MODULES:
        import_module(f"{__package__}.{_MODULES[kind]}")
    return STATEMENTS.get(kind)


def block(frame: Frame, body: Sequence[ast.stmt]) -> Ending:
    """Lower statements in order; return how the block ends."""
    for at, node in enumerate(body):
        rest = list(body[at + 1 :])
        ending, is_done = statement(frame, node, rest) or FALLS
        if is_done:
            return ending
        if ending >= Ending.LEAVES:
            refuse_dead(frame, rest)
            return ending
        if ending is Ending.MAYBE:
            after = _rest(frame, rest) if rest else Ending.FALLS
            return Ending.LEAVES if after >= Ending.LEAVES else Ending.MAYBE
    return Ending.FALLS


def _rest(frame: Frame, rest: list[ast.stmt]) -> Ending:
    return unless_left(frame, lambda: block(frame, rest), frame.span(rest[0]))


def statement(frame: Frame, node: ast.stmt, rest: list[ast.stmt]) -> Handled:
    """Lower one statement, and those that follow it in its block where they depend on it."""
    frame.reports.place = frame.span(node)
    handler = _handler(type(node))
    try:
        if handler is None:
            if not _declares_step(frame, node):
                unsupported(frame, node)
            return None
        return handler(frame, node, rest)
    finally:
        frame.target = None


# ---------------------------------------------------------------------------- decisions


def if_block(
    frame: Frame,
    test: Lowered,
    sides: tuple[list[ast.stmt], list[ast.stmt]],
    rest: list[ast.stmt],
    span: Span,
    condition: ast.expr,
) -> tuple[Ending, bool]:
    """Lower an ``if`` with its two sides, and the ``rest`` of its block where one side leaves."""
    body, orelse = sides

    def side(statements: list[ast.stmt], *, holds: bool) -> Ending:
        proven.prove(frame, condition, holds=holds)
        return block(frame, statements)

    if test.is_static:
        taken, dead = (body, orelse) if test.static else (orelse, body)
        refuse_dead(frame, dead)
        return side(taken, holds=bool(test.static)), False
    is_done = True
    if _jumps(body) and not jumps.always(orelse):
        orelse = [*orelse, *rest]
    elif _jumps(orelse) and not jumps.always(body):
        body = [*body, *rest]
    else:
        is_done = False
    then, otherwise = partial(side, body, holds=True), partial(side, orelse, holds=False)
    ends = decide(frame, test, then, otherwise, span)
    return ends, is_done


def _jumps(body: list[ast.stmt]) -> bool:
    """Return whether a block always ends by a jump, and not only by exceptions."""
    return jumps.always(body) and not jumps.always_raises(body)


def decide(
    frame: Frame,
    test: Lowered,
    then: Callable[[], Ending],
    otherwise: Callable[[], Ending],
    span: Span,
    ways: tuple[str, str] = WAYS,
) -> Ending:
    """Lower both sides of a decision and join what they give; return how it ends."""
    branch = frame.new_id("if")
    before = frame.scope
    frame.scope = before.copy()
    with frame.inner_region() as then_nodes:
        then_ends = then()
    after_then, frame.scope = frame.scope, before.copy()
    with frame.inner_region() as else_nodes:
        else_ends = otherwise()
    after_else = frame.scope
    choose = decided(frame, branch, test, (then_nodes, else_nodes), span)
    if then_ends is Ending.RAISES:
        wrap = partial(_of_side, branch, span, is_then=False)
        frame.scope = flow.entered(frame, after_else, before, wrap)
        return else_ends
    if else_ends is Ending.RAISES:
        wrap = partial(_of_side, branch, span, is_then=True)
        frame.scope = flow.entered(frame, after_then, before, wrap)
        return then_ends
    frame.scope = frame.merge(choose, span, ways).scopes(after_then, after_else)
    return then_ends if then_ends is else_ends else Ending.MAYBE


def _of_side(branch: str, span: Span, value: Lowered, *, is_then: bool) -> Lowered:
    """Return a value of a side of a branch as it is after the branch, whose other side raises."""
    if value.is_known or value.definition is not None or value.has_callables:
        return value
    none = Const(None, span)
    then, otherwise = (value.expr, none) if is_then else (none, value.expr)
    parts = value.parts
    if parts is not None:
        parts = tuple(_of_side(branch, span, part, is_then=is_then) for part in parts)
        if isinstance(value.expr, Display) and value.expr.kind == "tuple":
            return display("tuple", parts, span)
    expr = Select(branch, then, otherwise, span)
    return replace(value, expr=expr, parts=parts, pairs=None, fields=None)


def either(
    frame: Frame,
    test: Lowered,
    then: Callable[[], Lowered],
    otherwise: Callable[[], Lowered],
    span: Span,
) -> Lowered:
    """Return the value of ``then()`` where the test holds, else that of ``otherwise()``."""
    branch = frame.new_id("if")
    before = frame.scope
    frame.scope = before.copy()
    with frame.inner_region() as then_nodes:
        one = then()
    after_then, frame.scope = frame.scope, before.copy()
    with frame.inner_region() as else_nodes:
        other = otherwise()
    after_else = frame.scope
    if test.poisoned or one.poisoned or other.poisoned:
        return poison(span)
    if not checks.check_no_member(frame, span, test):
        return poison(span)
    binds = any(after.names != before.names for after in (after_then, after_else))
    if then_nodes or else_nodes or binds:
        choose = decided(frame, branch, test, (then_nodes, else_nodes), span)
    else:
        frame.release(branch)
        choose = _plain_choice(test, span)
    frame.scope = frame.merge(choose, span, WAYS).scopes(after_then, after_else)
    return choose(one, other, "value")


def _plain_choice(test: Lowered, span: Span) -> flow.Choose:
    return lambda one, other, _: chosen(test, one, other, span)


def decided(
    frame: Frame,
    branch: str,
    test: Lowered,
    sides: tuple[list[Node], list[Node]],
    span: Span,
) -> flow.Choose:
    """Emit a decision, and return what makes the value that stands for either side's.

    Without a task on a side there is nothing to decide in the run: values depend on the test.
    """
    then, otherwise = sides
    if not checks.check_no_member(frame, span, test):
        test = poison(span)
    if any(map(is_task, (*then, *otherwise))):
        frame.emit(Branch(branch, test.expr, tuple(then), tuple(otherwise), (), span))
        return lambda one, other, name: frame.keep(selected(branch, one, other, span), name)
    frame.release(branch)
    test = frame.keep(test, "test")
    for nodes, is_then in ((then, True), (otherwise, False)):
        for node in nodes:
            _hoist(frame, node, test, is_then=is_then)
    return lambda one, other, name: frame.keep(chosen(test, one, other, span), name)


def is_task(node: Node) -> bool:
    """Return whether a node is more than a named value."""
    return not isinstance(node, Value)


def _hoist(frame: Frame, node: Node, test: Lowered, *, is_then: bool) -> None:
    """Take a value out of a side of a decision; it is evaluated only where that side is taken."""
    if not isinstance(node, Value) or not node.raises:
        frame.building.sides.setdefault(node.id, []).append((test.expr, is_then))
        frame.emit(node)
        return
    frame.emit(node.changed(value=on_side(node.value, test.expr, is_then=is_then)))


def on_side(value: Expr, test: Expr, *, is_then: bool) -> Expr:
    """Return ``value`` where a side of a decision is taken; the other side does not evaluate it."""
    none = Const(None, value.span)
    then, otherwise = (value, none) if is_then else (none, value)
    return Conditional(test, then, otherwise, value.span)


def unless_left(frame: Frame, lowered: Callable[[], Ending], span: Span) -> Ending:
    """Lower what follows a statement that may have jumped; return how that ends."""
    test = left(frame, span)
    if test.is_static:
        return Ending.LEAVES if test.static else lowered()
    open_flags = [flag for flag in FLAGS if not flag_of(frame, flag).is_static]
    ending = Ending.FALLS

    def has_left() -> Ending:
        if len(open_flags) == 1:
            set_flag(frame, open_flags[0], span)
        frame.scope.has_left = True
        return Ending.LEAVES

    def goes_on() -> Ending:
        nonlocal ending
        for flag in open_flags:
            set_flag(frame, flag, span, to=False)
        ending = lowered()
        return ending

    decide(frame, test, has_left, goes_on, span)
    return min(ending, Ending.LEAVES)  # what raises is one path, the jump is another


# ---------------------------------------------------------------------------- flags


def set_flag(frame: Frame, flag: str, span: Span, *, to: bool = True) -> None:
    """Note that a jump is taken here, or that it has arrived."""
    frame.scope.names[flag] = constant(to, span)
    if not to:
        frame.scope.has_left = False


def flag_of(frame: Frame, flag: str) -> Lowered:
    """Return a flag: whether its jump was taken."""
    value = frame.scope.names.get(flag)
    return (
        value
        if isinstance(value, Lowered)
        else constant(False, frame.module.span(frame.function.node))
    )


def left(frame: Frame, span: Span) -> Lowered:
    """Return whether a jump was taken, as far as that is known."""
    found = constant(value=False, span=span)
    for flag in FLAGS:
        value = flag_of(frame, flag)
        if value.static is False:
            continue
        if value.static is True:
            return value
        found = value if found.is_static else _either(found, value, span)
    return found


def _either(one: Lowered, other: Lowered, span: Span) -> Lowered:
    return made_of(BoolOp("or", (one.expr, other.expr), span), BOOL, (one, other))


# ---------------------------------------------------------------------------- what is refused

#: What to write instead of a statement that is outside the language.
REFUSED: Final[dict[type[ast.stmt], tuple[str, str]]] = {
    ast.While: (
        "`while`",
        "loop a bounded number of times and stop by a condition: "
        "`for _ in range(10): if not done: …`, or put the whole loop into a step",
    ),
    ast.With: (
        "`with`",
        "open the resource in the step that uses it; a file of the project can be read at the top "
        "level of the module; `try: … finally:` cleans up",
    ),
    ast.AsyncWith: ("`async with`", "open the resource in the step that uses it"),
    ast.AsyncFor: ("`async for`", "use `for`: a loop over a step's output fans out by itself"),
    ast.FunctionDef: ("`def`", "put `@step` on it, or define it at the top level of the module"),
    ast.AsyncFunctionDef: ("`async def`", "define the function at the top level, under `@step`"),
    ast.ClassDef: ("`class`", "define the class at the top level"),
    ast.Global: ("`global`", "give the value to the steps as an argument"),
    ast.Nonlocal: ("`nonlocal`", "give the value to the steps as an argument"),
    ast.TryStar: ("`except*`", "write `except Exception:`"),
}


def refuse_dead(frame: Frame, body: Sequence[ast.stmt]) -> None:
    """Report statements outside the language in a block that is never reached."""
    inside = [inner for node in body for inner in ast.walk(node)]
    for item in [inner for inner in inside if isinstance(inner, ast.stmt)]:
        if _handler(type(item)) is None and not _is_declaration(frame, item):
            report_unsupported(frame, item)


def unsupported(frame: Frame, node: ast.stmt) -> None:
    """Report a statement that is outside the language, and poison what it would have bound."""
    if not _is_declaration(frame, node):
        report_unsupported(frame, node)
    span = frame.span(node)
    for name in assigned_names(node):
        frame.bind(name, poison(span))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        frame.bind(node.name, poison(span))


def _declares_step(frame: Frame, node: ast.stmt) -> bool:
    """Bind the step that a statement of the pipeline declares, unless no run could find it."""
    if not (isinstance(node, ast.FunctionDef) and _is_declaration(frame, node)):
        return False
    outer = frame.function.node
    step = frame.building.declarations.nested_step(outer, frame.module, node)
    if step is not None:
        frame.bind(node.name, callable_value(step, frame.span(node)))
    return step is not None


def _is_declaration(frame: Frame, node: ast.stmt) -> bool:
    """Return whether a statement declares a step or a pipeline."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    kind = frame.building.declarations.decorator_kind
    return any(kind(frame.module, each) for each in node.decorator_list)


def report_unsupported(frame: Frame, node: ast.stmt) -> None:
    """Report a statement that is outside the language."""
    what, way_out = REFUSED.get(
        type(node), (f"this statement ({type(node).__name__})", "move it into a step")
    )
    span = frame.span(node)
    first_line = frame.module.source.line_span(span.line, span.column)
    place = span if span.line == span.end_line else first_line
    frame.reports.error(
        "unsupported-statement", place, f"{what} cannot be used in a pipeline", help=way_out
    )


def assigned_names(statement: ast.stmt, lists: frozenset[str] = frozenset()) -> list[str]:
    """Return the names that a statement binds; those of comprehensions are their own.

    ``lists`` are names of lists: ``+=`` only appends to those.
    """
    found: list[str] = []
    stack: list[ast.AST] = [statement]
    while stack:
        node = stack.pop()
        if isinstance(
            node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda
        ):
            continue
        if isinstance(node, ast.AugAssign) and _appends(node, lists):
            stack.append(node.value)
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.append(node.id)
        stack.extend(ast.iter_child_nodes(node))
    return list(dict.fromkeys(reversed(found)))


def _appends(node: ast.AugAssign, lists: frozenset[str]) -> bool:
    target = node.target
    return isinstance(node.op, ast.Add) and isinstance(target, ast.Name) and target.id in lists
