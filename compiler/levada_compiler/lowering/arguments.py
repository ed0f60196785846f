"""The arguments of a call: as written, and bound to parameters by Python's rules."""

from __future__ import annotations

import ast

from ..diagnostics.diagnostic import Label
from ..diagnostics.reports import did_you_mean, listing
from ..front import types
from ..program.ir import DictDisplay, Display, Starred
from ..slotted import replace
from . import checks
from .displays import unpacked
from .function_values import function_value
from .lowering import expression
from .values import (
    ANY,
    Lowered,
    constant,
    dict_display,
    display,
    known_pairs,
    made_of,
    named,
    poison,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from ..diagnostics.diagnostic import Span
    from ..front import modules as m
    from ..program.ir import Expr, Parameter
    from .frame import Frame

    #: By parameter the value, and where it stands.
    Bound: TypeAlias = dict[str, tuple[Lowered, Span]]

#: The argument of a call whose value is a dict of arguments that are known only in the run.
OPEN_KEYWORDS = "**"


class Given:
    """The arguments of one call as written, evaluated in order.

    ``open`` is the value of a ``**`` whose keys are known only in the run, with its place.
    """

    __slots__ = ("keyword_spans", "keywords", "open", "positional", "spans")

    def __init__(self) -> None:
        self.positional: list[Lowered] = []
        self.spans: list[Span] = []
        self.keywords: list[tuple[str, Lowered]] = []
        self.keyword_spans: list[Span] = []
        self.open: tuple[Lowered, Span] | None = None

    def add(self, value: Lowered, span: Span) -> None:
        """Add a positional argument."""
        self.positional.append(value)
        self.spans.append(span)

    def add_keyword(self, name: str, value: Lowered, span: Span) -> None:
        """Add a keyword argument."""
        self.keywords.append((name, value))
        self.keyword_spans.append(span)

    def values(self) -> list[Lowered]:
        """Return the values of all arguments."""
        inner = [value for _, value in self.keywords]
        return [*self.positional, *inner, *([self.open[0]] if self.open else [])]

    @property
    def is_poisoned(self) -> bool:
        """Whether one of them has been reported."""
        return any(value.poisoned for value in self.values())

    @property
    def is_static(self) -> bool:
        """Whether all of them are constants."""
        return all(value.is_static for value in self.values())

    def as_static(self) -> tuple[list[Any], dict[str, Any]]:
        """Return the constants."""
        return [v.static for v in self.positional], {k: v.static for k, v in self.keywords}

    def expressions(self) -> tuple[tuple[str | None, Expr], ...]:
        """Return them as the arguments of an expression."""
        found: list[tuple[str | None, Expr]] = [(None, value.expr) for value in self.positional]
        return (*found, *((name, value.expr) for name, value in self.keywords))


def lower_arguments(frame: Frame, node: ast.Call, functions: tuple[int | str, ...] = ()) -> Given:
    """Return the arguments of a call, evaluated in order.

    Those at the positions and of the keywords in ``functions`` may be functions.
    """
    given = Given()
    places: list[int] = []  # how many nodes there were after each argument

    def lowered(argument: ast.expr, at: int | str | None) -> Lowered:
        if at not in functions:
            return expression(frame, argument)
        items = given.positional[0].type if len(given.positional) == 1 else ANY
        return function_value(frame, argument, types.element(items))

    for position, argument in enumerate(node.args):
        span = frame.span(argument)
        if isinstance(argument, ast.Starred):
            for item in unpacked(frame, argument):
                given.add(item, span)
                places.append(len(frame.region))
        else:
            given.add(lowered(argument, position), span)
            places.append(len(frame.region))
    for keyword in node.keywords:
        value = lowered(keyword.value, keyword.arg)
        if keyword.arg is not None:
            given.add_keyword(keyword.arg, value, frame.span(keyword))
        else:
            _add_unpacked(frame, keyword, value, given)
        places += [len(frame.region)] * (len(given.positional) + len(given.keywords) - len(places))
    _keep_in_order(frame, given, places)
    return given


def _keep_in_order(frame: Frame, given: Given, places: list[int]) -> None:
    """Name the arguments that may raise before a later argument calls a step."""
    count = len(given.positional)
    for at in reversed(range(len(places))):
        if at < count:
            given.positional[at] = frame.keep_before(given.positional[at], places[at])
        else:
            name, value = given.keywords[at - count]
            given.keywords[at - count] = name, frame.keep_before(value, places[at])


def _add_unpacked(frame: Frame, keyword: ast.keyword, value: Lowered, given: Given) -> None:
    span = frame.span(keyword)
    pairs = known_pairs(value, span)
    if value.poisoned:
        given.add_keyword("", value, span)
    elif pairs is None and given.open is None and value.type.name in ("any", "dict", "union"):
        given.open = value, span
    elif pairs is None or not all(isinstance(key.static, str) for key, _ in pairs):
        what = "one dict of unknown keys" if pairs is None else "a dict whose keys are texts"
        frame.reports.error(
            "star-argument",
            span,
            f"`**` can unpack only {what} here",
            help="write the arguments one by one",
        )
        given.add_keyword("", poison(span), span)
    else:
        for key, item in pairs:
            given.add_keyword(str(key.static), item, span)


class Binder:
    """Binds the arguments of one call to parameters, by Python's rules.

    ``name`` is what is called, ``place`` where it is defined.
    """

    def __init__(
        self,
        frame: Frame,
        span: Span,
        parameters: tuple[Parameter, ...],
        name: str,
        place: Span | None,
    ) -> None:
        self.frame = frame
        self.span = span
        self.parameters = {parameter.name: parameter for parameter in parameters}
        self.name = name
        self.place = place
        self.bound: Bound = {}
        self.extra: list[tuple[Lowered, Span]] = []
        self.extra_keywords: dict[str, tuple[Lowered, Span]] = {}
        self.open: tuple[Lowered, Span] | None = None
        self.failed = False

    def bind(self, given: Given) -> None:
        """Bind all arguments and report what is wrong with them."""
        for at, (value, span) in enumerate(zip(given.positional, given.spans, strict=True)):
            if not self.positional(at, len(given.positional), value, span):
                break
        for (name, value), span in zip(given.keywords, given.keyword_spans, strict=True):
            if name:
                self.keyword(name, value, span)
        self.open = given.open
        if not given.is_poisoned and given.open is None:
            self.missing()
        self.check_types()

    def of_kind(self, *kinds: str) -> list[Parameter]:
        """Return the parameters of these kinds, in order."""
        return [p for p in self.parameters.values() if p.kind in kinds]

    def fail(self, rule: str, span: Span, message: str, way_out: str) -> None:
        """Report an argument that cannot be bound."""
        self.failed = True
        label = f"`{self.name}` is defined here"
        labels = (Label(self.place, label),) if self.place is not None else ()
        self.frame.reports.error(rule, span, message, labels=labels, help=way_out)

    def positional(self, at: int, count: int, value: Lowered, span: Span) -> bool:
        """Bind a positional argument; return whether the next may be bound."""
        slots = self.of_kind("plain", "positional-only")
        is_open = isinstance(value.expr, Starred)
        if self.of_kind("variadic") and at >= len(slots):
            self.extra.append((value, span))
        elif is_open:
            self.fail(
                "star-argument",
                span,
                f"`*` of unknown length cannot fill the parameters of `{self.name}` one by one",
                "pass the list itself as one argument, or give the step a parameter `*args`",
            )
            return False
        elif at < len(slots):
            self.bound[slots[at].name] = (value, span)
        else:
            takes = f"{len(slots)} positional argument{'s' * (len(slots) != 1)}"
            message = f"`{self.name}` takes {takes}, but {count} are given"
            extra = "argument" if count - len(slots) == 1 else "arguments"
            self.fail("too-many-arguments", span, message, f"remove the extra {extra}")
            return False
        return True

    def keyword(self, name: str, value: Lowered, span: Span) -> None:
        """Bind a keyword argument."""
        parameter = self.parameters.get(name)
        if parameter is None or parameter.kind not in ("plain", "keyword-only"):
            if self.of_kind("keywords"):
                self.extra_keywords[name] = (value, span)
                return
            known = [p.name for p in self.of_kind("plain", "keyword-only")]
            message = f"`{self.name}` has no parameter `{name}`"
            if parameter is not None:
                message = f"`{name}` of `{self.name}` cannot be given by name"
            listed = f"its parameters are {listing(known)}" if known else "it takes none"
            self.fail("unknown-argument", span, message, did_you_mean(name, known, listed))
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
            message = f"`{self.name}` is called without {listing(absent)}"
            edit = ", ".join(f"{name}=…" for name in absent)
            self.fail("missing-argument", self.span, message, f"add `{edit}`")

    def check_types(self) -> None:
        """Report arguments whose types do not fit."""
        for name, (value, span) in self.bound.items():
            self._check_type(self.parameters[name], value, span)
        for parameter in self.of_kind("variadic"):
            for value, span in self.extra:
                self._check_type(parameter, value, span)
        for parameter in self.of_kind("keywords"):
            for value, span in self.extra_keywords.values():
                self._check_type(parameter, value, span)

    def _check_type(self, parameter: Parameter, value: Lowered, span: Span) -> None:
        checks.check_argument(self.frame, parameter, value, span, self.name)

    def collected(self) -> Bound:
        """Return all arguments in the order of the parameters, variadic ones as one value."""
        for parameter in self.of_kind("variadic"):
            if self.extra:
                self.bound[parameter.name] = (self._extra_value(), self.span)
        for parameter in self.of_kind("keywords"):
            if self.extra_keywords:
                self.bound[parameter.name] = (self._keywords_value(), self.span)
        found = {name: self.bound[name] for name in self.parameters if name in self.bound}
        return found | ({OPEN_KEYWORDS: self.open} if self.open else {})

    def _extra_value(self) -> Lowered:
        items = tuple(value for value, _ in self.extra)
        if not any(isinstance(item.expr, Starred) for item in items):
            return display("tuple", items, self.span)
        expr = Display("tuple", tuple([item.expr for item in items]), self.span)
        return made_of(expr, named("tuple"), items)

    def _keywords_value(self) -> Lowered:
        pairs = tuple(
            (constant(name, place), value) for name, (value, place) in self.extra_keywords.items()
        )
        made = dict_display(pairs, self.span)
        assert isinstance(made.expr, DictDisplay)  # noqa: S101 - of known keys
        return replace(made, type=named("dict"))


def header(function: m.Function) -> Span:
    """Return the first line of a function's definition."""
    span = function.module.span(function.node)
    place = replace(span, end_line=span.line, end_column=span.column + 1)
    line = function.module.source.line_span(span.line, span.column)
    return line if line.end_column > place.end_column else place
