"""Statements of a pipeline: what each adds to the program, or why it cannot be one."""

from __future__ import annotations

import ast

from ..front import modules as m
from ..front.not_constant import NotConstantError
from ..slotted import replace
from . import accumulators, blocks, calls, checks, item_lists, targets
from .blocks import STATEMENTS, Ending
from .expressions import arithmetic
from .lowering import callable_or_value, expression, not_constant
from .values import Accumulated, Lowered, callable_value, poison

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..diagnostics.diagnostic import Span
    from .frame import Frame

# ---------------------------------------------------------------------------- assignment


def _assign(frame: Frame, node: ast.Assign, _: list[ast.stmt]) -> blocks.Handled:
    first = node.targets[0]
    if len(node.targets) == 1 and is_parallel(first, node.value):
        _assign_in_parallel(frame, first, node.value)
        return None
    frame.target = first.id if isinstance(first, ast.Name) else None
    value = callable_or_value(frame, node.value)
    if len(node.targets) > 1 and value.fresh and value.cell is None and not value.poisoned:
        value = replace(value, cell=frame.new_cell(frame.scope, value).cell)
    for target in node.targets:
        targets.assign(frame, target, value)
    return None


def is_parallel(target: ast.expr, value: ast.expr) -> bool:
    """Return whether an assignment is of the form ``a, b = x, y``."""
    sequences = ast.Tuple | ast.List
    if not (isinstance(target, sequences) and isinstance(value, sequences)):
        return False
    starred = any(isinstance(item, ast.Starred) for item in (*target.elts, *value.elts))
    return not starred and len(target.elts) == len(value.elts)


def _assign_in_parallel(frame: Frame, target: ast.expr, value: ast.expr) -> None:
    """``a, b = x, y``: no tuple is made, so that a new list may still be appended to."""
    assert isinstance(target, ast.Tuple | ast.List)  # noqa: S101 - see is_parallel
    assert isinstance(value, ast.Tuple | ast.List)  # noqa: S101 - see is_parallel
    values = [callable_or_value(frame, item) for item in value.elts]
    for item, given in zip(target.elts, values, strict=True):
        targets.assign(frame, item, given)


def _annotated(frame: Frame, node: ast.AnnAssign, _: list[ast.stmt]) -> blocks.Handled:
    if node.value is None:
        return None
    frame.target = node.target.id if isinstance(node.target, ast.Name) else None
    value = callable_or_value(frame, node.value)
    declarations = frame.building.declarations
    wanted = declarations.annotation(frame.module, node.annotation)
    known = not value.poisoned and value.definition is None
    if known and not checks.fits(declarations, value, wanted):
        span = frame.span(node.value)
        checks.report_mismatch(frame, span, frame.text(node.target), value.type, wanted)
        value = poison(span)
    targets.assign(frame, node.target, value)
    return None


def _augmented(frame: Frame, node: ast.AugAssign, _: list[ast.stmt]) -> blocks.Handled:
    if isinstance(node.target, ast.Subscript):
        item_lists.augment(frame, node)
        return None
    if not isinstance(node.target, ast.Name):
        targets.refuse(frame, node.target, "an attribute", "change values in a step")
        expression(frame, node.value)
        return None
    binding = frame.scope.names.get(node.target.id)
    if isinstance(binding, Accumulated) and accumulators.augment(frame, binding, node):
        return None
    name = ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target)
    left, right = expression(frame, name), expression(frame, node.value)
    try:
        value = arithmetic(frame, node, node.op, left, right)
    except NotConstantError as error:
        value = not_constant(frame, error)
    targets.assign(frame, node.target, value)
    return None


def _delete(frame: Frame, node: ast.Delete, _: list[ast.stmt]) -> blocks.Handled:
    for target in node.targets:
        if not isinstance(target, ast.Name):
            targets.refuse(frame, target, "an item or attribute", "make a new value without it")
        elif target.id in frame.scope.names:
            frame.used.add(target.id)
            del frame.scope.names[target.id]
        else:
            expression(frame, ast.copy_location(ast.Name(target.id, ast.Load()), target))
    return None


# ---------------------------------------------------------------------------- expressions


