"""Pictures: whatever the graph, boxes do not overlap and the SVG is one."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st
from levada_compiler.graph.layout import Box, layout
from levada_compiler.graph.mermaid import mermaid
from levada_compiler.graph.model import Cluster, Edge, Graph, Vertex, vertices
from levada_compiler.graph.svg import svg

if TYPE_CHECKING:
    from levada_compiler.graph.model import Item

LABELS = st.text(max_size=12)
KINDS = st.sampled_from(["loop", "side", "guard", "handler", "final", "group"])
SHAPES = st.recursive(
    st.tuples(LABELS, LABELS, st.booleans()),
    lambda inner: st.tuples(LABELS, KINDS, st.lists(inner, min_size=1, max_size=4)),
    max_leaves=14,
)


def build(shapes: list[tuple[object, ...]], ids: list[int]) -> tuple[Item, ...]:
    items: list[Item] = []
    for shape in shapes:
        ids[0] += 1
        name = f"i{ids[0]}"
        label, second, third = shape
        if isinstance(third, list):
            items.append(Cluster(name, str(label), str(second), build(third, ids)))
        else:
            items.append(Vertex(name, str(label), str(second), bool(third)))
    return tuple(items)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    children = build(draw(st.lists(SHAPES, max_size=5)), [0])
    names = [vertex.id for vertex in vertices(children)]
    pairs = draw(st.lists(st.sampled_from(list(combinations(names, 2))))) if len(names) > 1 else []
    edges = tuple(Edge(*pair, is_data=draw(st.booleans()), label=draw(LABELS)) for pair in pairs)
    return Graph(draw(LABELS), "", children, edges)


def overlap(one: Box, other: Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


def is_within(inner: Box, outer: Box) -> bool:
    return (
        inner.x >= outer.x
        and inner.y >= outer.y
        and inner.x + inner.width <= outer.x + outer.width
        and inner.y + inner.height <= outer.y + outer.height
    )


@settings(max_examples=80)
@given(graphs())
def test_boxes_do_not_overlap_and_clusters_hold_what_is_in_them(graph: Graph) -> None:
    placed = layout(graph)
    whole = Box(0, 0, placed.width, placed.height)

    def check(items: tuple[Item, ...], around: Box) -> None:
        for one, other in combinations(items, 2):
            assert not overlap(placed.boxes[one.id], placed.boxes[other.id])
        for item in items:
            assert is_within(placed.boxes[item.id], around)
            if isinstance(item, Cluster):
                check(item.children, placed.boxes[item.id])

    check(graph.children, whole)


@settings(max_examples=80)
@given(graphs())
def test_arrows_go_down_and_pass_between_the_steps(graph: Graph) -> None:
    placed = layout(graph)
    boxes = {vertex.id: placed.boxes[vertex.id] for vertex in vertices(graph.children)}
    for edge, route in zip(graph.edges, placed.routes, strict=True):
        heights = [y for _, y in route]
        assert heights == sorted(heights)
        for (x, y), (to_x, to_y) in pairwise(route):
            if x != to_x:
                continue  # a bend, between two layers
            for name, box in boxes.items():
                if name not in (edge.source, edge.target):
                    inside = box.x < x < box.x + box.width
                    assert not (inside and y < box.y + box.height and to_y > box.y)


@settings(max_examples=80)
@given(graphs())
def test_every_picture_is_well_formed(graph: Graph) -> None:
    root = ElementTree.fromstring(svg(graph))
    assert root.tag.endswith("svg")
    text = mermaid(graph)
    assert text.count("\n") >= 1 + len(list(vertices(graph.children))) + len(set(graph.edges))
    assert text.count("subgraph ") == text.count("end\n")
