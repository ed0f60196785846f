"""Calls whose value only a run has: of the clock, and of random identifiers.

Each becomes a call of a step of :mod:`levada.run_values`, so that the value is taken once and
recorded. The clock is read where it is written: such a call keeps its place among side effects.
"""

from __future__ import annotations

import hashlib

from ..program.ir import RUN_VALUES, Call, Method, Output, Setting, Step
from .arguments import lower_arguments
from .values import FLOAT, Lowered, constant, made_of, named, poison

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from typing import Final

    from ..diagnostics.diagnostic import Span
    from ..program.ir import Expr, Type
    from .arguments import Given
    from .frame import Frame

_DATETIME: Final = named("datetime.datetime")
_TYPES: Final[dict[str, Type]] = {
    "now": _DATETIME,
    "utc_now": _DATETIME,
    "today": named("datetime.date"),
    "time": FLOAT,
    "uuid4": named("uuid.UUID"),
}


def call(frame: Frame, node: ast.Call, qualified: str, function: str, most: int) -> Lowered:
    """Return the value of a call of ``qualified``, which takes at most ``most`` arguments.

    The value is taken by a step that runs ``function`` of ``levada.run_values``.
    """
    span = frame.span(node)
    given = lower_arguments(frame, node)
    if given.is_poisoned:
        return poison(span)
    if not _is_bound(given, qualified, most):
        frame.reports.error(
            "too-many-arguments",
            span,
            f"`{frame.text(node.func)}` cannot be called with these arguments",
            help="give it what it takes in Python; of `datetime.now` that is a time zone, or none",
        )
        return poison(span)
    argument = next(iter(given.values()), None)
    if qualified == "datetime.datetime.now" and argument is not None and argument.static is None:
        argument = None
    if qualified == "time.strftime" and argument is not None:
        return _method(_taken(frame, "now", span), "strftime", argument, span)
    if argument is not None:
        return _method(_taken(frame, "utc_now", span), "astimezone", argument, span)
    value = _taken(frame, function, span)
    if qualified == "datetime.datetime.utcnow":
        none = constant(None, span)
        return _method(value, "replace", none, span, keyword="tzinfo")
    return value


def _is_bound(given: Given, qualified: str, most: int) -> bool:
    names = [name for name, _ in given.keywords]
    count = len(given.positional) + len(names)
    takes_name = qualified == "datetime.datetime.now" and names == ["tz"]
    needed = qualified != "time.strftime" or count == 1
    return count <= most and (not names or takes_name) and given.open is None and needed


def _method(
    value: Lowered, name: str, argument: Lowered, span: Span, keyword: str | None = None
) -> Lowered:
    arguments: tuple[tuple[str | None, Expr], ...] = ((keyword, argument.expr),)
    kind = _DATETIME if name != "strftime" else named("str")
    expr = Method(value.expr, name, arguments, span)
    return made_of(expr, kind, (value, argument), raises=not argument.is_static)


def _taken(frame: Frame, function: str, span: Span) -> Lowered:
    """Return what a step of that module gives, called here."""
    key = f"{RUN_VALUES}:{function}"
    if key not in frame.building.declarations.provided:
        frame.building.declarations.provided[key] = _step(key, function, span)
    identity = frame.new_id(function)
    if function != "uuid4":
        frame.building.hints.in_place.add(identity)
    frame.emit(Call(identity, key, (), (), (), span))
    return Lowered(Output(identity, span), _TYPES[function])


def _step(key: str, function: str, span: Span) -> Step:
    return Step(
        key=key,
        module=RUN_VALUES,
        function=function,
        source_root=".",
        description="",
        parameters=(),
        returns=_TYPES[function],
        outputs=(),
        settings=(Setting("cache", "false", span),),
        code=f"sha256:{hashlib.sha256(key.encode()).hexdigest()}",
        imports=(),
        span=span,
    )
