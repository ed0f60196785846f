"""Whose values a step is given: what it has to be able to load beside what its own code names.

A value of a class of the project is loaded by importing that class; a frame by its library. So an
image needs the classes and libraries of the steps before it, as far as their return annotations
say which, and where these say nothing, of those that their code reaches.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from levada_compiler.program import forms
from levada_compiler.program.ir import (
    Attribute,
    Branch,
    Call,
    Collect,
    Concat,
    Display,
    Expr,
    FromJson,
    Guard,
    Instance,
    Item,
    Loop,
    Member,
    Output,
    Recover,
    Select,
    Use,
    Value,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from levada_compiler.program.ir import Node, Program, Step, Type

#: Libraries whose values have a format of their own, with what the runtime needs to write and read
#: it (``levada.materializers``): packages whose names are those of their modules.
FORMATS: dict[str, tuple[str, ...]] = {
    "matplotlib": (),
    "numpy": (),
    "pandas": ("pyarrow",),
    "PIL": (),
    "polars": (),
    "pyarrow": (),
    "pydantic": (),
    "sklearn": ("skops",),
    "torch": ("safetensors",),
}
_CLASS = "class "
_ANYTHING = frozenset(("any", "object"))
_CONTAINERS = frozenset(("list", "dict", "tuple", "set", "frozenset"))


def producers(program: Program) -> dict[str, tuple[str, ...]]:
    """For each step whose values its process loads, sorted: what its calls are given.

    Also what the loops around a call go over and choose by, and what a branch or a guard decides
    on whose outcome is given: all of that is evaluated where the step runs. A value is
    ``module:function``, or ``module:function name`` for a named output of it alone, or
    ``class module:Class`` for an instance or a member that the pipeline itself makes.
    """
    nodes = list(_nodes(program.body, ()))
    given = _Given({node.id: node for node, _ in nodes})
    found: dict[str, set[str]] = {step.key: set() for step in program.steps}
    for node, loops in nodes:
        if isinstance(node, Call):
            around = tuple((loop.items, loop.conditions) for loop in loops)
            evaluated = (node.expressions(), around)
            found[node.step] |= given.values(evaluated) | given.own_classes(evaluated)
    return {key: tuple(sorted(keys)) for key, keys in found.items()}


def decided_on(program: Program) -> tuple[str, ...]:
    """The values that are loaded where a run is decided, sorted: in conditions, filters, computed
    items and inputs. A mere reference is passed on as it is.
    """  # noqa: D205
    nodes = {node.id: node for node in walk(program.body)}
    given = _Given(nodes)
    asked: list[object] = []
    for node in nodes.values():
        match node:
            case Branch():
                asked.append(node.condition)
            case Loop():
                asked += [node.conditions, given.computed(node.items)]
            case Value():
                pass  # where it is used
            case _:
                asked += map(given.computed, node.expressions())
    asked += [given.computed(Use(name, program.span)) for name in _checked(program)]
    # All at once: a value that many expressions use is looked at once.
    return tuple(sorted(given.values(tuple(asked))))


def _checked(program: Program) -> set[str]:
    """The named values that are evaluated because they may raise."""
    found = set(program.result.after)
    for node in walk(program.body):
        found.update(node.after)
        if isinstance(node, Guard):
            found.update(node.checks)
        if isinstance(node, Value) and node.is_checked:
            found.add(node.id)
    return found & {node.id for node in walk(program.body) if isinstance(node, Value)}


def needs_modules(given: str, steps: Mapping[str, Step]) -> bool:
    """Whether a value is of a class that is not Python's own, as far as its type says."""
    _, kind = returned(given, steps)
    return any(
        ":" in name or name.partition(".")[0] not in sys.stdlib_module_names
        for name in classes(kind)
    )


def _nodes(
    region: tuple[Node, ...], loops: tuple[Loop, ...]
) -> Iterator[tuple[Node, tuple[Loop, ...]]]:
    """All nodes, each with the loops around it."""
    for node in region:
        yield node, loops
        inner = (*loops, node) if isinstance(node, Loop) else loops
        for part in node.regions():
            yield from _nodes(part, inner)


