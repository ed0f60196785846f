"""What a program means: the shortest interpreter, in plain order, for comparison with Python.

It follows the definitions in `levada_compiler.program.ir` and nothing else, so that a difference
from calling the pipeline as an ordinary function is a mistake of the front end.
"""

from __future__ import annotations

import builtins
import datetime
import itertools
import json
import math
import operator
import posixpath
import re
import statistics
import sys
import types
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

from levada import forms, run_values, values
from levada_compiler.program import ir

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "|": operator.or_,
    "&": operator.and_,
    "^": operator.xor,
    "<<": operator.lshift,
    ">>": operator.rshift,
}
COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "is": operator.is_,
    "is not": operator.is_not,
    "in": lambda left, right: left in right,
    "not in": lambda left, right: left not in right,
}
UNARY: dict[str, Callable[[Any], Any]] = {
    "not": operator.not_,
    "-": operator.neg,
    "+": operator.pos,
    "~": operator.invert,
}


def folded(step: Callable[..., Any], items: Any, carried: Any, count: int) -> tuple[Any, ...]:
    """What a loop carries through its iterations, and the lists of what these append."""
    lists: list[list[Any]] = [[] for _ in range(count)]
    for item in items:
        carried, ends, parts = step(*carried, item)
        for appended, part in zip(lists, parts, strict=True):
            appended += part
        if ends:
            break
    return (*carried, *lists)


#: What the names of the evaluator's functions stand for.
FUNCTIONS: dict[str, Any] = {
    **vars(builtins),
    **{name: getattr(datetime, name) for name in ("date", "datetime", "time", "timedelta")},
    "timezone": datetime.timezone,
    "UUID": uuid.UUID,
    "Decimal": Decimal,
    "Fraction": Fraction,
    "Path": Path,
    "PurePosixPath": PurePosixPath,
    "math": math,
    "statistics": statistics,
    "json": json,
    "itertools": itertools,
    "os": types.SimpleNamespace(path=posixpath),
    "folded": folded,
    "flat": lambda lists: [item for each in lists for item in each],
}
Place = tuple[str, tuple[int, ...]]


def unpacking(found: int, wanted: int, least: str = "") -> str:
    """Say what Python says of as many items for as many names."""
    if found > wanted:
        return f"too many values to unpack (expected {wanted})"
    return f"not enough values to unpack (expected {least}{wanted}, got {found})"


