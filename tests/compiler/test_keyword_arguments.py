"""What functions of the evaluator take by name is what Python's own take by name."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from levada import operations
from levada.operations.functions import named
from levada_compiler.front import keyword_arguments

#: Parameters that the evaluator refuses: they are functions or classes, or private.
REFUSED = {"cls", "default", "object_hook", "parse_float", "parse_int", "parse_constant"}
REFUSED |= {"obj", "s", "object_pairs_hook", "_normalize", "is_safe"}


def parameters(function: Any) -> set[str] | None:
    """What a function takes by name; None where Python does not say."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return {
        each.name for each in found if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    }


@pytest.mark.parametrize("name", sorted(set(operations.FUNCTIONS) - {"dict", "format"}))
def test_functions(name: str) -> None:
    function = named(name)
    assert function is not None
    taken = parameters(function.target())
    if taken is not None:
        assert taken - REFUSED <= set(keyword_arguments.FUNCTIONS.get(name, ()))


def test_tables_have_only_what_the_evaluator_has() -> None:
    assert keyword_arguments.FUNCTIONS.keys() <= operations.FUNCTIONS.keys()
    for kind, methods in keyword_arguments.METHODS.items():
        assert methods.keys() <= set(operations.METHODS[kind])
