"""What can be said of a whole module or program once it is lowered."""

from __future__ import annotations

import ast
import sys

from ..diagnostics.diagnostic import Label
from ..front import modules as m
from ..lowering import flow
from ..lowering.values import Value
from .ir import (
    Binary,
    Branch,
    Call,
    Collect,
    Compare,
    Concat,
    DictDisplay,
    Display,
    Format,
    Group,
    Guard,
    Loop,
    Member,
    Output,
    Recover,
    Select,
    Sequence,
    Subscript,
    Unary,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..diagnostics.diagnostic import Span
    from ..diagnostics.reports import Reports
    from ..front.declare import Declarations, Pipeline
    from ..lowering.frame import Frame
    from .ir import Expr, Node, Result, Step


#: What passes on the values in it.
_CONTAINERS = (Collect, Concat, DictDisplay, Display, Recover, Select, Sequence)


def nested_declarations(module: m.Module, declarations: Declarations, reports: Reports) -> None:
    """Report steps and pipelines that are not at the top level of the module."""
    top = set(map(id, module.functions))
    for node in m.statements(module.tree.body):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or id(node) in top:
            continue
        for decorator in node.decorator_list:
            kind = declarations.decorator_kind(module, decorator)
            if kind:
                reports.error(
                    "nested-step",
                    module.span(decorator),
                    f"`{node.name}` is declared as a {kind} within a function or a class",
                    help="move it to the top level of the module: there a run can find it",
                )


# ---------------------------------------------------------------------------- nodes


def regions(node: Node) -> tuple[tuple[Node, ...], ...]:
    """The regions of a node."""
    match node:
        case Branch(then=then, otherwise=otherwise):
            return then, otherwise
        case Loop(body=body) | Group(body=body):
            return (body,)
        case Guard(body=body, handler=handler, final=final):
            return body, handler or (), final
    return ()


def expressions(node: Node) -> tuple[Expr, ...]:
    """The expressions that a node itself evaluates."""
    match node:
        case Call(arguments=arguments):
            return tuple(argument.value for argument in arguments)
        case Branch(condition=condition):
            return (condition,)
        case Loop(items=items, conditions=conditions):
            return (items, *conditions)
    return ()


def walk(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """All nodes, outer ones first."""
    stack = list(reversed(nodes))
    while stack:
        node = stack.pop()
        yield node
        for region in reversed(regions(node)):
            stack.extend(reversed(region))


def called_steps(nodes: tuple[Node, ...]) -> set[str]:
    """The keys of the steps that are called."""
    return {node.step for node in walk(nodes) if isinstance(node, Call)}


def references(expr: Expr) -> Iterator[str]:
    """The ids of all nodes that an expression depends on."""
    yield from flow.awaited(expr)
    stack = [expr]
    while stack:
        item = stack.pop()
        if isinstance(item, Output):
            yield item.node
        stack.extend(flow.children(item))


def computed_members(body: tuple[Node, ...], reports: Reports) -> None:
    """Report members of enumerations that something is computed with: that needs their class."""
    for node in walk(body):
        for expr in expressions(node):
            listed = isinstance(node, Loop) and isinstance(expr, _CONTAINERS)
            for span in _computed(expr, node.span, passed=listed or isinstance(node, Call)):
                reports.error(
                    "enum-member",
                    span,
                    "a pipeline can pass on and compare members of an enumeration, nothing else",
                    help="compare it with members of its own, use its `.value`, or use a step",
                )


def _computed(expr: Expr, around: Span, *, passed: bool) -> Iterator[Span]:
    """What is computed with members: the expressions around those that are not only passed on."""
    stack = [(expr, around, passed)]
    while stack:
        item, span, is_passed = stack.pop()
        if isinstance(item, Member):
            if not is_passed:
                yield span
            continue
        inner = is_passed and isinstance(item, _CONTAINERS)
        stack += [(child, item.span, inner) for child in flow.children(item)]


# ---------------------------------------------------------------------------- order


def order(body: tuple[Node, ...], result: Result | None, reports: Reports) -> None:
    """Warn of steps that plain Python would run in order, and an engine may not."""
    used: set[str] = set()
    for value in result.values if result else ():
        used.update(references(value))
    needs = {node.id: _own_needs(node) for node in walk(body)}
    for ids in needs.values():
        used.update(ids)
    _Order(needs, used, reports).region(body)


def _own_needs(node: Node) -> set[str]:
    needs = set(node.after)
    for expr in expressions(node):
        needs.update(references(expr))
    return needs


class _Order:
    """Looks for pairs of nodes of one region that nothing puts in order."""

    def __init__(self, needs: dict[str, set[str]], used: set[str], reports: Reports) -> None:
        self.needs = needs
        self.used = used
        self.reports = reports

    def region(self, nodes: tuple[Node, ...]) -> None:
        """Check a region and those within it."""
        unused = [node for node in nodes if isinstance(node, Call) and node.id not in self.used]
        if unused and len(nodes) > 1:
            before = self._before(nodes)
            for call in unused:
                self._check(call, nodes, before)
        for node in nodes:
            for region in regions(node):
                self.region(region)

    def _before(self, nodes: tuple[Node, ...]) -> dict[str, int]:
        """Per node the bits of those of the region that surely are over before it starts."""
        owner = {inner.id: index for index, node in enumerate(nodes) for inner in walk((node,))}
        before: dict[str, int] = {}
        guards = 0
        for index, node in enumerate(nodes):
            mask = guards
            for inner in walk((node,)):
                for name in self.needs[inner.id]:
                    at = owner.get(name, index)
                    if at < index:
                        mask |= 1 << at | before[nodes[at].id]
            before[node.id] = mask
            if isinstance(node, Guard):
                guards |= 1 << index | mask
        return before

    def _check(self, node: Call, nodes: tuple[Node, ...], before: dict[str, int]) -> None:
        index = nodes.index(node)
        for at, other in enumerate(nodes):
            if (
                at == index
                or _decides_nothing(other)
                or before[node.id] >> at & 1
                or before[other.id] >> index & 1
            ):
                continue
            comes_first = index < at
            first, second = (node.id, other.id) if comes_first else (other.id, node.id)
            place = "before" if comes_first else "after"
            self.reports.warning(
                "unordered-step",
                node.span,
                f"nobody uses what `{node.id}` gives, so nothing keeps it {place} `{other.id}`",
                labels=(Label(other.span, "this may run at the same time"),),
                help=f"if the order matters, write `.after(…)`: `{second}` after `{first}`",
            )
            return


def _decides_nothing(node: Node) -> bool:
    return isinstance(node, Branch) and not node.then and not node.otherwise


def unused(frame: Frame, reports: Reports) -> None:
    """Warn of names that are assigned something and never read."""
    loaded = {
        node.id
        for node in ast.walk(frame.function.node)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    arguments = {
        item.arg for item in ast.walk(frame.function.node.args) if isinstance(item, ast.arg)
    }
    for name, place in frame.locals.items():
        if name in loaded or name in arguments or name.startswith("_"):
            continue
        binding = frame.scope.names.get(name)
        made = Output | Subscript | Unary | Binary | Compare | Format
        if isinstance(binding, Value) and isinstance(binding.expr, made):
            reports.warning(
                "unused-result",
                frame.span(place),
                f"`{name}` is never used",
                help="use it, return it, or call the step without assigning",
            )


def tuple_defaults(frame: Frame, declared: Pipeline, reports: Reports) -> None:
    """Warn where a step would tell a tuple that is a parameter's default from the list it becomes.

    To a loop, an index and an unpacking they are the same.
    """
    tuples = {n: each for n, each in declared.defaults.items() if _holds_tuple(each.static)}
    if not tuples:
        return
    tree = frame.function.node
    taken_apart = {id(part) for node in ast.walk(tree) for part in _taken_apart(node)}
    for name, default in tuples.items():
        uses = (
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and node.id == name and id(node) not in taken_apart
        )
        place = next(uses, None)
        if place is not None:
            reports.warning(
                "parameter-default",
                frame.span(place),
                f"the default of `{name}` is a tuple or holds one, and the run has a list instead",
                labels=(Label(default.expr.span, "JSON has no tuples, and parameters are JSON"),),
                help="write a list",
            )


def _taken_apart(node: ast.AST) -> tuple[ast.AST, ...]:
    match node:
        case ast.For(iter=ast.Call(args=items)) | ast.comprehension(iter=ast.Call(args=items)):
            return tuple(items)
        case ast.For(iter=items) | ast.comprehension(iter=items) | ast.Subscript(value=items):
            return (items,)
        case ast.Assign(targets=[ast.Tuple() | ast.List()], value=value):
            return (value,)
    return ()


def _holds_tuple(value: object) -> bool:
    if isinstance(value, dict):
        return any(_holds_tuple(item) for item in value.values())
    return isinstance(value, tuple) or (
        isinstance(value, list) and any(_holds_tuple(item) for item in value)
    )


def hidden_modules(steps: tuple[Step, ...], reports: Reports) -> None:
    """Warn of modules of steps that are called like one of Python's own, one step each."""
    named: dict[str, Step] = {}
    for step in steps:
        named.setdefault(step.module.partition(".")[0], step)
    for name, step in named.items():
        if name in sys.stdlib_module_names or name == "levada":
            reports.warning(
                "module-name",
                step.span,
                f"the module of `{step.function}` is called `{name}`, as one that comes with "
                "Python or Levada: one hides the other",
                help="rename it: a step cannot be imported where the other one is loaded before",
            )
