"""Lists and dicts that a pipeline fills: `append`, `extend`, `update`, `d[k] = …`, `+=`.

What a loop of the run appends is its fan-in. Of a dict the pairs are collected.
"""

from __future__ import annotations

import ast

from ..diagnostics.diagnostic import Label
from ..front.not_constant import NotConstantError
from ..slotted import replace
from . import checks, flow
from .expressions import is_local
from .lowering import callable_or_value, expression
from .values import Accumulated, Lowered, display, known_pairs, poison

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .frame import Frame

_OF_LISTS = ("append", "extend", "insert", "reverse", "sort")
_CHANGING = (*_OF_LISTS, "clear", "update")
#: The methods after which a list is another one, made of what it held.
REMAKING = ("clear", "insert", "reverse", "sort")


def change(frame: Frame, node: ast.Call) -> bool:
    """Lower ``out.append(x)`` and its like; return False for any other call."""
    func = node.func
    if not (isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name)):
        return False
    name = func.value.id
    if func.attr not in _CHANGING or not is_local(frame, name):
        return False
    frame.used.add(name)
    binding = frame.scope.names.get(name)
    if not isinstance(binding, Accumulated):
        is_known = func.attr in ("clear", "reverse", "sort")  # what to write is said of methods
        return not is_known and _refuse(frame, node, func.value)
    held = frame.scope.cells[binding.cell]
    if func.attr in REMAKING:
        return _remake(frame, node, func.value, func.attr, binding)
    if held.is_dict is (func.attr in _OF_LISTS):
        return False  # that is a method that the value does not have
    if func.attr == "update":
        _update(frame, binding, node)
        return True
    if len(node.args) != 1 or node.keywords or isinstance(node.args[0], ast.Starred):
        return _refuse_count(frame, node)
    if func.attr == "extend":
        extend(frame, binding, node.args[0], node)
        return True
    item = callable_or_value(frame, node.args[0])
    item = frame.keep(item, f"{name}_item")
    frame.share(item, frame.span(node.args[0]))
    append(frame, binding, display("list", (item,), frame.span(node)), node)
    return True


def _refuse(frame: Frame, node: ast.Call, name: ast.Name) -> bool:
    owner = expression(frame, name)
    for argument in node.args:
        expression(frame, argument.value if isinstance(argument, ast.Starred) else argument)
    way_out = f"start one of your own (`{name.id} = []`) and append to that"
    report_not_own(frame, node, owner, f"`{name.id}`", way_out)
    return True


def report_not_own(frame: Frame, node: ast.AST, owner: Lowered, what: str, way_out: str) -> None:
    """Report a change of what the pipeline did not make; ``owner`` is where it comes from."""
    if not owner.poisoned:
        frame.reports.error(
            "shared-list",
            frame.span(node),
            f"{what} cannot be changed: this pipeline did not create it",
            labels=(Label(owner.expr.span, "this is where it comes from"),),
            help=way_out,
        )


def _refuse_count(frame: Frame, node: ast.Call) -> bool:
    for argument in node.args:
        expression(frame, argument.value if isinstance(argument, ast.Starred) else argument)
    frame.reports.error(
        "too-many-arguments",
        frame.span(node),
        "a list takes exactly one value here",
        help="append one value: `out.append(x)`",
    )
    return True


def _remake(
    frame: Frame, node: ast.Call, name: ast.Name, method: str, binding: Accumulated
) -> bool:
    """Lower `xs.sort()` and its like: what the list holds is made anew."""
    held = frame.scope.cells[binding.cell]
    made = _remade(node, ast.copy_location(ast.Name(name.id, ast.Load()), name), method)
    if made is None or (held.is_dict and method != "clear"):
        return False  # that is a method, or a call of it, that the value does not have
    span = frame.span(node)
    if held.depth != frame.depth:
        frame.reports.error(
            "loop-carried",
            span,
            f"`{method}` cannot change a list or dict that a loop is filling",
            labels=(Label(frame.span(name), "iterations run at the same time"),),
            help="change it before the loop or after it",
        )
        return True
    value = callable_or_value(frame, ast.fix_missing_locations(ast.copy_location(made, node)))
    append(frame, binding, display("list", (), span), node)  # what must not be changed says so
    if not value.poisoned:
        value = replace(frame.keep(value, name.id), fresh=False, cell=None)
    shared = frame.scope.cells[binding.cell].shared
    empty = () if held.is_dict or value.parts == () else (value,)
    frame.scope.cells[binding.cell] = replace(held, frames=(empty,), shared=shared)
    return True


def _remade(node: ast.Call, name: ast.Name, method: str) -> ast.expr | None:
    """Return what a list is after a change; None for a call that Python does not have."""
    if method == "sort" and not node.args:
        return ast.Call(ast.Name("sorted", ast.Load()), [name], node.keywords)
    if node.keywords or len(node.args) != (2 if method == "insert" else 0):
        return None
    if method == "reverse":
        back = ast.UnaryOp(ast.USub(), ast.Constant(1))
        return ast.Subscript(name, ast.Slice(None, None, back), ast.Load())
    if method == "clear":
        return ast.List([], ast.Load())
    index, item = node.args
    if not isinstance(index, ast.Constant | ast.Name | ast.UnaryOp):
        return None  # it would be evaluated twice
    parts = (ast.Slice(None, index), ast.Slice(index, None))
    first, rest = (ast.Starred(ast.Subscript(name, part, ast.Load())) for part in parts)
    return ast.List([first, item, rest], ast.Load())


# ---------------------------------------------------------------------------- lists