@dataclass
class Meaning:
    """One run of a program. `steps` are the functions by key, `parameters` the run's."""

    program: ir.Program
    steps: dict[str, Callable[..., Any]]
    parameters: dict[str, Any]
    loops: dict[str, tuple[str, ...]] = field(default_factory=dict)  # node -> loops around it
    index: dict[str, int] = field(default_factory=dict)  # loop -> the iteration under way
    items: dict[str, Any] = field(default_factory=dict)  # loop variable -> value
    outputs: dict[Place, Any] = field(default_factory=dict)
    errors: dict[Place, Exception] = field(default_factory=dict)
    decisions: dict[Place, bool] = field(default_factory=dict)
    iterations: dict[Place, list[dict[str, Any]]] = field(default_factory=dict)
    calls: dict[str, ir.Call] = field(default_factory=dict)
    values: dict[str, ir.Value] = field(default_factory=dict)

    def run(self) -> Any:
        self.survey(self.program.body, ())
        self.region(self.program.body)
        result = self.program.result
        values = [self.value(value) for value in result.values]
        if result.kind in ("none", "value"):
            return values[0] if values else None
        if result.kind == "tuple":
            return tuple(values)
        named = dict(zip(result.names, values, strict=True))
        return named if result.kind == "dict" else self.named(result.kind)(**named)

    def survey(self, nodes: tuple[ir.Node, ...], around: tuple[str, ...]) -> None:
        for node in nodes:
            assert node.id not in self.loops, f"{node.id} is there twice"
            self.loops[node.id] = around
            if isinstance(node, ir.Call):
                self.calls[node.id] = node
            if isinstance(node, ir.Value):
                self.values[node.id] = node
            inner = (*around, node.id) if isinstance(node, ir.Loop) else around
            for region in node.regions():
                self.survey(region, inner)

    def place(self, node: str) -> Place:
        return node, tuple(self.index[loop] for loop in self.loops[node])

    # -- nodes

    def region(self, nodes: tuple[ir.Node, ...]) -> None:
        for node in nodes:
            match node:
                case ir.Call():
                    self.call(node)
                case ir.Value() if node.raises:
                    self.outputs[self.place(node.id)] = self.value(node.value)
                case ir.Value():
                    pass  # evaluated where it is used, if it is
                case ir.Fail():
                    self.fail(node)
                case ir.Branch():
                    taken = bool(self.value(node.condition))
                    self.decisions[self.place(node.id)] = taken
                    self.region(node.then if taken else node.otherwise)
                case ir.Loop():
                    self.loop(node)
                case ir.Guard():
                    self.guard(node)
                case ir.Group():
                    self.region(node.body)

    def call(self, node: ir.Call) -> None:
        step = next(step for step in self.program.steps if step.key == node.step)
        given = {argument.name: self.value(argument.value) for argument in node.arguments}
        positional: list[Any] = []
        keywords: dict[str, Any] = dict(given.get("**", {}))
        for parameter in step.parameters:
            if parameter.name not in given:
                continue
            value = given[parameter.name]
            if parameter.kind == "positional-only":
                positional.append(value)
            elif parameter.kind == "variadic":
                plain = [p.name for p in step.parameters if p.kind == "plain"]
                positional += [keywords.pop(name) for name in plain if name in keywords]
                positional += value
            elif parameter.kind == "keywords":
                keywords |= value
            else:
                keywords[parameter.name] = value
        own = getattr(run_values, node.step.partition(":")[2], None)
        function = self.steps[node.step] if step.module != ir.RUN_VALUES else own
        self.outputs[self.place(node.id)] = function(*positional, **keywords)

    def fail(self, node: ir.Fail) -> None:
        if node.guard:
            raise self.errors[self.place(node.guard)]
        module, _, name = node.classes[0].rpartition(".")
        raise self.named(f"{module}:{name}")(*[self.value(each) for each in node.arguments])

    def named(self, name: str) -> Any:
        """The class `module:Class`."""
        module, _, attribute = name.partition(":")
        return getattr(sys.modules[module], attribute)

    def loop(self, node: ir.Loop) -> None:
        place = self.place(node.id)
        self.iterations[place] = []
        for item in self.value(node.items):
            bound: dict[str, Any] = {}
            self.bind(node.target, item, bound)
            self.items |= bound
            if not all(self.value(condition) for condition in node.conditions):
                continue
            self.index[node.id] = len(self.iterations[place])
            self.iterations[place].append(bound)
            self.region(node.body)
        self.index.pop(node.id, None)

    def bind(self, target: ir.Target | str, item: Any, bound: dict[str, Any]) -> None:
        if isinstance(target, str):
            bound[target] = item
        elif target.is_tuple:
            for name, part in zip(target.names, item, strict=True):
                self.bind(name, part, bound)
        else:
            self.bind(target.names[0], item, bound)

    def guard(self, node: ir.Guard) -> None:
        place, index = self.place(node.id), dict(self.index)
        try:
            try:
                self.region(node.body)
                self.decisions[place] = True
            except Exception as error:
                self.errors[place] = error
                self.index = index
                self.decisions[place] = False
                if node.handler is None:
                    raise
                self.region(node.handler)
        finally:
            self.index = index
            self.region(node.final)

    # -- values

    def value(self, expr: ir.Expr) -> Any:  # noqa: C901 - one case a form
        match expr:
            case ir.Const(value=value):
                return value
            case ir.Param(name=name):
                return self.parameters[name]
            case ir.Output(node=node):
                return self.outputs[self.place(node)]
            case ir.Use(value=name):
                return self.named_value(name)
            case ir.Error(guard=guard):
                return self.errors[self.place(guard)]
            case ir.Catches(guard=guard, classes=classes):
                kinds = type(self.errors[self.place(guard)]).__mro__
                names = {f"{kind.__module__}.{kind.__qualname__}" for kind in kinds}
                return not names.isdisjoint(classes)
            case ir.FromJson(form=form, value=value):
                tree = forms.converted(json.loads(form), self.value(value), "value")
                return values.decode(tree)
            case ir.Instance(cls=cls, fields=fields):
                return self.named(cls)(**{name: self.value(each) for name, each in fields})
            case ir.Item(name=name):
                return self.items[name]
            case ir.Member(enum=enum):
                value = self.value(expr.value)
                return None if value is None else self.named(enum)(value)
            case ir.Attribute():
                return self.attribute(expr)
            case ir.Subscript(value=value, index=index):
                return self.value(value)[self.value(index)]
            case ir.Slice(lower=lower, upper=upper, step=step):
                return slice(self.value(lower), self.value(upper), self.value(step))
            case ir.Unary(op=op, operand=operand):
                return UNARY[op](self.value(operand))
            case ir.Binary(op=op, left=left, right=right):
                return BINARY[op](self.value(left), self.value(right))
            case ir.Compare():
                return self.compare(expr)
            case ir.BoolOp(op=op, operands=operands):
                result = None
                for operand in operands:
                    result = self.value(operand)
                    if bool(result) is (op == "or"):
                        break
                return result
            case ir.Display(kind=kind, items=items):
                found = [each for item in items for each in self.unpacked(item)]
                return {"list": list, "tuple": tuple, "set": set}[kind](found)
            case ir.DictDisplay(items=pairs):
                made: dict[Any, Any] = {}
                for key, item in pairs:
                    if key is None:
                        made |= self.value(item)
                    else:
                        made[self.value(key)] = self.value(item)
                return made
            case ir.Conditional(test=test, then=then, otherwise=otherwise):
                return self.value(then if self.value(test) else otherwise)
            case ir.Format(parts=parts):
                return "".join(map(self.part, parts))
            case ir.Apply(function=function, arguments=arguments):
                return self.applied(self.function(function), arguments)
            case ir.Method(value=value, name=name, arguments=arguments):
                return self.applied(getattr(self.value(value), name), arguments)
            case ir.FunctionName(name=name):
                return self.function(name)
            case ir.Lambda(parameters=parameters, body=body):

                def call(*given: Any) -> Any:
                    self.items |= dict(zip(parameters, given, strict=True))
                    return self.value(body)

                return call
            case ir.Comprehension(kind=kind, element=element, clauses=clauses):
                rows = [self.value(element) for _ in self.rows(clauses)]
                return {"list": list, "set": set, "dict": dict}[kind](rows)
            case ir.Concat(parts=parts):
                return [item for part in parts for item in self.value(part)]
            case ir.Collect():
                return self.collect(expr)
            case ir.Select(branch=branch, then=then, otherwise=otherwise):
                return self.value(then if self.decisions[self.place(branch)] else otherwise)
            case ir.Recover(guard=guard, body=body, handler=handler):
                return self.value(body if self.decisions[self.place(guard)] else handler)
        raise AssertionError(expr)

    def named_value(self, name: str) -> Any:
        place = self.place(name)
        if place not in self.outputs:
            (expression,) = self.values[name].expressions()
            self.outputs[place] = self.value(expression)
        return self.outputs[place]

    def function(self, name: str) -> Any:
        first, *rest = name.split(".")
        found = FUNCTIONS[first]
        for part in rest:
            found = getattr(found, part)
        return found

    def applied(
        self, function: Callable[..., Any], arguments: tuple[tuple[str | None, ir.Expr], ...]
    ) -> Any:
        positional = [x for name, item in arguments if name is None for x in self.unpacked(item)]
        keywords = {name: self.value(value) for name, value in arguments if name}
        found = function(*positional, **keywords)
        return list(found) if isinstance(found, Iterator) else found

    def unpacked(self, expr: ir.Expr) -> list[Any]:
        if isinstance(expr, ir.Starred):
            return list(self.value(expr.value))
        return [self.value(expr)]

    def rows(self, clauses: tuple[ir.Clause, ...]) -> Iterator[None]:
        if not clauses:
            yield
            return
        first, *rest = clauses
        for item in self.value(first.items):
            bound: dict[str, Any] = {}
            self.bind(first.target, item, bound)
            self.items |= bound
            if all(self.value(condition) for condition in first.conditions):
                yield from self.rows(tuple(rest))

    def attribute(self, expr: ir.Attribute) -> Any:
        value = self.value(expr.value)
        if expr.name == "__name__":
            return type(value).__name__
        if expr.name.isdigit():
            return value[int(expr.name)]
        if expr.name[:1].isdigit():  # "0of2": the first of as many items as there must be
            index, count, *star = map(int, re.split("of|at", expr.name))
            items = list(value)
            if star:  # "0of3at1": the second gets the rest
                if len(items) < count - 1:
                    raise ValueError(unpacking(len(items), count - 1, "at least "))
                end = len(items) - (count - star[0] - 1)
                items[star[0] : end] = [items[star[0] : end]]
            if len(items) != count:
                raise ValueError(unpacking(len(items), count))
            return items[index]
        if isinstance(value, tuple) and not hasattr(value, expr.name):
            source = expr.value
            while isinstance(source, ir.Use):
                (source,) = self.values[source.value].expressions()
            assert isinstance(source, ir.Output)
            key = self.calls[source.node].step
            step = next(step for step in self.program.steps if step.key == key)
            return value[[output.name for output in step.outputs].index(expr.name)]
        return getattr(value, expr.name)

    def compare(self, expr: ir.Compare) -> Any:
        left = self.value(expr.operands[0])
        result: Any = True
        for op, operand in zip(expr.ops, expr.operands[1:], strict=True):
            right = self.value(operand)
            result = COMPARE[op](left, right)
            if not result:
                break
            left = right
        return result

    def part(self, part: str | ir.Field) -> str:
        if isinstance(part, str):
            return part
        convert: dict[str, Callable[[Any], Any]] = {"s": str, "r": repr, "a": ascii}
        value = self.value(part.value)
        spec = part.format if isinstance(part.format, str) else self.value(part.format)
        return format(convert.get(part.conversion, lambda item: item)(value), spec)

    def collect(self, expr: ir.Collect) -> list[Any]:
        saved, items = dict(self.index), dict(self.items)
        found: list[Any] = []
        place = expr.loop, tuple(self.index[loop] for loop in self.loops[expr.loop])
        for index, bound in enumerate(self.iterations[place]):
            self.index[expr.loop] = index
            self.items |= bound
            value = self.value(expr.value)
            found.extend(value) if expr.flatten else found.append(value)
        self.index, self.items = saved, items
        return found
