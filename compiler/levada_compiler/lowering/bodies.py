"""The body of a function: its defaults, its statements, and what it returns."""

from __future__ import annotations

import ast

from ..front import constants
from ..front.declare import arguments_of
from ..front.not_constant import NotConstantError
from ..program.ir import Result
from ..slotted import replace
from . import blocks, checks, members
from .blocks import STATEMENTS, Ending
from .flow import RESULT, RETURNED
from .lowering import expression, not_constant
from .values import Accumulated, Lowered, constant, poison

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..diagnostics.diagnostic import Span
    from ..front import modules as m
    from ..front.declare import Default, Pipeline
    from .frame import Frame


def lower(frame: Frame) -> Lowered:
    """Lower the body of a frame's function; return what it returns."""
    span = frame.module.span(frame.function.node)
    frame.scope.names[RESULT] = constant(None, span)
    blocks.set_flag(frame, RETURNED, span, to=False)
    frame.building.active.append(frame.function)
    try:
        if blocks.block(frame, frame.function.node.body) is Ending.MAYBE:
            blocks.unless_left(frame, lambda: _return_none(frame, span), span)
    finally:
        frame.building.active.pop()
    found = frame.scope.names.get(RESULT)
    if isinstance(found, Accumulated):
        found = frame.read_cell("the result", found.cell, span)
    value = found if isinstance(found, Lowered) else constant(None, span)
    return frame.keep(value, "result") if value.raises and frame.prefix else value


def _return_none(frame: Frame, span: Span) -> Ending:
    """Return None, as a function does whose end is reached."""
    frame.scope.names[RESULT] = constant(None, span)
    blocks.set_flag(frame, RETURNED, span)
    return Ending.LEAVES


def _return(
    frame: Frame,
    node: ast.Return,
    rest: list[ast.stmt],  # noqa: ARG001 - as all handlers have it
) -> blocks.Handled:
    span = frame.span(node)
    if "fan-out" in frame.loops:
        frame.reports.error(
            "return-in-loop",
            span,
            "`return` cannot end a loop whose items are known only in the run",
            help="iterations run at the same time: collect into a list, and return after the loop",
        )
        return Ending.LEAVES, False
    if frame.in_final:
        frame.reports.error(
            "unsupported-statement",
            span,
            "`return` in `finally` would hide a failure",
            help="return after the `try` statement",
        )
    value = _returned(frame, node, span)
    _check_type(frame, node, value)
    frame.returns.append(node)
    frame.scope.names[RESULT] = replace(value, fresh=False, cell=None)
    blocks.set_flag(frame, RETURNED, span)
    return Ending.LEAVES, False


def _returned(frame: Frame, node: ast.Return, span: Span) -> Lowered:
    """Return what is returned. Storing a list in it does not share the list: the function ends.

    A ``finally`` may still change the list, so within one it stays shared.
    """
    if node.value is None:
        return constant(None, span)
    before = dict(frame.scope.cells)
    value = expression(frame, node.value)
    if not frame.finals:
        frame.scope.cells = {
            cell: replace(held, shared=before[cell].shared) if cell in before else held
            for cell, held in frame.scope.cells.items()
        }
    return value


def _check_type(frame: Frame, node: ast.Return, value: Lowered) -> None:
    wanted = frame.function.node.returns
    if wanted is None or node.value is None or value.poisoned:
        return
    declarations = frame.building.declarations
    kind = declarations.annotation(frame.module, wanted)
    if not checks.fits(declarations, value, kind):
        name = frame.function.node.name
        checks.report_mismatch(frame, frame.span(node.value), name, value.type, kind)


STATEMENTS[ast.Return] = _return


def result_of(frame: Frame, value: Lowered, span: Span) -> Result:
    """Return the result of the outermost pipeline."""
    if not frame.returns or value.static is None:
        return Result((), (), "none", span)
    span = frame.span(frame.returns[-1])
    if value.fields is not None and value.type.name.partition(":")[2]:
        return _result(list(value.fields), list(value.fields.values()), value.type.name, span)
    if value.pairs and all(isinstance(key.static, str) for key, _ in value.pairs):
        names = [str(key.static) for key, _ in value.pairs]
        return _result(names, [item for _, item in value.pairs], "dict", span)
    nodes = [node.value for node in frame.returns if node.value is not None]
    if value.parts is not None and all(isinstance(node, ast.Tuple) for node in nodes):
        names = _names([_names_of(node) for node in nodes], len(value.parts))
        return _result(names, list(value.parts), "tuple", span)
    return _result(_names([_names_of(node) for node in nodes], 1), [value], "value", span)


def _result(names: list[str], values: list[Lowered], kind: str, span: Span) -> Result:
    return Result(tuple([value.expr for value in values]), tuple(names), kind, span)


def _names_of(node: ast.expr) -> list[str]:
    """Return the names of what is returned: the variable's or the output's, else the position."""
    names: list[str] = []
    for index, item in enumerate(node.elts if isinstance(node, ast.Tuple) else [node]):
        name = str(index)
        if isinstance(item, ast.Name):
            name = item.id
        elif isinstance(item, ast.Attribute):
            name = item.attr
        names.append(name if name not in names else f"{name}_{index}")
    return names


def _names(found: list[list[str]], count: int) -> list[str]:
    """Return the names that all `return` statements agree on, else the positions."""
    first = found[0]
    agreed = len(first) == count and all(names == first for names in found)
    return first if agreed else [str(index) for index in range(count)]


# ---------------------------------------------------------------------------- defaults


def defaults(declared: Pipeline) -> dict[str, Lowered]:
    """Return the values of a pipeline's parameters that a call leaves out."""
    return {name: _default(default) for name, default in declared.defaults.items()}


def _default(default: Default) -> Lowered:
    if default.is_wrong:
        return poison(default.span)
    if default.member is not None:
        made = members.constant_member(*default.member, default.span)
        return poison(default.span) if made is None else made
    return constant(default.value, default.span)


def plain_defaults(frame: Frame, function: m.Function) -> dict[str, Lowered]:
    """Return the values of a plain function's parameters that a call leaves out."""
    found: dict[str, Lowered] = {}
    folder = constants.Folder(frame.building.modules, function.module)
    for argument, _, default in arguments_of(function.node):
        if default is None:
            continue
        try:
            found[argument.arg] = constant(folder.fold(default), frame.span(default))
        except NotConstantError as error:
            found[argument.arg] = not_constant(frame, error)
    return found
