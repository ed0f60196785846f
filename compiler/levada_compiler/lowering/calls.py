"""Calls in a pipeline: of steps, of other pipelines, of `range`, `enumerate` and `zip`."""

from __future__ import annotations

import ast

from ..diagnostics.diagnostic import Label
from ..front import modules as m
from ..front import types
from ..program.ir import (
    Argument,
    Call,
    Const,
    DictDisplay,
    Expr,
    Group,
    Output,
    Parameter,
    Sequence,
    Setting,
    Type,
)
from ..slotted import replace
from . import advice, call_options, evaluation, expressions, flow, statements
from .frame import Frame
from .values import (
    ANY,
    INT,
    Level,
    Value,
    constant,
    detached,
    display,
    elements,
    named,
    poison,
    size_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from ..diagnostics.diagnostic import Span

SEQUENCES: Final = ("range", "enumerate", "zip")


class Modifiers:
    """What `.after(…)` and `.options(…)` add to a call."""

    __slots__ = ("after", "name", "options", "settings")

    def __init__(self) -> None:
        self.after: list[str] = []
        self.settings: tuple[Setting, ...] = ()
        self.name: Setting | None = None
        self.options: ast.Call | None = None


def lower(frame: Frame, node: ast.Call) -> Value:
    """The value of a call."""
    callee, modifier_calls = peel(node.func)
    modifiers = Modifiers()
    for call in reversed(modifier_calls):
        _apply_modifier(frame, call, modifiers)
    definition = callee_of(frame, callee)
    if isinstance(definition, m.Function):
        kind = frame.building.declarations.kind(definition)
        if kind == "step":
            return call_step(frame, node, definition, modifiers)
        if kind == "pipeline":
            return call_pipeline(frame, node, definition, modifiers)
    if isinstance(callee, ast.Name) and callee.id in SEQUENCES and definition is None:
        return sequence(frame, node, callee.id)
    view = dictionary_view(frame, node, callee) if definition is None else None
    if view is not None:
        return view
    advice.report_not_a_step(frame, node, callee, definition)
    lower_arguments(frame, node)
    return poison(frame.span(node))


def dictionary_view(frame: Frame, node: ast.Call, callee: ast.expr) -> Value | None:
    """`.items()`, `.keys()` or `.values()` of a constant dict."""
    if not isinstance(callee, ast.Attribute) or node.args or node.keywords:
        return None
    if callee.attr not in ("items", "keys", "values"):
        return None
    if not isinstance(callee.value, ast.Name | ast.Dict | ast.Attribute):
        return None
    root: ast.expr = callee.value
    while isinstance(root, ast.Attribute):
        root = root.value
    if isinstance(root, ast.Name) and callee_of(frame, callee.value) is None:
        known = root.id in frame.scope.names
        if not known:
            return None
    owner = expressions.lower(frame, callee.value)
    if owner.poisoned:
        return owner
    if not isinstance(owner.static, dict):
        return None
    return constant(list(getattr(owner.static, callee.attr)()), frame.span(node))


def peel(func: ast.expr) -> tuple[ast.expr, list[ast.Call]]:
    """The callee under `.after(…)` and `.options(…)`, and these calls, the last first."""
    calls: list[ast.Call] = []
    while (
        isinstance(func, ast.Call)
        and isinstance(func.func, ast.Attribute)
        and func.func.attr in ("after", "options")
    ):
        calls.append(func)
        func = func.func.value
    return func, calls


def callee_of(frame: Frame, callee: ast.expr) -> m.Definition | None:
    """What is called; None for local names and builtins."""
    root = callee
    while isinstance(root, ast.Attribute):
        root = root.value
    if isinstance(root, ast.Name) and expressions.is_local(frame, root.id):
        return None
    return frame.building.modules.resolve(frame.module, callee)


def _apply_modifier(frame: Frame, call: ast.Call, modifiers: Modifiers) -> None:
    assert isinstance(call.func, ast.Attribute)  # noqa: S101 - peel has seen to it
    if call.func.attr == "after":
        modifiers.after.extend(after_ids(frame, call))
        return
    modifiers.options = call
    kept = {item.name: item for item in (*modifiers.settings, *call_options.read(frame, call))}
    modifiers.name = kept.pop("name", modifiers.name)
    modifiers.settings = tuple(kept[name] for name in sorted(kept))


def after_ids(frame: Frame, call: ast.Call) -> list[str]:
    """The nodes that the arguments of an `after(…)` come from."""
    ids: list[str] = []
    for argument in call.args:
        value = expressions.lower(frame, argument)
        found = list(waited_for(value))
        ids.extend(found)
        if not found and not value.poisoned and value.level is not Level.OUTPUT:
            frame.reports.error(
                "after-argument",
                frame.span(argument),
                f"`{frame.text(argument)}` is not what a step gave, so nothing can wait for it",
                help="give `after` the results of the steps that must be over before",
            )
    for keyword in call.keywords:
        frame.reports.error(
            "unknown-argument",
            frame.span(keyword),
            "`after` takes no keyword arguments",
            help="give it the results of the steps that must be over before",
        )
    return list(dict.fromkeys(ids))


def waited_for(value: Value) -> list[str]:
    """The ids of the nodes that a value comes from."""
    if value.origins:
        return list(value.origins)
    return list(dict.fromkeys(flow.awaited(value.expr)))


# ---------------------------------------------------------------------------- steps


def call_step(frame: Frame, node: ast.Call, function: m.Function, modifiers: Modifiers) -> Value:
    """A step call: its node, and its output."""
    span = frame.span(node)
    step = frame.building.declarations.step(function)
    bound = bind(frame, node, step.parameters, function)
    if bound is None:
        return poison(span)
    identity = call_options.identity(frame, function.node.name, modifiers.name, span)
    arguments = tuple(Argument(name, value.expr, place) for name, (value, place) in bound.items())
    after = tuple(dict.fromkeys((*frame.barrier, *modifiers.after)))
    frame.emit(Call(identity, step.key, arguments, after, modifiers.settings, span))
    labels = tuple(output.name for output in step.outputs) if step.returns.name == "tuple" else ()
    return Value(Output(identity, span), step.returns, Level.OUTPUT, labels=labels)


def lower_arguments(
    frame: Frame, node: ast.Call
) -> tuple[list[tuple[Value, ast.expr]], list[tuple[str, Value, ast.keyword]]]:
    """The arguments of a call as written, evaluated in order."""
    positional: list[tuple[Value, ast.expr]] = []
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            items = expressions.unpacked(frame, argument)
            positional.extend((item, argument) for item in items)
        else:
            positional.append((expressions.lower(frame, argument), argument))
    keywords: list[tuple[str, Value, ast.keyword]] = []
    for keyword in node.keywords:
        value = expressions.lower(frame, keyword.value)
        if keyword.arg is not None:
            keywords.append((keyword.arg, value, keyword))
        else:
            keywords.extend(_unpacked_keywords(frame, keyword, value))
    return positional, keywords


def _unpacked_keywords(
    frame: Frame, keyword: ast.keyword, value: Value
) -> list[tuple[str, Value, ast.keyword]]:
    items = dictionary_items(value, frame.span(keyword))
    if items is not None and all(isinstance(key.static, str) for key, _ in items):
        return [(str(key.static), item, keyword) for key, item in items]
    if not value.poisoned:
        what = "a dict that is written out" if items is None else "a dict with keys that are text"
        frame.reports.error(
            "star-argument",
            frame.span(keyword),
            f"`**` can unpack only {what} here",
            help="write the arguments one by one",
        )
    return []


def dictionary_items(value: Value, span: Span) -> list[tuple[Value, Value]] | None:
    """The items of a dict whose keys are known; None for any other value."""
    if isinstance(value.static, dict):
        return [(constant(k, span), constant(v, span)) for k, v in value.static.items()]
    if not isinstance(value.expr, DictDisplay):
        return None
    items: dict[object, tuple[Value, Value]] = {}
    for key, item in value.expr.items:
        if not isinstance(key, Const):
            return None
        # Of equal keys Python keeps the first and its place, with the last one's value.
        held = items[key.value][0] if key.value in items else constant(key.value, span)
        items[key.value] = held, Value(item, ANY, value.level, size=value.size)
    return list(items.values())


Bound = dict[str, tuple[Value, "Span"]]


class Binder:
    """Binds the arguments of one call to parameters, by Python's rules."""

    def __init__(
        self,
        frame: Frame,
        node: ast.Call,
        parameters: tuple[Parameter, ...],
        function: m.Function,
    ) -> None:
        self.frame = frame
        self.node = node
        self.parameters = {parameter.name: parameter for parameter in parameters}
        self.function = function
        self.bound: Bound = {}
        self.extra: list[tuple[Value, Span]] = []
        self.extra_keywords: dict[str, tuple[Value, Span]] = {}
        self.failed = False

    def of_kind(self, *kinds: str) -> list[Parameter]:
        """The parameters of these kinds, in order."""
        return [p for p in self.parameters.values() if p.kind in kinds]

    def fail(self, rule: str, span: Span, message: str, way_out: str) -> None:
        """Report an argument that cannot be bound."""
        self.failed = True
        definition = self.function.module.span(self.function.node)
        place = replace(definition, end_line=definition.line, end_column=definition.column + 1)
        header = self.function.module.source.line_span(definition.line, definition.column)
        place = header if header.end_column > place.end_column else place
        self.frame.reports.error(
            rule,
            span,
            message,
            labels=(Label(place, f"`{self.function.node.name}` is defined here"),),
            help=way_out,
        )

    def positional(self, given: list[tuple[Value, ast.expr]]) -> None:
        """Bind the positional arguments."""
        slots = self.of_kind("plain", "positional-only")
        variadic = self.of_kind("variadic")
        for index, (value, node) in enumerate(given):
            span = self.frame.span(node)
            if index < len(slots):
                self.bound[slots[index].name] = (value, span)
            elif variadic:
                self.extra.append((value, span))
            else:
                name = self.function.node.name
                count = f"{len(slots)} positional argument{'s' * (len(slots) != 1)}"
                message = f"`{name}` takes {count}, but {len(given)} are given"
                self.fail("too-many-arguments", span, message, "remove the extra argument")
                return

    def keyword(self, name: str, value: Value, node: ast.keyword) -> None:
        """Bind a keyword argument."""
        span = self.frame.span(node)
        parameter = self.parameters.get(name)
        takes_any = self.of_kind("keywords")
        if parameter is None or parameter.kind not in ("plain", "keyword-only"):
            if takes_any:
                self.extra_keywords[name] = (value, span)
                return
            known = [p.name for p in self.of_kind("plain", "keyword-only")]
            message = f"`{self.function.node.name}` has no parameter `{name}`"
            if parameter is not None:
                message = f"`{name}` of `{self.function.node.name}` cannot be given by name"
            listed = f"its parameters are {listing(known)}" if known else "it takes none"
            self.fail("unknown-argument", span, message, advice.did_you_mean(name, known, listed))
        elif name in self.bound or name in self.extra_keywords:
            message = f"`{name}` is given twice"
            self.fail("duplicate-argument", span, message, "give it once")
        else:
            self.bound[name] = (value, span)

    def missing(self) -> None:
        """Report parameters that need a value and got none."""
        absent = [
            parameter.name
            for parameter in self.of_kind("plain", "positional-only", "keyword-only")
            if parameter.default is None and parameter.name not in self.bound
        ]
        if absent and not self.failed:
            message = f"`{self.function.node.name}` is called without {listing(absent)}"
            span = self.frame.span(self.node)
            edit = ", ".join(f"{name}=…" for name in absent)
            self.fail("missing-argument", span, message, f"add `{edit}`")

    def collected(self) -> Bound:
        """All arguments in the order of the parameters, variadic ones as one value."""
        span = self.frame.span(self.node)
        for parameter in self.of_kind("variadic"):
            if self.extra:
                items = tuple(value for value, _ in self.extra)
                self.bound[parameter.name] = (display("tuple", items, span), span)
        for parameter in self.of_kind("keywords"):
            if self.extra_keywords:
                self.bound[parameter.name] = (self._keywords_value(span), span)
        return {name: self.bound[name] for name in self.parameters if name in self.bound}

    def _keywords_value(self, span: Span) -> Value:
        pairs: list[tuple[Expr, Expr]] = []
        for name, (value, place) in self.extra_keywords.items():
            pairs.append((constant(name, place).expr, value.expr))
        values = [value for value, _ in self.extra_keywords.values()]
        return Value(
            DictDisplay(tuple(pairs), span),
            named("dict"),
            max(value.level for value in values),
            size=size_of(values),
        )

    def check_types(self) -> None:
        """Report arguments whose types do not fit."""
        for name, (value, span) in self.bound.items():
            advice.check_argument(self.frame, self.parameters[name], value, span, self.function)
        for parameter in self.of_kind("variadic"):
            for value, span in self.extra:
                advice.check_argument(self.frame, parameter, value, span, self.function)
        for parameter in self.of_kind("keywords"):
            for value, span in self.extra_keywords.values():
                advice.check_argument(self.frame, parameter, value, span, self.function)


def listing(names: list[str]) -> str:
    """`a`, `b` and `c`."""
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def bind(
    frame: Frame, node: ast.Call, parameters: tuple[Parameter, ...], function: m.Function
) -> Bound | None:
    """The arguments by parameter; None after a diagnostic, or where one of them has one."""
    binder = Binder(frame, node, parameters, function)
    positional, keywords = lower_arguments(frame, node)
    binder.positional(positional)
    for name, value, keyword in keywords:
        binder.keyword(name, value, keyword)
    spread = any(isinstance(arg, ast.Starred) for arg in node.args)
    if not (spread and any(value.poisoned for value, _ in positional)):
        binder.missing()
    binder.check_types()
    values = [value for value, _ in (*binder.bound.values(), *binder.extra)]
    values += [value for value, _ in binder.extra_keywords.values()]
    if binder.failed or any(value.poisoned for value in values):
        return None
    refuse_sequences(frame, binder)
    return binder.collected()


def refuse_sequences(frame: Frame, binder: Binder) -> None:
    """`range` and its like are for loops only: a step gets a list."""
    for value, span in (*binder.bound.values(), *binder.extra):
        if isinstance(value.expr, Sequence):
            frame.reports.error(
                "unsupported-expression",
                span,
                f"`{value.expr.function}(…)` can only be looped over in a pipeline",
                help="pass a list, or what it is made of",
            )


# ---------------------------------------------------------------------------- pipelines


def call_pipeline(
    frame: Frame, node: ast.Call, function: m.Function, modifiers: Modifiers
) -> Value:
    """Another pipeline, _inlined as a group."""
    span = frame.span(node)
    building = frame.building
    if function.key in [active.key for active in building.active]:
        frame.reports.error(
            "pipeline-recursion",
            span,
            f"`{function.node.name}` calls itself, directly or through another pipeline",
            help="loop over a list, or do the recursion in a step",
        )
        lower_arguments(frame, node)
        return poison(span)
    if modifiers.options is not None:
        frame.reports.error(
            "invalid-setting",
            frame.span(modifiers.options),
            "`options` overrides the settings of a step, not of a pipeline",
            help="give the options to the steps within",
        )
    declared = building.declarations.pipeline(function)
    bound = bind(frame, node, declared.parameters, function)
    if bound is None:
        return poison(span)
    return _inlined(
        frame, function, {name: value for name, (value, _) in bound.items()}, modifiers, span
    )


def _inlined(
    frame: Frame, function: m.Function, bound: dict[str, Value], modifiers: Modifiers, span: Span
) -> Value:
    building = frame.building
    declared = building.declarations.pipeline(function)
    identity = frame.new_id(function.node.name)
    inner = Frame(building, function, f"{identity}.", frame.depth)
    if inner.handles:
        evaluation.settle(frame, bound.values(), identity, span, always=True)
    for name, value in {**declared.defaults, **bound}.items():
        inner.bind(name, detached(value))
    building.active.append(function)
    try:
        result = statements.function_body(inner)
    finally:
        building.active.pop()
    after = tuple(dict.fromkeys((*frame.barrier, *modifiers.after)))
    name, text = function.node.name, declared.description
    frame.emit(Group(identity, name, text, tuple(inner.region), after, span))
    value = constant(None, span) if result is None else result.value
    return replace(detached(value), origins=(identity,))


# ---------------------------------------------------------------------------- sequences


def sequence(frame: Frame, node: ast.Call, function: str) -> Value:
    """`range`, `enumerate` or `zip`: a constant, known items, or a run-time sequence."""
    span = frame.span(node)
    positional, keywords = lower_arguments(frame, node)
    values = [value for value, _ in positional] + [value for _, value, _ in keywords]
    if any(value.poisoned for value in values) or not _check_signature(
        frame, node, function, positional, keywords
    ):
        return poison(span)
    if function == "range":
        return _range_value(frame, node, positional)
    if function == "enumerate":
        return _enumerate_value(frame, node, positional, keywords)
    return _zip_value(frame, node, positional, keywords)


def _check_signature(
    frame: Frame,
    node: ast.Call,
    function: str,
    positional: list[tuple[Value, ast.expr]],
    keywords: list[tuple[str, Value, ast.keyword]],
) -> bool:
    allowed = {"range": (1, 3, ()), "enumerate": (1, 2, ("start",)), "zip": (0, 1000, ("strict",))}
    least, most, names = allowed[function]
    count = len(positional)
    wrong = [name for name, _, _ in keywords if name not in names]
    if least <= count <= most and not wrong and len(keywords) <= 1:
        return True
    frame.reports.error(
        "unknown-argument"
        if wrong
        else "missing-argument"
        if count < least
        else "too-many-arguments",
        frame.span(node),
        f"`{function}` is not called like this",
        help=f"call it as in Python: `help({function})`",
    )
    return False


def _range_value(frame: Frame, node: ast.Call, given: list[tuple[Value, ast.expr]]) -> Value:
    span = frame.span(node)
    for value, place in given:
        if not types.assignable(value.type, INT):
            advice.report_mismatch(frame, frame.span(place), "range", value.type, INT)
            return poison(span)
    values = [value for value, _ in given]
    made = _run_time_sequence("range", [(None, value) for value in values], span, INT)
    numbers = [value.static for value in values if isinstance(value.static, int)]
    if len(numbers) < len(values):
        return made
    if len(numbers) == 3 and numbers[2] == 0:
        frame.reports.error(
            "constant-error", span, "the step of `range` must not be 0", help="give another step"
        )
        return poison(span)
    return replace(made, static=range(*numbers), type=named("range"))


def _run_time_sequence(
    function: str, given: list[tuple[str | None, Value]], span: Span, item: Type
) -> Value:
    expr = Sequence(function, tuple((name, value.expr) for name, value in given), span)
    level = max((value.level for _, value in given), default=Level.CONSTANT)
    return Value(expr, named("list", (item,)), level, size=size_of(value for _, value in given))


def _enumerate_value(
    frame: Frame,
    node: ast.Call,
    positional: list[tuple[Value, ast.expr]],
    keywords: list[tuple[str, Value, ast.keyword]],
) -> Value:
    span = frame.span(node)
    items = positional[0][0]
    starts = [value for value, _ in positional[1:]] + [value for _, value, _ in keywords]
    start = starts[0] if starts else constant(0, span)
    known = elements(items, span)
    if known is not None and isinstance(start.static, int):
        pairs = [
            display("tuple", (constant(start.static + index, span), item), span)
            for index, item in enumerate(known)
        ]
        return display("list", tuple(pairs), span)
    if not advice.check_iterable(frame, positional[0][1], items):
        return poison(span)
    pair = named("tuple", (INT, types.element(items.type)))
    given = [(None, items)] + [("start", start)] * bool(starts)
    return _run_time_sequence("enumerate", given, span, pair)  # type: ignore[arg-type]


def _zip_value(
    frame: Frame,
    node: ast.Call,
    positional: list[tuple[Value, ast.expr]],
    keywords: list[tuple[str, Value, ast.keyword]],
) -> Value:
    span = frame.span(node)
    columns = [elements(value, span) for value, _ in positional]
    strict = any(value.static is True for _, value, _ in keywords)
    known = [column for column in columns if column is not None]
    if len(known) == len(columns):
        if strict and len({len(column) for column in known}) > 1:
            frame.reports.error(
                "constant-error",
                span,
                "`zip` with `strict=True` has lists of unequal lengths",
                help="make them equally long",
            )
            return poison(span)
        rows = [display("tuple", row, span) for row in zip(*known, strict=False)]
        return display("list", tuple(rows), span)
    for value, place in positional:
        if not advice.check_iterable(frame, place, value):
            return poison(span)
    row = named("tuple", tuple(types.element(value.type) for value, _ in positional))
    given: list[tuple[str | None, Value]] = [(None, value) for value, _ in positional]
    given += [(name, value) for name, value, _ in keywords]
    return _run_time_sequence("zip", given, span, row or ANY)
