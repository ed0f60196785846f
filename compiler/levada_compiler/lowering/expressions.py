"""Expressions of a pipeline: what each means, or why it cannot be one."""

from __future__ import annotations

import ast
import json

from levada import operations

from ..diagnostics.reports import did_you_mean
from ..front import constants, types
from ..front import modules as m
from ..front.not_constant import NotConstantError
from ..program import forms
from ..program.ir import (
    Attribute,
    Binary,
    BoolOp,
    Compare,
    Field,
    Format,
    FromJson,
    Member,
    Param,
    Slice,
    Subscript,
    Unary,
)
from ..slotted import replace
from . import advice, blocks, checks, members, proven, results
from .lowering import EXPRESSIONS, callable_or_value, expression, not_constant, unsupported
from .values import (
    ANY,
    BOOL,
    ERROR_CLASS,
    STR,
    Lowered,
    Partial,
    callable_value,
    constant,
    display,
    joined,
    made_of,
    poison,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..diagnostics.diagnostic import Span
    from ..front.declare import Fields, Pipeline
    from ..program.ir import Expr, Type
    from .frame import Frame


def _constant(frame: Frame, node: ast.Constant) -> Lowered:
    span = frame.span(node)
    if node.value is ...:
        frame.reports.error(
            "unsupported-expression",
            span,
            "`...` cannot be used in a pipeline, since it has no JSON form",
            help="pass a string or a number, and convert it in the step",
        )
        return poison(span)
    return constant(constants.bounded(node.value, node), span)


# ---------------------------------------------------------------------------- names


def _name(frame: Frame, node: ast.Name) -> Lowered:
    if node.id in frame.scope.names or node.id in frame.locals:
        return frame.read(node)
    definition = frame.building.modules.lookup(frame.module, node.id)
    if definition is not None:
        return module_value(frame, node, definition)
    if node.id in m.BUILTINS:
        return callable_value(m.External(f"builtins.{node.id}"), frame.span(node))
    return frame.read(node)


def module_value(frame: Frame, node: ast.expr, definition: m.Definition) -> Lowered:
    """Return what a name from module level stands for."""
    span = frame.span(node)
    if isinstance(definition, m.Constant):
        folder = constants.Folder(frame.building.modules, frame.module)
        folder.keeps_definitions = True
        return constant(folder.constant(definition, node), span)
    if isinstance(definition, m.EnumMember):
        known = frame.building.declarations.enumeration(definition.owner.key)
        made = members.constant_member(known, definition.name, span) if known else None
        if made is None:
            why = constants.enum_member(frame.text(node), known.problem if known else "")
            raise NotConstantError(node, why, "enum-member")
        return made
    if isinstance(definition, m.External) and definition.name.startswith(("math.", "datetime.")):
        name = operations.QUALIFIED.get(definition.name, "")
        if name in operations.CONSTANTS:
            return constant(operations.constant(name), span)
    return callable_value(definition, span)


def _attribute(frame: Frame, node: ast.Attribute) -> Lowered:
    owner = definition_of(frame, node.value)
    if owner is not None:
        found = frame.building.modules.member(owner, node.attr)
        if found is not None:
            return module_value(frame, node, found)
        if isinstance(owner, m.Module):
            return unknown_member(frame, node, owner)
    return attribute_of(frame, node, expression(frame, node.value))


def definition_of(frame: Frame, node: ast.expr) -> m.Definition | None:
    """Return the module, class or function that a dotted name stands for; None for a value."""
    if isinstance(node, ast.Attribute):
        owner = definition_of(frame, node.value)
        return None if owner is None else frame.building.modules.member(owner, node.attr)
    if not isinstance(node, ast.Name):
        return None
    if is_local(frame, node.id):
        binding = frame.scope.names.get(node.id)
        found = binding.definition if isinstance(binding, Lowered) else None
        if found is not None:
            frame.used.add(node.id)
        return None if isinstance(found, Partial) else found
    return frame.building.modules.lookup(frame.module, node.id)


def is_local(frame: Frame, name: str) -> bool:
    """Return whether a name means something of the function itself."""
    return name in frame.locals or name in frame.scope.names


def unknown_member(frame: Frame, node: ast.Attribute, owner: m.Module) -> Lowered:
    """Report a name that a module does not define."""
    frame.reports.error(
        "undefined-name",
        frame.span(node),
        f"the module `{owner.name}` has no `{node.attr}`",
        help=did_you_mean(node.attr, owner.bindings, f"define it in `{owner.name}`"),
    )
    return poison(frame.span(node))


# ---------------------------------------------------------------------------- attributes


def attribute_of(frame: Frame, node: ast.Attribute, value: Lowered) -> Lowered:
    """Return ``value.name``: a named output, a field, or an attribute of a plain value."""
    span = frame.span(node)
    if value.poisoned:
        return poison(span)
    if value.fields is not None and node.attr in value.fields:
        return value.fields[node.attr]
    if node.attr in ("name", "value"):
        value = members.as_member(frame, value)
    if isinstance(value.expr, Member):
        return members.attribute(frame, node, value)
    if value.is_static:
        return constant(constants.attribute(value.static, node.attr, node, frame.budget), span)
    fields, found = fields_of(frame, value.type, node.attr)
    if found is not None:
        return made_of(Attribute(value.expr, node.attr, span), found, (value,))
    if value.type == ERROR_CLASS and node.attr == "__name__":
        return made_of(Attribute(value.expr, node.attr, span), STR, (value,))
    known = results.attribute(value.type, node.attr)
    if known is not None:
        return made_of(Attribute(value.expr, node.attr, span), known, (value,))
    if value.type.name in ("any", "union") and fields is None:
        return made_of(Attribute(value.expr, node.attr, span), ANY, (value,), raises=True)
    if known_names := results.attributes(value.type):
        advice.report_unknown_attribute(frame, node, value, known_names)
    elif fields is not None or checks.check_plain(frame, node, (value,)):
        advice.report_unknown_output(frame, node, value, fields)
    return poison(span)


def fields_of(frame: Frame, kind: Type, name: str) -> tuple[Fields | None, Type | None]:
    """Return the fields of a type, and the type of one of them; of a union what all of it has."""
    members = kind.arguments if kind.name == "union" else (kind,)
    fields: Fields | None = None
    found: list[Type] = []
    for member in members:
        if member.name == "None" and len(members) > 1:
            continue
        fields = frame.building.declarations.fields(member)
        if fields is None or fields.kind in ("tuple", "typeddict") or name not in fields.types:
            return fields, None
        found.append(fields.types[name])
    return fields, types.union(found) if found else None


# ---------------------------------------------------------------------------- operators


def _unary(frame: Frame, node: ast.UnaryOp) -> Lowered:
    span = frame.span(node)
    operand = expression(frame, node.operand)
    if operand.poisoned:
        return poison(span)
    if operand.is_static:
        return constant(constants.unary(node.op, operand.static, node, frame.budget), span)
    is_not = isinstance(node.op, ast.Not)
    if is_not and not checks.check_no_member(frame, span, operand):
        return poison(span)
    if not is_not and not checks.check_plain(frame, node, (operand,)):
        return poison(span)
    op = constants.SYMBOLS[type(node.op)]
    kind = BOOL if is_not else operand.type
    raises = not is_not and operand.type.name not in checks.NUMBERS
    return made_of(Unary(op, operand.expr, span), kind, (operand,), raises=raises)


def _binary(frame: Frame, node: ast.BinOp) -> Lowered:
    left = expression(frame, node.left)
    place = len(frame.region)
    right = expression(frame, node.right)
    return arithmetic(frame, node, node.op, frame.keep_before(left, place), right)


def arithmetic(
    frame: Frame, node: ast.BinOp | ast.AugAssign, op: ast.operator, left: Lowered, right: Lowered
) -> Lowered:
    """Return ``left op right``: folded, lists joined, or computed in the run."""
    span = frame.span(node)
    if left.poisoned or right.poisoned:
        return poison(span)
    if left.is_static and right.is_static:
        return constant(constants.binary(op, left.static, right.static, node, frame.budget), span)
    if isinstance(op, ast.Add) and _are_lists(left, right):
        return joined((left, right), span)
    if isinstance(op, ast.MatMult):
        return unsupported(frame, node) if isinstance(node, ast.BinOp) else poison(span)
    if not checks.check_plain(frame, node, (left, right)):
        return poison(span)
    symbol = constants.SYMBOLS[type(op)]
    kind = checks.arithmetic_type(frame, node, symbol, left, right)
    raises = checks.arithmetic_may_raise(symbol, left, right)
    expr = Binary(symbol, left.expr, right.expr, span)
    return made_of(expr, kind, (left, right), raises=raises)


def _are_lists(left: Lowered, right: Lowered) -> bool:
    """Return whether both are lists of the pipeline, so that adding them joins them."""
    return left.type.name == right.type.name == "list"


def _compare(frame: Frame, node: ast.Compare) -> Lowered:
    span = frame.span(node)
    operands = [expression(frame, node.left)]
    place = len(frame.region)
    for index, comparator in enumerate(node.comparators):
        with frame.inner_region() as nodes:
            operands.append(expression(frame, comparator))
        if index and any(blocks.is_task(each) for each in nodes):
            advice.report_hidden_call(frame, comparator, "a chained comparison")
        frame.region.extend(nodes)
    operands[0] = frame.keep_before(operands[0], place)
    if any(operand.poisoned for operand in operands):
        return poison(span)
    node, operands = members.compared(frame, node, operands)
    if all(operand.is_static for operand in operands):
        return constant(_folded_comparison(frame, node, operands), span)
    for left, right, op in zip(operands, operands[1:], node.ops, strict=False):
        if not isinstance(op, ast.Is | ast.IsNot) and not checks.check_plain(
            frame, node, (left, right), equality=isinstance(op, ast.Eq | ast.NotEq)
        ):
            return poison(span)
        checks.check_comparable(frame, node, op, left, right)
    ops = tuple(constants.SYMBOLS[type(op)] for op in node.ops)
    raises = checks.comparison_may_raise(node.ops, operands)
    expr = Compare(tuple([operand.expr for operand in operands]), ops, span)
    return made_of(expr, BOOL, operands, raises=raises)


def _folded_comparison(frame: Frame, node: ast.Compare, operands: list[Lowered]) -> object:
    result: object = True
    for op, left, right in zip(node.ops, operands, operands[1:], strict=False):
        result = constants.compare(op, left.static, right.static, node, frame.budget)
        if not result:
            break
    return result


def _boolean(frame: Frame, node: ast.BoolOp) -> Lowered:
    """``and`` and ``or``: operands are evaluated only as far as Python would."""
    is_and = isinstance(node.op, ast.And)
    value = expression(frame, node.values[0])
    for operand in node.values[1:]:
        if value.poisoned:
            expression(frame, operand)
        elif not value.is_static:
            value = _boolean_step(frame, node, value, operand, is_and=is_and)
        elif bool(value.static) is is_and:
            value = expression(frame, operand)
    return value


def _boolean_step(
    frame: Frame, node: ast.BoolOp, left: Lowered, operand: ast.expr, *, is_and: bool
) -> Lowered:
    span = frame.span(node)
    frame.share(left, span)
    before = frame.scope
    frame.scope = before.copy()
    with frame.inner_region() as nodes:
        for earlier in node.values[: node.values.index(operand)]:
            proven.prove(frame, earlier, holds=is_and)
        right = expression(frame, operand)
    after = frame.scope
    if right.poisoned:
        return poison(span)
    frame.share(right, frame.span(operand))
    if not nodes and after.names == before.names:
        return _combined(left, right, "and" if is_and else "or", span)
    kept = frame.keep(left, "test")
    sides = (nodes, []) if is_and else ([], nodes)
    choose = blocks.decided(frame, frame.new_id("if"), kept, sides, span)
    scopes = (after, before) if is_and else (before, after)
    frame.scope = frame.merge(choose, span, blocks.WAYS).scopes(*scopes)
    proven.remember(frame, after, choose, span, is_then=is_and)
    return choose(right, kept, "value") if is_and else choose(kept, right, "value")


def _combined(left: Lowered, right: Lowered, op: str, span: Span) -> Lowered:
    operands: tuple[Expr, ...] = (left.expr, right.expr)
    if isinstance(left.expr, BoolOp) and left.expr.op == op and left.expr.span == span:
        operands = (*left.expr.operands, right.expr)
    kind = types.union((left.type, right.type))
    return made_of(BoolOp(op, operands, span), kind, (left, right))


def _choice(frame: Frame, node: ast.IfExp) -> Lowered:
    """``a if c else b``: only the side that is taken is evaluated."""
    test = expression(frame, node.test)
    if test.is_static:
        return expression(frame, node.body if test.static else node.orelse)

    def side(operand: ast.expr) -> Lowered:
        proven.prove(frame, node.test, holds=operand is node.body)
        value = expression(frame, operand)
        frame.share(value, frame.span(operand))
        return replace(value, fresh=False, cell=None)

    span = frame.span(node)
    return blocks.either(frame, test, lambda: side(node.body), lambda: side(node.orelse), span)


def _named(frame: Frame, node: ast.NamedExpr) -> Lowered:
    value = expression(frame, node.value)
    value = frame.keep(value, node.target.id)
    frame.bind(node.target.id, value)
    return value


# ---------------------------------------------------------------------------- items


def _subscript(frame: Frame, node: ast.Subscript) -> Lowered:
    span = frame.span(node)
    value = callable_or_value(frame, node.value)
    if value.poisoned:
        return poison(span)
    if isinstance(node.slice, ast.Slice):
        return _slice(frame, node, value)
    place = len(frame.region)
    index = expression(frame, node.slice)
    if index.poisoned:
        return poison(span)
    value = frame.keep_before(value, place)
    if value.is_static and index.is_static:
        return constant(constants.subscript(value.static, index.static, node, frame.budget), span)
    found = known_item(frame, value, index, node)
    if found is not None:
        return found
    if not checks.check_plain(frame, node, (value, index)):
        return poison(span)
    kind = checks.item_type(value.type, index.static)
    return made_of(Subscript(value.expr, index.expr, span), kind, (value, index), raises=True)


def known_item(frame: Frame, value: Lowered, index: Lowered, node: ast.Subscript) -> Lowered | None:
    """Return an item of what the pipeline wrote out, or of a tuple output."""
    if not index.is_static:
        return None
    if value.pairs is not None:
        return _value_of_key(value, index, node)
    if not isinstance(index.static, int):
        return None
    if value.parts is not None:
        item = constants.subscript(value.parts, index.static, node, frame.budget)
        return item if isinstance(item, Lowered) else None
    fields = frame.building.declarations.fields(value.type)
    if fields is None or fields.kind not in ("tuple", "namedtuple"):
        return None
    names = value.labels or tuple(fields.types)
    name = constants.subscript(names, index.static, node, frame.budget)
    kind = tuple(fields.types.values())[index.static]
    return made_of(Attribute(value.expr, str(name), frame.span(node)), kind, (value,))


def _value_of_key(value: Lowered, index: Lowered, node: ast.Subscript) -> Lowered:
    for key, item in value.pairs or ():
        if key.static == index.static:
            return item
    raise NotConstantError(node, f"there is no key {index.static!r}", "constant-error")


def _slice(frame: Frame, node: ast.Subscript, value: Lowered) -> Lowered:
    assert isinstance(node.slice, ast.Slice)  # noqa: S101 - the caller has looked
    span = frame.span(node)
    parts = (node.slice.lower, node.slice.upper, node.slice.step)
    operands, places = [value], [len(frame.region)]
    for part in parts:
        operands.append(constant(None, span) if part is None else expression(frame, part))
        places.append(len(frame.region))
    if any(operand.poisoned for operand in operands):
        return poison(span)
    for at in reversed(range(len(operands))):
        operands[at] = frame.keep_before(operands[at], places[at])
    value, *bounds = operands
    known = all(bound.is_static for bound in bounds)
    cut = slice(*(bound.static for bound in bounds))
    if known and value.is_static:
        return constant(constants.subscript(value.static, cut, node, frame.budget), span)
    if known and value.parts is not None:
        kept = constants.subscript(value.parts, cut, node, frame.budget)
        form = "tuple" if value.type.name == "tuple" else "list"
        made = display(form, kept, span)  # type: ignore[arg-type]
        return replace(made, fresh=form == "list")
    if not checks.check_plain(frame, node, (value, *bounds)):
        return poison(span)
    lower_bound, upper_bound, step = (bound.expr for bound in bounds)
    index = Slice(lower_bound, upper_bound, step, frame.span(node.slice))
    is_list = value.type.name == "list"
    kind = value.type if is_list or value.type.name == "str" else ANY
    expr = Subscript(value.expr, index, span)
    numbers = all(bound.type.name in ("int", "None") for bound in bounds)
    raises = not (numbers and (is_list or value.type.name == "str"))
    return made_of(expr, kind, (value, *bounds), raises=raises, fresh=is_list)


# ---------------------------------------------------------------------------- text


def _fstring(frame: Frame, node: ast.JoinedStr) -> Lowered:
    outer, frame.fstring = frame.fstring, frame.fstring or node
    try:
        return _fstring_value(frame, node)
    except NotConstantError as error:
        return not_constant(frame, error)
    finally:
        frame.fstring = outer


def _fstring_value(frame: Frame, node: ast.JoinedStr) -> Lowered:
    span = frame.span(node)
    parts: list[str | Field] = []
    values: list[Lowered] = []
    raises = False
    given = iter(_field_values(frame, node))
    for part in node.values:
        if isinstance(part, ast.Constant):
            parts.append(str(part.value))
        elif isinstance(part, ast.FormattedValue):
            text, inner, may_raise = _field(frame, part, *next(given))
            parts.append(text)
            values += inner
            raises = raises or may_raise
    if any(value.poisoned for value in values):
        return poison(span)
    merged = merged_text(parts)
    if not any(isinstance(part, Field) for part in merged):
        text = "".join(str(part) for part in merged)
        return constant(constants.bounded(text, node), span)
    return made_of(Format(merged, span), STR, values, raises=raises)


def _field_values(frame: Frame, node: ast.JoinedStr) -> list[tuple[Lowered, Lowered | None]]:
    """Return the value and the format of each ``{…}``, evaluated in order."""
    found: list[tuple[Lowered, Lowered | None]] = []
    places: list[int] = []
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            value = expression(frame, part.value)
            places.append(len(frame.region))
            spec = expression(frame, part.format_spec) if part.format_spec else None
            found.append((value, spec))
    for at in reversed(range(len(found))):
        value, spec = found[at]
        found[at] = frame.keep_before(value, places[at]), spec
    return found


def _field(
    frame: Frame, node: ast.FormattedValue, value: Lowered, spec: Lowered | None
) -> tuple[str | Field, tuple[Lowered, ...], bool]:
    """Return one ``{…}``: text if it is a constant; what it is made of; whether it may raise."""
    inner = (value,) if spec is None else (value, spec)
    if any(each.poisoned for each in inner) or not checks.check_plain(frame, node, (value,)):
        return "", (poison(frame.span(node)),), False
    conversion = chr(node.conversion) if node.conversion > 0 else ""
    if spec is None or spec.is_static:
        form = str(spec.static) if spec is not None else ""
        if value.is_static:
            return (
                constants.formatted(value.static, conversion, form, node, frame.budget),
                (),
                False,
            )
        raises = bool(form) and not checks.format_is_safe(value.type, conversion, form)
        return Field(value.expr, conversion, form, frame.span(node)), (value,), raises
    shape = (
        spec.expr
        if isinstance(spec.expr, Format)
        else Format((Field(spec.expr, "", "", frame.span(node)),), frame.span(node))
    )
    return Field(value.expr, conversion, shape, frame.span(node)), inner, True


def merged_text(parts: list[str | Field]) -> tuple[str | Field, ...]:
    """Return the parts with neighbouring texts as one, and empty ones gone."""
    merged: list[str | Field] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    return tuple(merged)


EXPRESSIONS.update(
    {
        ast.Constant: _constant,
        ast.Name: _name,
        ast.Attribute: _attribute,
        ast.UnaryOp: _unary,
        ast.BinOp: _binary,
        ast.BoolOp: _boolean,
        ast.Compare: _compare,
        ast.IfExp: _choice,
        ast.NamedExpr: _named,
        ast.Subscript: _subscript,
        ast.JoinedStr: _fstring,
    }
)


def bind_parameters(frame: Frame, declared: Pipeline) -> None:
    """Give the parameters of the outermost pipeline their values: those of the run."""
    for parameter in declared.parameters:
        value = Lowered(Param(parameter.name, parameter.span), parameter.type)
        form = forms.unlimited(forms.of_parameter(parameter))
        if parameter.form and not forms.is_plain(form):
            text = json.dumps(form, ensure_ascii=False, separators=(",", ":"))
            made = replace(value, expr=FromJson(text, value.expr, parameter.span))
            value = frame.keep(made, parameter.name)
        elif (found := frame.building.declarations.enumerated(parameter.type)) is not None:
            value = members.member(found, value, parameter.type)
        frame.bind(parameter.name, value)
