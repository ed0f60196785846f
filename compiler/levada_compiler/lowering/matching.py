"""``match``: a chain of decisions on one value."""

from __future__ import annotations

import ast
import copy

from ..front import modules as m
from . import blocks
from .blocks import STATEMENTS
from .expressions import definition_of
from .lowering import expression

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from .frame import Frame

    T = TypeVar("T", bound=ast.AST)

#: The name that the matched value has while its cases are lowered.
_SUBJECT = "$subject"


def _match(frame: Frame, node: ast.Match, rest: list[ast.stmt]) -> blocks.Handled:
    """Lower a ``match`` as the chain of ``if`` and ``elif`` that it stands for."""
    subject = frame.keep(expression(frame, node.subject), "subject")
    outer = frame.scope.names.get(_SUBJECT)
    frame.scope.names[_SUBJECT] = subject
    chain = _chain(frame, node, node.cases)
    if chain is None:
        for case in node.cases:
            blocks.refuse_dead(frame, case.body)
        return None
    found = blocks.block(frame, [*chain, *rest])
    if outer is None:
        frame.scope.names.pop(_SUBJECT, None)
    else:
        frame.scope.names[_SUBJECT] = outer
    return found, True


def _chain(frame: Frame, node: ast.Match, cases: list[ast.match_case]) -> list[ast.stmt] | None:
    """Return the statements that a list of cases stands for; None after a diagnostic."""
    if not cases:
        return []
    first, *others = cases
    test = _test(frame, first.pattern)
    if test is None:
        return None
    rest = _chain(frame, node, others)
    if rest is None:
        return None
    body = [*_captured(first.pattern), *first.body]
    is_certain = isinstance(test, ast.Constant) and test.value is True
    if first.guard is not None:
        guard = _Subject(first.pattern).visit(copy.deepcopy(first.guard))
        test = guard if is_certain else _at(ast.BoolOp(ast.And(), [test, guard]), first.pattern)
    elif is_certain:
        return body
    return [_at(ast.If(test, body, rest), first.pattern)]


class _Subject(ast.NodeTransformer):
    """Puts the matched value in the place of the name that a pattern gives to it."""

    def __init__(self, pattern: ast.pattern) -> None:
        self.name = pattern.name if isinstance(pattern, ast.MatchAs) else None

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if node.id != self.name:
            return node
        return _at(ast.Name(_SUBJECT, ast.Load()), node)


def _captured(pattern: ast.pattern) -> list[ast.stmt]:
    name = pattern.name if isinstance(pattern, ast.MatchAs) else None
    if name is None:
        return []
    target = _at(ast.Name(name, ast.Store()), pattern)
    value = _at(ast.Name(_SUBJECT, ast.Load()), pattern)
    return [_at(ast.Assign([target], value), pattern)]


def _test(frame: Frame, pattern: ast.pattern) -> ast.expr | None:
    """Return the condition under which a pattern matches; None after a diagnostic."""
    subject = _at(ast.Name(_SUBJECT, ast.Load()), pattern)
    match pattern:
        case ast.MatchValue(value=value):
            return _at(ast.Compare(subject, [ast.Eq()], [value]), pattern)
        case ast.MatchSingleton(value=value):
            constant = _at(ast.Constant(value), pattern)
            return _at(ast.Compare(subject, [ast.Is()], [constant]), pattern)
        case ast.MatchAs(pattern=None):
            return _at(ast.Constant(value=True), pattern)
        case ast.MatchAs(pattern=ast.pattern() as inner):
            return _test(frame, inner)
        case ast.MatchOr(patterns=patterns):
            tests = [_test(frame, each) for each in patterns]
            known = [test for test in tests if test is not None]
            return _at(ast.BoolOp(ast.Or(), known), pattern) if len(known) == len(tests) else None
        case ast.MatchClass(cls=cls, patterns=[], kwd_patterns=[]) if _is_plain(frame, cls):
            call = ast.Call(_at(ast.Name("isinstance", ast.Load()), pattern), [subject, cls], [])
            return _at(call, pattern)
    frame.reports.error(
        "unsupported-statement",
        frame.span(pattern),
        "this pattern cannot be used in a pipeline",
        help="match constants, members of enumerations, None and names; write `if` for the rest",
    )
    return None


def _is_plain(frame: Frame, node: ast.expr) -> bool:
    """Return whether a class pattern names a builtin type."""
    found = definition_of(frame, node)
    return found is None and isinstance(node, ast.Name) and node.id in m.BUILTINS


def _at(node: T, place: ast.AST) -> T:
    """Return a node that was made here, placed where the pattern stands."""
    return ast.fix_missing_locations(ast.copy_location(node, place))


STATEMENTS[ast.Match] = _match
