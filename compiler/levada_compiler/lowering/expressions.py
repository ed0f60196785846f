"""Expressions of a pipeline: what each means, or why it cannot be one."""

from __future__ import annotations

import ast

from ..front import constants, enums, types
from ..front import modules as m
from ..front.constants import NotConstantError
from ..program.ir import (
    Attribute,
    Binary,
    BoolOp,
    Branch,
    Compare,
    DictDisplay,
    Display,
    Expr,
    Field,
    Format,
    Member,
    Param,
    Slice,
    Subscript,
    Unary,
)
from ..slotted import replace
from . import advice, calls, loops
from .values import (
    ANY,
    BOOL,
    STR,
    Level,
    Value,
    constant,
    display,
    elements,
    joined,
    named,
    poison,
    selected,
    size_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from ..diagnostics.diagnostic import Span
    from ..front.declare import Fields, Pipeline
    from ..program.ir import Type
    from .frame import Frame

#: What to do instead of an expression that is outside the language.
WAYS_OUT: Final[dict[type[ast.expr], tuple[str, str]]] = {
    ast.Lambda: ("a lambda", "write a step: a top-level function under `@step`"),
    ast.NamedExpr: ("`:=`", "assign the name in a statement of its own before"),
    ast.SetComp: ("a set comprehension", "use a list comprehension; make the set in a step"),
    ast.DictComp: ("a dict comprehension", "use a list comprehension; make the dict in a step"),
    ast.GeneratorExp: ("a generator expression", "use a list comprehension: `[… for …]`"),
    ast.Await: ("`await`", "call the step; the engine waits for it where its result is needed"),
    ast.Yield: ("`yield`", "return the pipeline's outputs with `return`"),
    ast.YieldFrom: ("`yield from`", "return the pipeline's outputs with `return`"),
    ast.Starred: ("`*` here", "write the items one by one"),
    ast.Slice: ("a slice here", "index with a constant, or take the slice in a step"),
}


def lower(frame: Frame, node: ast.expr) -> Value:
    """The value of an expression; poison after a diagnostic."""
    handler = HANDLERS.get(type(node))
    if handler is None:
        return unsupported(frame, node)
    try:
        value = handler(frame, node)
    except NotConstantError as error:
        return not_constant(frame, error)
    return frame.bounded(value, frame.span(node))


def not_constant(frame: Frame, error: NotConstantError) -> Value:
    """Report a constant that has no value."""
    elsewhere = error.module is not None and error.module is not frame.module
    span = error.module.span(error.node) if elsewhere and error.module else frame.span(error.node)
    advice.report_not_constant(frame.reports, error, span)
    return poison(span)


def unsupported(frame: Frame, node: ast.expr) -> Value:
    """Report an expression that is outside the language."""
    what, way_out = WAYS_OUT.get(
        type(node), (f"this expression ({type(node).__name__})", "move it into a step")
    )
    frame.reports.error(
        "unsupported-expression",
        frame.span(node),
        f"{what} cannot be used in a pipeline",
        help=way_out,
    )
    for item in ast.walk(node):
        if isinstance(item, ast.NamedExpr):
            frame.bind(item.target.id, poison(frame.span(item)))
    return poison(frame.span(node))


def _lower_constant(frame: Frame, node: ast.Constant) -> Value:
    span = frame.span(node)
    if node.value is None or isinstance(node.value, bool | int | float | str):
        return constant(constants.bounded(node.value, node), span)
    kind = "`...`" if node.value is ... else f"a constant of type `{type(node.value).__name__}`"
    frame.reports.error(
        "unsupported-expression",
        span,
        f"{kind} cannot be used in a pipeline, since it has no JSON form",
        help="pass a string or a number, and convert it in the step",
    )
    return poison(span)


def _lower_name(frame: Frame, node: ast.Name) -> Value:
    if node.id in frame.scope.names or node.id in frame.locals:
        return frame.read(node)
    definition = frame.building.modules.lookup(frame.module, node.id)
    if definition is None:
        if node.id in m.BUILTINS:
            return _builtin_as_value(frame, node)
        return frame.read(node)
    return module_value(frame, node, definition)


def _builtin_as_value(frame: Frame, node: ast.Name) -> Value:
    frame.reports.error(
        "step-as-value",
        frame.span(node),
        f"the builtin `{node.id}` cannot be used as a value in a pipeline",
        help="use it in a step",
    )
    return poison(frame.span(node))


def module_value(frame: Frame, node: ast.expr, definition: m.Definition) -> Value:
    """The value of a name from module level."""
    if isinstance(definition, m.Constant):
        folder = constants.Folder(frame.building.modules, frame.module)
        value = constants.expressible(folder.constant(definition, node), node)
        return constant(value, frame.span(node))
    name = frame.text(node)
    if isinstance(definition, m.EnumMember):
        known = frame.building.declarations.enumeration(definition.owner.key)
        made = enums.constant_member(known, definition.name, frame.span(node)) if known else None
        if made is None:
            why = constants.enum_member(name, known.problem if known else "")
            raise NotConstantError(node, why, "enum-member")
        return made
    what = "function" if isinstance(definition, m.Function) else "name"
    frame.reports.error(
        "step-as-value",
        frame.span(node),
        f"the {what} `{name}` cannot be used as a value in a pipeline",
        help=f"call it: `{name}(…)`"
        if what == "function"
        else "pass a constant or a step's output",
    )
    return poison(frame.span(node))


def _lower_attribute(frame: Frame, node: ast.Attribute) -> Value:
    root = node.value
    while isinstance(root, ast.Attribute):
        root = root.value
    if isinstance(root, ast.Name) and not is_local(frame, root.id):
        definition = frame.building.modules.resolve(frame.module, node)
        if definition is not None:
            return module_value(frame, node, definition)
        owner = frame.building.modules.resolve(frame.module, node.value)
        if isinstance(owner, m.Module):
            return unknown_member(frame, node, owner)
    return named_output(frame, node, lower(frame, node.value))


def is_local(frame: Frame, name: str) -> bool:
    """Whether a name means something of the pipeline function itself."""
    return name in frame.locals or name in frame.scope.names


def unknown_member(frame: Frame, node: ast.Attribute, owner: m.Module) -> Value:
    """Report a name that a module does not define."""
    frame.reports.error(
        "undefined-name",
        frame.span(node),
        f"the module `{owner.name}` has no `{node.attr}`",
        help=advice.did_you_mean(node.attr, owner.bindings, f"define it in `{owner.name}`"),
    )
    return poison(frame.span(node))


def named_output(frame: Frame, node: ast.Attribute, value: Value) -> Value:
    """``value.name``, which must be an output that is known to exist."""
    span = frame.span(node)
    if value.poisoned:
        return poison(span)
    if isinstance(value.expr, Member):
        if node.attr == "value":
            return enums.value_of(value)
        frame.reports.error(
            "enum-member",
            span,
            f"a pipeline knows the `.value` of a member, and no `.{node.attr}`",
            help="pass the member to a step",
        )
        return poison(span)
    fields, found = fields_of(frame, value.type, node.attr)
    if found is not None:
        return Value(
            Attribute(value.expr, node.attr, span), found, value.level, size=size_of((value,))
        )
    if value.level is not Level.OUTPUT:
        name = frame.text(node.value)
        frame.reports.error(
            "unknown-output",
            span,
            f"`{name}` is not a step's output, so it has no output `{node.attr}`",
            help="pass it to a step that gives what is needed",
        )
        return poison(span)
    advice.report_unknown_output(frame, node, value, fields)
    return poison(span)


def fields_of(frame: Frame, kind: Type, name: str) -> tuple[Fields | None, Type | None]:
    """The named outputs of a type, and the type of one of them; of a union what all of it has."""
    members = kind.arguments if kind.name == "union" else (kind,)
    fields: Fields | None = None
    found: list[Type] = []
    for member in members:
        if member.name == "None" and len(members) > 1:
            continue
        fields = frame.building.declarations.fields(member)
        if fields is None or fields.kind == "tuple" or name not in fields.types:
            return fields, None
        found.append(fields.types[name])
    return fields, types.union(found) if found else None


def _lower_sequence(frame: Frame, node: ast.List | ast.Tuple) -> Value:
    span = frame.span(node)
    items: list[Value] = []
    for element in node.elts:
        if isinstance(element, ast.Starred):
            items.extend(unpacked(frame, element))
            continue
        item = lower(frame, element)
        frame.share(item, frame.span(element))
        items.append(replace(item, fresh=False))
    if any(item.poisoned for item in items):
        return poison(span)
    kind = "list" if isinstance(node, ast.List) else "tuple"
    value = display(kind, tuple(items), span)
    if value.is_static:
        constants.bounded(value.static, node)
    return replace(value, fresh=True) if kind == "list" else value


def unpacked(frame: Frame, node: ast.Starred) -> tuple[Value, ...]:
    """The items of ``*x``, whose length must be known."""
    value = lower(frame, node.value)
    items = elements(value, frame.span(node))
    if items is not None or value.poisoned:
        return items or (poison(frame.span(node)),) if value.poisoned else items or ()
    frame.reports.error(
        "star-argument",
        frame.span(node),
        f"`*{frame.text(node.value)}` cannot be unpacked: its length is not known before the run",
        help="pass the list itself as one argument",
    )
    return (poison(frame.span(node)),)


def _lower_set(frame: Frame, node: ast.Set) -> Value:
    span = frame.span(node)
    items = [lower(frame, element) for element in node.elts]
    if any(item.poisoned for item in items):
        return poison(span)
    if all(item.is_static for item in items):
        return constant(constants.collection("set", [i.static for i in items], node), span)
    frame.reports.error(
        "unsupported-expression",
        span,
        "a set of values that are known only in the run cannot be made in a pipeline",
        help="use a list, and make the set in the step",
    )
    return poison(span)


def _lower_dict(frame: Frame, node: ast.Dict) -> Value:
    span = frame.span(node)
    pairs: list[tuple[Value, Value]] = []
    for key, value in zip(node.keys, node.values, strict=True):
        lowered = lower(frame, value)
        frame.share(lowered, frame.span(value))
        items = calls.dictionary_items(lowered, span) if key is None else None
        if key is not None:
            pairs.append((lower(frame, key), lowered))
        elif items is not None:
            pairs.extend(items)
        elif not lowered.poisoned:
            frame.reports.error(
                "star-argument",
                frame.span(value),
                "`**` can unpack only a dict that is written out here",
                help="write the items one by one, or merge the dicts in a step",
            )
            return poison(span)
    return _dict_display(pairs, node, span)


def _dict_display(pairs: list[tuple[Value, Value]], node: ast.Dict, span: Span) -> Value:
    members = [item for pair in pairs for item in pair]
    if any(item.poisoned for item in members):
        return poison(span)
    if all(item.is_static for item in members):
        folded = constants.dictionary([(k.static, v.static) for k, v in pairs], node)
        return constant(constants.bounded(folded, node), span)
    keys = types.union(tuple(k.type for k, _ in pairs))
    values = types.union(tuple(v.type for _, v in pairs))
    return Value(
        DictDisplay(tuple((k.expr, v.expr) for k, v in pairs), span),
        named("dict", (keys, values)),
        max(item.level for item in members),
        size=size_of(members),
    )


def _lower_unary(frame: Frame, node: ast.UnaryOp) -> Value:
    span = frame.span(node)
    operand = lower(frame, node.operand)
    if operand.poisoned:
        return poison(span)
    if operand.is_static:
        return constant(constants.unary(node.op, operand.static, node), span)
    is_not = isinstance(node.op, ast.Not)
    if not is_not and operand.level is Level.OUTPUT:
        return advice.report_computing(frame, node)
    op = constants.SYMBOLS[type(node.op)]
    kind = BOOL if is_not else operand.type
    return Value(Unary(op, operand.expr, span), kind, operand.level, size=size_of((operand,)))


def _lower_binary(frame: Frame, node: ast.BinOp) -> Value:
    left, right = lower(frame, node.left), lower(frame, node.right)
    return arithmetic(frame, node, node.op, left, right)


def arithmetic(
    frame: Frame, node: ast.BinOp | ast.AugAssign, op: ast.operator, left: Value, right: Value
) -> Value:
    """``left op right``: folded, left to the start of the run, lists joined, or refused."""
    span = frame.span(node)
    if left.poisoned or right.poisoned:
        return poison(span)
    if left.is_static and right.is_static:
        return constant(constants.binary(op, left.static, right.static, node), span)
    if isinstance(op, ast.Add) and is_made_list(left) and is_made_list(right):
        return joined((left, right), span)
    if isinstance(op, ast.MatMult):
        return unsupported(frame, node) if isinstance(node, ast.BinOp) else poison(span)
    level = max(left.level, right.level)
    if level is Level.OUTPUT:
        return advice.report_computing(frame, node)
    symbol = constants.SYMBOLS[type(op)]
    kind = advice.arithmetic_type(frame, node, symbol, left, right)
    expr = Binary(symbol, left.expr, right.expr, span)
    return Value(expr, kind, level, size=size_of((left, right)))


def is_made_list(value: Value) -> bool:
    """Whether a list was made by the pipeline itself, so that joining it computes nothing."""
    return value.fresh or value.cell is not None


def _lower_compare(frame: Frame, node: ast.Compare) -> Value:
    span = frame.span(node)
    operands = [lower(frame, node.left)]
    for index, comparator in enumerate(node.comparators):
        with frame.inner_region() as nodes:
            operands.append(lower(frame, comparator))
        if nodes and index:
            advice.report_hidden_call(frame, comparator, "a chained comparison")
        frame.region.extend(nodes)
    if any(operand.poisoned for operand in operands):
        return poison(span)
    node, operands = enums.compared(frame, node, operands)
    if all(operand.is_static for operand in operands):
        return constant(_folded_comparison(node, operands), span)
    for left, right, op in zip(operands, operands[1:], node.ops, strict=False):
        advice.check_comparable(frame, node, op, left, right)
    return Value(
        Compare(
            tuple(operand.expr for operand in operands),
            tuple(constants.SYMBOLS[type(op)] for op in node.ops),
            span,
        ),
        BOOL,
        max(operand.level for operand in operands),
        size=size_of(operands),
    )


def _folded_comparison(node: ast.Compare, operands: list[Value]) -> object:
    result: object = True
    for op, left, right in zip(node.ops, operands, operands[1:], strict=False):
        result = constants.compare(op, left.static, right.static, node)
        if not result:
            break
    return result


def lower_boolean(frame: Frame, node: ast.BoolOp) -> Value:
    """``and`` and ``or``: operands are evaluated only as far as Python would."""
    is_and = isinstance(node.op, ast.And)
    value = lower(frame, node.values[0])
    for operand in node.values[1:]:
        if value.poisoned:
            lower(frame, operand)
            continue
        if value.is_static:
            if bool(value.static) is is_and:
                value = lower(frame, operand)
            continue
        value = _boolean_step(frame, node, value, operand, is_and=is_and)
    return value


def _boolean_step(
    frame: Frame, node: ast.BoolOp, left: Value, operand: ast.expr, *, is_and: bool
) -> Value:
    span = frame.span(node)
    with frame.inner_region() as nodes:
        right = lower(frame, operand)
    if right.poisoned:
        return poison(span)
    frame.share(left, span)
    frame.share(right, frame.span(operand))
    if not nodes:
        return _combined(left, right, "and" if is_and else "or", span)
    branch = frame.new_id("if")
    then, otherwise = (tuple(nodes), ()) if is_and else ((), tuple(nodes))
    frame.emit(Branch(branch, left.expr, then, otherwise, frame.barrier, span))
    return selected(branch, left, right if is_and else left, left if is_and else right, span)


def _combined(left: Value, right: Value, op: str, span: Span) -> Value:
    operands: tuple[Expr, ...] = (left.expr, right.expr)
    if isinstance(left.expr, BoolOp) and left.expr.op == op and left.expr.span == span:
        operands = (*left.expr.operands, right.expr)
    return Value(
        BoolOp(op, operands, span),
        types.union((left.type, right.type)),
        max(left.level, right.level),
        size=size_of((left, right)),
    )


def lower_choice(frame: Frame, node: ast.IfExp) -> Value:
    """``a if c else b``: a branch whose value is that of the side taken."""
    span = frame.span(node)
    test = lower(frame, node.test)
    if test.is_static:
        return lower(frame, node.body if test.static else node.orelse)
    branch = "" if test.poisoned else frame.new_id("if")
    with frame.inner_region() as then_nodes:
        then = lower(frame, node.body)
    with frame.inner_region() as else_nodes:
        otherwise = lower(frame, node.orelse)
    for side, place in ((then, node.body), (otherwise, node.orelse)):
        frame.share(side, frame.span(place))
    if test.poisoned or then.poisoned or otherwise.poisoned:
        return poison(span)
    frame.emit(Branch(branch, test.expr, tuple(then_nodes), tuple(else_nodes), frame.barrier, span))
    return selected(branch, test, then, otherwise, span)


def _lower_subscript(frame: Frame, node: ast.Subscript) -> Value:
    span = frame.span(node)
    value = lower(frame, node.value)
    if value.poisoned:
        return poison(span)
    if isinstance(node.slice, ast.Slice):
        return _lower_slice(frame, node, value)
    index = lower(frame, node.slice)
    if index.poisoned:
        return poison(span)
    if value.is_static and index.is_static:
        return constant(constants.subscript(value.static, index.static, node), span)
    if (isinstance(index.static, int) and value.level is Level.OUTPUT) or value.parts is not None:
        found = known_item(frame, value, index, node)
        if found is not None:
            return found
    if max(value.level, index.level) is Level.OUTPUT:
        return advice.report_indexing(frame, node)
    kind = advice.item_type(value.type, index.static)
    expr = Subscript(value.expr, index.expr, span)
    return Value(expr, kind, max(value.level, index.level), size=size_of((value, index)))


def _lower_slice(frame: Frame, node: ast.Subscript, value: Value) -> Value:
    span = frame.span(node)
    parts = (node.slice.lower, node.slice.upper, node.slice.step)  # type: ignore[attr-defined]
    bounds = [constant(None, span) if part is None else lower(frame, part) for part in parts]
    if any(bound.poisoned for bound in bounds):
        return poison(span)
    known = all(bound.is_static for bound in bounds)
    cut = slice(*(bound.static for bound in bounds))
    if known and value.is_static:
        return constant(constants.subscript(value.static, cut, node), span)
    if known and value.parts is not None:
        kept = constants.subscript(value.parts, cut, node)
        kind = "tuple" if isinstance(value.expr, Display) and value.expr.kind == "tuple" else "list"
        return display(kind, kept, span)  # type: ignore[arg-type]
    return _run_time_slice(frame, node, value, bounds)


def _run_time_slice(frame: Frame, node: ast.Subscript, value: Value, bounds: list[Value]) -> Value:
    level = max(item.level for item in (value, *bounds))
    if level is Level.OUTPUT:
        return advice.report_indexing(frame, node)
    span = frame.span(node)
    lower_bound, upper_bound, step = (bound.expr for bound in bounds)
    index = Slice(lower_bound, upper_bound, step, frame.span(node.slice))
    is_list = value.type.name == "list"
    kind = value.type if is_list or value.type.name == "str" else ANY
    size = size_of((value, *bounds))
    return Value(Subscript(value.expr, index, span), kind, level, size=size, fresh=is_list)


def known_item(frame: Frame, value: Value, index: Value, node: ast.Subscript) -> Value | None:
    """An item of a list that the pipeline wrote out, or of a tuple output."""
    if not isinstance(index.static, int):
        return None
    if value.parts is not None:
        item = constants.subscript(value.parts, index.static, node)
        return item if isinstance(item, Value) else None
    fields = frame.building.declarations.fields(value.type)
    if fields is None or fields.kind not in ("tuple", "namedtuple"):
        return None
    names = value.labels or tuple(fields.types)
    name = constants.subscript(names, index.static, node)
    kind = tuple(fields.types.values())[index.static]
    expr = Attribute(value.expr, str(name), frame.span(node))
    return Value(expr, kind, value.level, size=size_of((value,)))


def _lower_fstring(frame: Frame, node: ast.JoinedStr) -> Value:
    outer, frame.fstring = frame.fstring, frame.fstring or node
    try:
        return _fstring_value(frame, node)
    except NotConstantError as error:
        return not_constant(frame, error)
    finally:
        frame.fstring = outer


def _fstring_value(frame: Frame, node: ast.JoinedStr) -> Value:
    span = frame.span(node)
    parts: list[str | Field] = []
    values: list[Value] = []
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            lowered = lower_field(frame, part)
            if lowered is None:
                values.append(poison(span))
                continue
            text, value = lowered
            values.append(value)
            parts.append(text)
        elif isinstance(part, ast.Constant):
            parts.append(str(part.value))
    if any(value.poisoned for value in values):
        return poison(span)
    merged = merged_text(parts)
    if not any(isinstance(part, Field) for part in merged):
        text = "".join(str(part) for part in merged)
        return constant(constants.bounded(text, node), span)
    level = max(value.level for value in values)
    return Value(Format(merged, span), STR, level, size=size_of(values))


def lower_field(frame: Frame, node: ast.FormattedValue) -> tuple[str | Field, Value] | None:
    """One ``{…}``: text if it is a constant."""
    value = lower(frame, node.value)
    spec = lower(frame, node.format_spec) if node.format_spec else None
    if value.poisoned or (spec is not None and spec.poisoned):
        return None
    conversion = chr(node.conversion) if node.conversion > 0 else ""
    if spec is not None and not spec.is_static:
        frame.reports.error(
            "unsupported-expression",
            frame.span(node),
            "a format specification must be a constant in a pipeline",
            help="format the value in a step",
        )
        return None
    form = str(spec.static) if spec is not None else ""
    if value.is_static:
        return constants.formatted(value.static, conversion, form, node), value
    return Field(value.expr, conversion, form, frame.span(node)), value


def merged_text(parts: list[str | Field]) -> tuple[str | Field, ...]:
    """Neighbouring texts as one, empty ones gone."""
    merged: list[str | Field] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    return tuple(merged)


def _lower_call(frame: Frame, node: ast.Call) -> Value:
    return calls.lower(frame, node)


def _lower_comprehension(frame: Frame, node: ast.ListComp) -> Value:
    return loops.comprehension(frame, node)


HANDLERS: Final[dict[type[ast.expr], Callable[[Frame, Any], Value]]] = {
    ast.Constant: _lower_constant,
    ast.Name: _lower_name,
    ast.Attribute: _lower_attribute,
    ast.Call: _lower_call,
    ast.List: _lower_sequence,
    ast.Tuple: _lower_sequence,
    ast.Set: _lower_set,
    ast.Dict: _lower_dict,
    ast.UnaryOp: _lower_unary,
    ast.BinOp: _lower_binary,
    ast.BoolOp: lower_boolean,
    ast.Compare: _lower_compare,
    ast.IfExp: lower_choice,
    ast.Subscript: _lower_subscript,
    ast.JoinedStr: _lower_fstring,
    ast.ListComp: _lower_comprehension,
}


def bind_parameters(frame: Frame, declared: Pipeline) -> None:
    """Give the parameters of the outermost pipeline their values: those of the run."""
    for parameter in declared.parameters:
        value = Value(Param(parameter.name, parameter.span), parameter.type, Level.PARAMETER)
        if (found := frame.building.declarations.enumerated(parameter.type)) is not None:
            value = enums.member(found, value, parameter.type)
        frame.bind(parameter.name, value)
