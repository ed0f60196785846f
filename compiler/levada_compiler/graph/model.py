"""A program as a picture has it: steps and decisions, boxes around them, arrows between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from levada import __version__

from levada_compiler.origin import made_from
from levada_compiler.program.expression_text import ExpressionWriter
from levada_compiler.program.ir import (
    Branch,
    Call,
    Fail,
    Group,
    Guard,
    Loop,
    Output,
    Use,
    Value,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from levada_compiler.program.ir import Expr, Node, Program


@dataclass(frozen=True, slots=True)
class Vertex:
    """A step call, or a decision; ``detail`` is a second line."""

    id: str
    label: str
    detail: str = ""
    is_decision: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """A loop, a side of a branch, a part of a ``try``, or a sub-pipeline."""

    id: str
    label: str
    kind: str  #: loop, side, guard, handler, final or group
    children: tuple[Item, ...]


Item: TypeAlias = Vertex | Cluster


@dataclass(frozen=True, slots=True)
class Edge:
    """From one vertex to another. ``is_data`` tells a value from mere order."""

    source: str
    target: str
    is_data: bool
    label: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """The picture of one pipeline; edges go forward in the order of the vertices.

    ``made`` says what it was made from, as every file that Levada writes does.
    """

    name: str
    description: str
    children: tuple[Item, ...]
    edges: tuple[Edge, ...]
    made: str = ""


def graph(program: Program) -> Graph:
    """The picture of a program."""
    drawing = _Drawing(program)
    children = drawing.region(program.body)
    made = made_from(program, __version__)
    return Graph(program.name, program.description, children, drawing.sorted_edges(), made)


def vertices(children: Iterable[Item]) -> Iterator[Vertex]:
    """All vertices, in order, those in clusters too."""
    for child in children:
        if isinstance(child, Vertex):
            yield child
        else:
            yield from vertices(child.children)


@dataclass(slots=True)
class _Drawing:
    """Collects the edges while the regions are turned into boxes."""

    program: Program
    edges: dict[tuple[str, str], Edge] = field(default_factory=dict)
    has_input: set[str] = field(default_factory=set)
    ends: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)
    writer: ExpressionWriter = field(init=False)
    values: dict[str, list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.writer = ExpressionWriter(self.program)
        self.values: dict[str, list[str]] = {}
        for node in walk(self.program.body):
            if isinstance(node, Value):
                self.values[node.id] = self.sources(node.value)

    def sources(self, value: Expr) -> list[str]:
        """The calls that an expression refers to, by named values too."""
        found: dict[str, None] = {}
        for each in value.walk():
            if isinstance(each, Output):
                found[each.node] = None
            elif isinstance(each, Use):
                found |= dict.fromkeys(self.values[each.value])
        return list(found)

    def sorted_edges(self) -> tuple[Edge, ...]:
        return tuple(self.edges.values())

    def region(self, nodes: Sequence[Node]) -> tuple[Item, ...]:
        """The items of a region; a named value is none."""
        items: list[Item] = []
        for node in nodes:
            if not isinstance(node, Value):
                items += self.node(node)
                self.order(node.after, node.id)
        return tuple(items)

    def node(self, node: Node) -> tuple[Item, ...]:
        """The items of one node, and where arrows to and from it end."""
        match node:
            case Call():
                return self.call(node)
            case Branch():
                return self.branch(node)
            case Fail():
                return self.fail(node)
            case Loop():
                return (self.loop(node),)
            case Guard():
                return (self.guard(node),)
            case Group():
                return (self.group(node),)
        return ()

    def fail(self, node: Fail) -> tuple[Item, ...]:
        name = node.classes[0].rpartition(".")[2] if node.classes else ""
        self.ends[node.id] = ([node.id], [node.id])
        for argument in node.arguments:
            self.data(argument, [node.id])
        return (Vertex(node.id, f"raise {name}".rstrip()),)

    def call(self, node: Call) -> tuple[Item, ...]:
        function = node.step.rpartition(":")[2].rpartition(".")[2]
        self.ends[node.id] = ([node.id], [node.id])
        for argument in node.arguments:
            self.data(argument.value, [node.id])
        return (Vertex(node.id, node.id, "" if function == node.id else function),)

    def branch(self, node: Branch) -> tuple[Item, ...]:
        condition = self.writer.text(node.condition)
        items: list[Item] = [Vertex(node.id, condition, is_decision=True)]
        self.data(node.condition, [node.id])
        exits: list[str] = [] if node.then and node.otherwise else [node.id]
        for name, nodes in (("yes", node.then), ("no", node.otherwise)):
            if nodes:
                items.append(Cluster(f"{node.id}/{name}", name, "side", self.region(nodes)))
                entries, leaves = self.ends_of(nodes)
                self.connect([node.id], entries, label=name)
                exits += leaves
        self.ends[node.id] = ([node.id], exits)
        return tuple(items)

    def loop(self, node: Loop) -> Cluster:
        label = f"for {self.writer.target(node.target)} in {self.writer.text(node.items)}"
        label += "".join(f" if {self.writer.text(filter_)}" for filter_ in node.conditions)
        cluster = Cluster(node.id, label, "loop", self.region(node.body))
        self.ends[node.id] = self.ends_of(node.body)
        self.data(node.items, self.entries(node.id))
        for condition in node.conditions:
            self.data(condition, self.entries(node.id))
        return cluster

    def guard(self, node: Guard) -> Cluster:
        children = list(self.region(node.body))
        entries, exits = self.ends_of(node.body)
        if node.handler:
            part = Cluster(f"{node.id}/except", "except", "handler", self.region(node.handler))
            children.append(part)
            starts, ends = self.ends_of(node.handler)
            self.connect(exits, starts, label="failed")
            exits = exits + ends
        if node.final:
            part = Cluster(f"{node.id}/finally", "finally", "final", self.region(node.final))
            children.append(part)
            starts, ends = self.ends_of(node.final)
            self.connect(exits, starts)
            exits = ends
        self.ends[node.id] = (entries, exits)
        return Cluster(node.id, "try", "guard", tuple(children))

    def group(self, node: Group) -> Cluster:
        cluster = Cluster(node.id, node.pipeline, "group", self.region(node.body))
        self.ends[node.id] = self.ends_of(node.body)
        return cluster

    def ends_of(self, nodes: Sequence[Node]) -> tuple[list[str], list[str]]:
        """The vertices of a region that wait for none in it, and those that none waits for."""
        drawn = [node for node in nodes if node.id in self.ends]
        starts = [name for node in drawn for name in self.ends[node.id][0]]
        finishes = [name for node in drawn for name in self.ends[node.id][1]]
        inner = {each.id for each in walk(nodes)}
        targets = {target for source, target in self.edges if source in inner}
        sources = {source for source, target in self.edges if target in inner}
        return (
            [name for name in starts if name not in targets] or starts,
            [name for name in finishes if name not in sources] or finishes,
        )

    def entries(self, node: str) -> list[str]:
        return self.ends[node][0]

    def data(self, value: Expr, to: Iterable[str]) -> None:
        """Arrows for the values that an expression takes."""
        for target in to:
            for source in self.sources(value):
                self.edges[source, target] = Edge(source, target, is_data=True)
                self.has_input.add(target)

    def order(self, before: Iterable[str], node: str) -> None:
        """Dashed arrows for mere order."""
        sources = [name for earlier in before for name in self.ends.get(earlier, ([], []))[1]]
        self.connect(sources, self.entries(node))

    def connect(self, sources: Iterable[str], to: Iterable[str], label: str = "") -> None:
        targets = list(to)
        for source in sources:
            for target in targets:
                if source != target:
                    self.edges.setdefault((source, target), Edge(source, target, False, label))
                    self.has_input.add(target)