class _Given:
    """Finds the values in expressions of a program, whose nodes are known by their ids."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self._nodes = nodes

    def values(self, expression: object) -> set[str]:
        """The values of steps in an expression, or in a tuple of them."""
        found: set[str] = set()
        for item in self._inside(expression):
            if isinstance(item, Output):
                found |= self._value(item.node, "")
            elif isinstance(item, Attribute) and isinstance(item.value, Output):
                found |= self._value(item.value.node, item.name)
        return found

    def own_classes(self, expression: object) -> set[str]:
        """The classes whose instances or members the pipeline itself makes in it."""
        found: set[str] = set()
        for item in self._inside(expression):
            match item:
                case Member(enum=name) | Instance(cls=name):
                    found.add(name)
                case FromJson(form=form):
                    found.update(forms.classes(json.loads(form)))
        return {f"{_CLASS}{name}" for name in found}

    def _inside(self, expression: object) -> Iterator[object]:
        """An expression and what it is made of, down to the values of steps."""
        seen: set[int] = set()
        pending = [expression]
        while pending:
            item = pending.pop()
            if id(item) in seen:
                continue
            seen.add(id(item))
            yield item
            inner = item.value if isinstance(item, Attribute) else item
            if isinstance(item, tuple):
                pending += item
            elif isinstance(item, Expr) and not isinstance(inner, Output):
                pending += item.children()
                pending += self._decisions(item)

    def _value(self, node: str, name: str) -> set[str]:
        call = self._nodes.get(node)
        return {f"{call.step} {name}".rstrip()} if isinstance(call, Call) else set()

    def _decisions(self, item: object) -> list[object]:
        """What else is evaluated with an expression: items of a loop, the test of a branch."""
        if isinstance(item, Item | Collect):
            loop = self._nodes.get(item.loop)
            return [loop.items, loop.conditions] if isinstance(loop, Loop) else []
        if isinstance(item, Select):
            branch = self._nodes.get(item.branch)
            return [branch.condition] if isinstance(branch, Branch) else []
        if isinstance(item, Use):
            return list(self._nodes[item.value].expressions())
        return []

    def computed(self, expression: Expr) -> Expr | None:
        """An expression that loads what it names; None for a reference and a list of such."""
        while isinstance(expression, Use):
            (expression,) = self._nodes[expression.value].expressions()
        inner = expression.value if isinstance(expression, Attribute) else expression
        references = Output | Item | Collect | Select | Recover | Concat | Display
        return None if isinstance(inner, references) else expression


def own_class(given: str) -> str:
    """The class of one of these values that the pipeline itself makes; empty for those of steps."""
    return given.removeprefix(_CLASS) if given.startswith(_CLASS) else ""


def returned(given: str, steps: Mapping[str, Step]) -> tuple[Step, Type]:
    """The step of one of these values, and its type."""
    key, _, name = given.partition(" ")
    step = steps[key]
    outputs = {output.name: output.type for output in step.outputs}
    return step, outputs.get(name, step.returns)


def classes(kind: Type) -> tuple[str, ...]:
    """The names of the classes in a type: ``module:Class`` of the project, else dotted."""
    found = [kind.name] if {":", "."} & set(kind.name) else []
    return tuple(found) + tuple(name for each in kind.arguments for name in classes(each))


def is_known(kind: Type) -> bool:
    """Whether a type says what its values are made of."""
    if kind.name in _ANYTHING or (kind.name in _CONTAINERS and not kind.arguments):
        return False
    return all(is_known(each) for each in kind.arguments)


def formats(step: Step) -> tuple[str, ...]:
    """The packages with which the values that a step is given or returns are kept, sorted.

    Of the libraries in its signature, and where that is open, of all that its code imports.
    """
    types = signature(step)
    libraries = {name.partition(".")[0] for each in types for name in classes(each)}
    if is_open(types):
        libraries |= {module.partition(".")[0] for module in step.imports}
    return tuple(sorted(name for each in libraries for name in FORMATS.get(each, ())))


def is_open(types: Iterable[Type]) -> bool:
    """Whether values of these types may hold what the types do not name."""
    return any(not is_known(each) or any(":" in name for name in classes(each)) for each in types)


def signature(step: Step) -> tuple[Type, ...]:
    """The types of a step's parameters and of what it returns."""
    return (*(parameter.type for parameter in step.parameters), step.returns)