def _expression(frame: Frame, node: ast.Expr, _: list[ast.stmt]) -> blocks.Handled:
    value = node.value
    if isinstance(value, ast.Constant):
        return None
    if isinstance(value, ast.Call) and (
        accumulators.change(frame, value)
        or item_lists.change(frame, value)
        or lower_barrier(frame, value)
    ):
        return None
    before = frame.building.emitted
    lowered = expression(frame, value)
    if lowered.poisoned or frame.building.emitted != before:
        return None
    kept = frame.keep(lowered, "check")
    if kept is lowered or not lowered.raises:
        frame.reports.warning(
            "unused-result",
            frame.span(value),
            "this expression does nothing",
            help="remove it",
        )
    return None


def lower_barrier(frame: Frame, node: ast.Call) -> bool:
    """``after(x, y)`` as a statement: what follows waits for them."""
    is_name = isinstance(node.func, ast.Name | ast.Attribute)
    if not is_name or calls.callee_of(frame, node.func) != m.External("levada.after"):
        return False
    frame.wait_for(calls.after_ids(frame, node))
    return True


def _is_parallel(frame: Frame, node: ast.expr) -> bool:
    is_named = isinstance(node, ast.Name | ast.Attribute)
    return is_named and calls.callee_of(frame, node) == m.External("levada.parallel")


def _with(frame: Frame, node: ast.With, _: list[ast.stmt]) -> blocks.Handled:
    """``with parallel():`` lets the statements of its block run at the same time."""
    contexts = [item.context_expr for item in node.items]
    calls_parallel = [
        isinstance(context, ast.Call) and _is_parallel(frame, context.func) for context in contexts
    ]
    if named := [context for context in contexts if _is_parallel(frame, context)]:
        message, way_out = "`parallel` is not called", "write `with parallel():`"
        span = frame.span(named[0])
        frame.reports.error("unsupported-statement", span, message, help=way_out)
        return None
    if not all(calls_parallel) or any(item.optional_vars for item in node.items):
        blocks.unsupported(frame, node)
        return None
    outer = frame.parallel
    if outer is None:
        frame.building.blocks += 1
        frame.parallel = frame.building.blocks
    try:
        ending = blocks.block(frame, node.body)
    finally:
        frame.parallel = outer
    return (ending, False) if ending is not Ending.FALLS else None


# ---------------------------------------------------------------------------- branches


def _if(frame: Frame, node: ast.If, rest: list[ast.stmt]) -> blocks.Handled:
    test = expression(frame, node.test)
    span = header_span(frame, node)
    return blocks.if_block(frame, test, (node.body, node.orelse), rest, span, node.test)


def header_span(frame: Frame, node: ast.If) -> Span:
    """Return the range from `if` to the end of its condition."""
    whole, test = frame.span(node), frame.span(node.test)
    return replace(whole, end_line=test.end_line, end_column=test.end_column)


def _pass(frame: Frame, node: ast.Pass, _: list[ast.stmt]) -> blocks.Handled:
    """Do nothing."""


# ---------------------------------------------------------------------------- imports


def _import(frame: Frame, node: ast.Import | ast.ImportFrom, _: list[ast.stmt]) -> blocks.Handled:
    """``import`` in the body: its names stand for what they would at the top of the module."""
    for name, definition in frame.building.modules.imported(frame.module, node):
        span = frame.span(node)
        if definition is None:
            frame.reports.error(
                "undefined-name",
                span,
                f"`{name}` is not defined where it is imported from",
                help="check its name",
            )
            frame.bind(name, poison(span))
        elif isinstance(definition, m.Constant):
            frame.bind(name, _constant(frame, definition, node))
        else:
            frame.bind(name, callable_value(definition, span))
    return None


def _constant(frame: Frame, definition: m.Constant, node: ast.stmt) -> Lowered:
    from ..front import constants
    from .values import constant

    folder = constants.Folder(frame.building.modules, frame.module)
    place = ast.copy_location(ast.Name(definition.name, ast.Load()), node)
    try:
        return constant(folder.constant(definition, place), frame.span(node))
    except NotConstantError as error:
        return not_constant(frame, error)


STATEMENTS.update(
    {
        ast.Assign: _assign,
        ast.AnnAssign: _annotated,
        ast.AugAssign: _augmented,
        ast.Delete: _delete,
        ast.Expr: _expression,
        ast.With: _with,
        ast.If: _if,
        ast.Pass: _pass,
        ast.Import: _import,
        ast.ImportFrom: _import,
    }
)
