"""Expressions of a pipeline as text, evaluated in a run with Python's exact meaning.

Nothing is ever passed to ``eval``: the text is parsed by the builtin ``compile`` and the tree is
walked by :mod:`levada.operations`. See docs/contracts.md, section 2.

A value that is only passed on stays a :class:`Reference`, not loaded; whatever computes with it
loads it. An exception that the expression itself raises (a division by zero, say) comes out as it
is; a text that is not an expression of Levada's, or that computes too much, raises
:class:`ExpressionError`.
"""

from __future__ import annotations

from functools import partial

from levada.expressions.evaluation import Evaluation, guarded
from levada.expressions.reference import Reference, as_tree, decoded
from levada.expressions.scope import Scope
from levada.expressions.texts import parse, parse_target, references
from levada.operations import Budget, ExpressionError
from levada.operations.plain import each, opened
from levada.operations.walker import Variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from levada.store import Store
    from levada.trees.tree_types import Tree

__all__ = [
    "ExpressionError",
    "Reference",
    "Scope",
    "Variable",
    "as_tree",
    "evaluate",
    "handled",
    "iterations",
    "named",
    "references",
    "spread",
    "tree",
    "truth",
    "value",
]


def evaluate(text: str, scope: Scope) -> object:
    """Return the value of a text: a :class:`Reference` where the text only passes one on."""
    return Evaluation(scope, Budget()).result(text)


def tree(text: str, scope: Scope) -> Tree:
    """Return the value as a tree, a step's input say. What is only passed on is not loaded."""
    return as_tree(evaluate(text, scope), scope.store)


def value(text: str, scope: Scope) -> object:
    """Return the value, loaded."""
    found = evaluate(text, scope)
    return guarded(lambda: decoded(found))


def truth(text: str, scope: Scope) -> bool:
    """Decide as ``if`` does."""
    return Evaluation(scope, Budget()).decision(parse(text))


def named(name: str, scope: Scope) -> object:
    """Return the value of a definition of the scope, evaluated here if it was not before."""
    return Evaluation(scope, Budget()).defined(name)


def handled(guard: str, scope: Scope) -> Any:
    """Return the `ErrorPart` that the handler of a guard handles, as a record has it."""
    return Evaluation(scope, Budget()).error_of(guard)


def spread(inputs: dict[str, Tree], store: Store) -> dict[str, Tree]:
    """Return the inputs of a step, by name as trees, with those of a ``**`` among them.

    Raises Python's TypeError where that is no mapping of names, or has one that is given besides.
    """
    if "**" not in inputs:
        return inputs
    found = {name: tree for name, tree in inputs.items() if name != "**"}
    items = opened(Reference(inputs["**"], store), Budget())
    if not isinstance(items, dict):
        raise TypeError(f"argument after ** must be a mapping, not {type(items).__name__}")
    for name, item in items.items():
        if type(name) is not str:
            raise TypeError("keywords must be strings")
        if name in found:
            raise TypeError(f"got multiple values for keyword argument '{name}'")
        found[name] = as_tree(item, store)
    return found


def iterations(
    target: str,
    items: str,
    where: Iterable[str],
    scope: Scope,
    named: Iterable[str] = (),
) -> Iterator[dict[str, Variable]]:
    """Return the variables of each iteration of a loop; the index counts those ``where`` lets by.

    ``target`` is as after ``for``: a name, or names separated by commas, nested in parentheses.
    ``named`` says what people call some of them: ``depth_2 as depth``.
    """
    budget = Budget()
    names, conditions = parse_target(target), [parse(text) for text in where]
    evaluation = Evaluation(scope, budget)
    called = [text.partition(" as ") for text in named]
    index = 0
    for item in guarded(lambda: list(each(evaluation.result(items), budget))):
        variables = guarded(partial(evaluation.bound, names, item, index))
        inner = Evaluation(scope.within(variables), budget)
        for variable, _, name in called:
            if variable in variables:
                variables[variable].name = name
        if all(inner.decision(condition) for condition in conditions):
            yield variables
            index += 1