def extend(frame: Frame, binding: Accumulated, node: ast.expr, place: ast.AST) -> None:
    """Join a list to an accumulator."""
    span = frame.span(node)
    value = callable_or_value(frame, node)
    if value.poisoned:
        append(frame, binding, value, place)
        return
    items = frame.items_of(value, span)
    if items is not None:
        kept = tuple(frame.keep(item, "item") for item in items)
        append(frame, binding, display("list", kept, span), place)
        return
    value = frame.as_value(value, node)
    if not value.poisoned and checks.check_iterable(frame, node, value):
        append(frame, binding, replace(frame.keep(value, "items"), cell=None, fresh=False), place)


def append(frame: Frame, binding: Accumulated, part: Lowered, place: ast.AST) -> None:
    """Join ``part``, a list (of pairs, for a dict), to an accumulator."""
    held = frame.scope.cells[binding.cell]
    span = frame.span(place)
    if held.shared is not None:
        frame.reports.error(
            "shared-list",
            span,
            "this is also stored in another value, which would change too",
            labels=(Label(held.shared, "it is stored here"),),
            help="change it first and store it afterwards, or start a new one",
        )
    if held.read_depth > held.depth and frame.depth >= held.read_depth and held.read_span:
        frame.reports.error(
            "loop-carried",
            held.read_span,
            "a list or dict that a loop is still filling is used in that loop",
            labels=(Label(span, "it is filled here"),),
            help="iterations run at the same time: use it after the loop",
        )
        part = poison(span)
    frame.scope.cells[binding.cell] = held.appended(part, frame.depth)
    frame.scope.when.setdefault(binding.cell, frame.building.emitted)


def augment(frame: Frame, binding: Accumulated, node: ast.AugAssign) -> bool:
    """Lower ``out += xs`` and ``d |= other``; return False for another operator."""
    held = frame.scope.cells[binding.cell]
    if isinstance(node.op, ast.Add) and not held.is_dict:
        extend(frame, binding, node.value, node)
        return True
    if isinstance(node.op, ast.BitOr) and held.is_dict:
        _merge(frame, binding, expression(frame, node.value), node)
        return True
    return False


# ---------------------------------------------------------------------------- dicts


def _update(frame: Frame, binding: Accumulated, node: ast.Call) -> None:
    for argument in node.args:
        _merge(frame, binding, expression(frame, argument), argument)
    for keyword in node.keywords:
        value = expression(frame, keyword.value)
        if keyword.arg is None:
            _merge(frame, binding, value, keyword)
            continue
        key = ast.copy_location(ast.Constant(keyword.arg), keyword.value)
        _append_pair(frame, binding, expression(frame, key), value, keyword.value)


def _merge(frame: Frame, binding: Accumulated, other: Lowered, place: ast.AST) -> None:
    span = frame.span(place)
    if other.poisoned:
        append(frame, binding, other, place)
        return
    if known_pairs(other, span) is None:
        other = frame.keep(other, "items")
    append(frame, binding, flow.pairs_of(other, span), place)


def _append_pair(
    frame: Frame, binding: Accumulated, key: Lowered, value: Lowered, place: ast.AST
) -> None:
    span = frame.span(place)
    if key.poisoned or value.poisoned:
        append(frame, binding, poison(span), place)
        return
    value = frame.keep(value, "item")
    frame.share(value, span)
    pair = display("tuple", (frame.keep(key, "key"), replace(value, fresh=False, cell=None)), span)
    append(frame, binding, display("list", (pair,), span), place)


def set_item(frame: Frame, target: ast.Subscript, value: Lowered) -> None:
    """Lower ``d[key] = value`` and ``xs[i] = value``."""
    binding = None
    if isinstance(target.value, ast.Name) and is_local(frame, target.value.id):
        frame.used.add(target.value.id)
        binding = frame.scope.names.get(target.value.id)
    if not isinstance(binding, Accumulated) or isinstance(target.slice, ast.Slice):
        _refuse_item(frame, target)
        return
    key = expression(frame, target.slice)
    held = frame.scope.cells[binding.cell]
    if held.is_dict:
        _append_pair(frame, binding, key, value, target)
    elif not key.poisoned:
        _replace_item(frame, target, binding, (key, value))


def _refuse_item(frame: Frame, target: ast.Subscript) -> None:
    owner = expression(frame, target.value)
    if owner.poisoned:
        return
    frame.reports.error(
        "shared-list",
        frame.span(target),
        "an item of this cannot be assigned: this pipeline did not create it",
        labels=(Label(owner.expr.span, "this is where it comes from"),),
        help="make a new value: `{**d, key: value}`, or start with `{}` or `[]`",
    )


def _replace_item(
    frame: Frame, target: ast.Subscript, binding: Accumulated, given: tuple[Lowered, Lowered]
) -> None:
    index, value = given
    span = frame.span(target)
    assert isinstance(target.value, ast.Name)  # noqa: S101 - as set_item has seen
    current = frame.read_cell(target.value.id, binding.cell, span)
    if current.poisoned or value.poisoned:
        return
    if current.parts is None or not isinstance(index.static, int) or frame.depth:
        frame.reports.error(
            "shared-list",
            span,
            "an item can be replaced only in a list of known length, outside of a loop of the run",
            help="append in order, or make a new list",
        )
        return
    items = list(current.parts)
    try:
        items[index.static] = replace(frame.keep(value, "item"), fresh=False, cell=None)
    except IndexError as error:
        raise NotConstantError(target, str(error), "constant-error") from error
    held = frame.scope.cells[binding.cell]
    made = display("list", tuple(items), span)
    append(frame, binding, display("list", (), span), target)  # what must not be changed says so
    frame.scope.cells[binding.cell] = replace(held, frames=((made,),))
