"""A layered layout with nested boxes, from top to bottom.

Each region is laid out by itself: its items (vertices, and clusters as one box each) are put
into layers by their longest path, ordered to cross little, and moved towards what they are
connected with. An arrow that passes a layer, or leaves or enters a cluster, has a waypoint in
every layer on its way, so that it runs between boxes. K. Sugiyama et al., 1981, per region.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from levada_compiler.render.cells import width as columns

from .model import Cluster, Vertex

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .model import Edge, Graph, Item

LETTER = 7.4
GAP_X = 22.0
GAP_Y = 44.0
PADDING = 16.0
HEADER = 24.0
WAYPOINT = 8.0
SWEEPS = 6

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; ``x`` and ``y`` are its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(slots=True)
class Layout:
    """Where everything is. ``routes`` has the points of each edge, in the order of the graph's."""

    width: float
    height: float
    boxes: dict[str, Box] = field(default_factory=dict)
    routes: list[list[Point]] = field(default_factory=list)


def layout(graph: Graph) -> Layout:
    """Place all vertices and clusters of a graph, and route its edges."""
    paths = _paths(graph.children, ())
    regions = _regions(graph, paths)
    _measure(graph.children, "", regions)
    top = regions[""]
    result = Layout(top.width, top.height)
    _settle(graph.children, "", regions, (0.0, 0.0), result)
    result.routes = [_route(edge, paths, regions, result) for edge in graph.edges]
    return result


def vertex_size(vertex: Vertex) -> tuple[float, float]:
    """Width and height of a vertex, with room for its text."""
    text = max(columns(vertex.label), columns(vertex.detail))
    if vertex.is_decision:
        return text * LETTER + 52, 46.0
    return max(text * LETTER + 28, 64.0), 46.0 if vertex.detail else 34.0


# ---------------------------------------------------------------------------- regions

#: A node of a region's layers: an item's id, or a waypoint (kind, item, layer).
Slot = str | tuple[str, str, int]


@dataclass(slots=True)
class _Region:
    """One region: what is connected in it, and (once measured) where its slots are."""

    label: str
    links: dict[tuple[str, str], None] = field(default_factory=dict)
    enters: dict[str, None] = field(default_factory=dict)
    leaves: dict[str, None] = field(default_factory=dict)
    rank: dict[str, int] = field(default_factory=dict)
    layers: list[list[Slot]] = field(default_factory=list)
    sizes: dict[Slot, tuple[float, float]] = field(default_factory=dict)
    centre: dict[Slot, float] = field(default_factory=dict)
    tops: list[float] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0
    origin: Point = (0.0, 0.0)


def _paths(items: Sequence[Item], path: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """For each vertex the clusters around it, outermost first, and itself."""
    found: dict[str, tuple[str, ...]] = {}
    for item in items:
        here = (*path, item.id)
        if isinstance(item, Cluster):
            found |= _paths(item.children, here)
        else:
            found[item.id] = here
    return found


def _regions(graph: Graph, paths: Mapping[str, tuple[str, ...]]) -> dict[str, _Region]:
    regions = {"": _Region("")}
    _add_regions(graph.children, regions)
    for edge in graph.edges:
        source, target = paths[edge.source], paths[edge.target]
        depth = _common(source, target)
        place = source[depth - 1] if depth else ""
        regions[place].links[source[depth], target[depth]] = None
        for cluster, item in zip(source[depth:], source[depth + 1 :], strict=False):
            regions[cluster].leaves[item] = None
        for cluster, item in zip(target[depth:], target[depth + 1 :], strict=False):
            regions[cluster].enters[item] = None
    return regions


def _add_regions(items: Sequence[Item], regions: dict[str, _Region]) -> None:
    for item in items:
        if isinstance(item, Cluster):
            regions[item.id] = _Region(item.label)
            _add_regions(item.children, regions)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    depth = 0
    while depth < min(len(one), len(other)) - 1 and one[depth] == other[depth]:
        depth += 1
    return depth


def _measure(items: Sequence[Item], name: str, regions: dict[str, _Region]) -> None:
    """Lay out a region, those within it first: their sizes are needed."""
    region = regions[name]
    for item in items:
        if isinstance(item, Cluster):
            _measure(item.children, item.id, regions)
            inner = regions[item.id]
            region.sizes[item.id] = (inner.width, inner.height)
        else:
            region.sizes[item.id] = vertex_size(item)
    _rank(items, region)
    neighbours = _fill_layers(items, region)
    _order(region, neighbours)
    _place(region, neighbours)


def _rank(items: Sequence[Item], region: _Region) -> None:
    """Layer numbers by longest path; items stand in an order in which edges go forward."""
    position = {item.id: number for number, item in enumerate(items)}
    before: dict[str, list[str]] = {item.id: [] for item in items}
    region.links = {link: None for link in region.links if position[link[0]] < position[link[1]]}
    for source, target in region.links:
        before[target].append(source)
    for item in items:
        ranks = [region.rank[source] + 1 for source in before[item.id]]
        region.rank[item.id] = max(ranks, default=0)


def _fill_layers(items: Sequence[Item], region: _Region) -> dict[Slot, list[Slot]]:
    """Put items and waypoints into layers; returns what each is connected with."""
    count = max(region.rank.values(), default=-1) + 1
    region.layers = [[] for _ in range(count)]
    for item in items:
        region.layers[region.rank[item.id]].append(item.id)
    neighbours: dict[Slot, list[Slot]] = {item.id: [] for item in items}
    for source, target in region.links:
        _chain(region, neighbours, source, _between(region, source, target), target)
    for entered in region.enters:
        _chain(region, neighbours, None, _enter(region, entered), entered)
    for left in region.leaves:
        _chain(region, neighbours, left, _leave(region, left), None)
    return neighbours


def _between(region: _Region, source: str, target: str) -> list[Slot]:
    ranks = range(region.rank[source] + 1, region.rank[target])
    return [("pass", source, rank) for rank in ranks]


def _enter(region: _Region, item: str) -> list[Slot]:
    return [("enter", item, rank) for rank in range(region.rank[item])]


def _leave(region: _Region, item: str) -> list[Slot]:
    return [("leave", item, rank) for rank in range(region.rank[item] + 1, len(region.layers))]


def _chain(
    region: _Region,
    neighbours: dict[Slot, list[Slot]],
    start: str | None,
    between: list[Slot],
    end: str | None,
) -> None:
    """Add the waypoints that are not there yet, and connect them in a row."""
    for slot in between:
        if slot not in neighbours:
            neighbours[slot] = []
            region.sizes[slot] = (WAYPOINT, 0.0)
            region.layers[slot[2] if isinstance(slot, tuple) else 0].append(slot)
    row = [*([start] if start else []), *between, *([end] if end else [])]
    for one, other in pairwise(row):
        if other not in neighbours[one]:
            neighbours[one].append(other)
            neighbours[other].append(one)


def _order(region: _Region, neighbours: Mapping[Slot, Sequence[Slot]]) -> None:
    """Sort each layer by the mean place of its neighbours in the layer before, to and fro."""
    for sweep in range(SWEEPS):
        layers = region.layers if sweep % 2 == 0 else region.layers[::-1]
        for fixed, moving in pairwise(layers):
            place = {slot: float(number) for number, slot in enumerate(fixed)}
            own = {slot: float(number) for number, slot in enumerate(moving)}
            scale = len(fixed) / max(len(moving), 1)
            moving.sort(key=lambda s: _mean(neighbours[s], place, own[s] * scale))


def _mean(slots: Sequence[Slot], place: Mapping[Slot, float], otherwise: float) -> float:
    known = [place[slot] for slot in slots if slot in place]
    return sum(known) / len(known) if known else otherwise


def _place(region: _Region, neighbours: Mapping[Slot, Sequence[Slot]]) -> None:
    """Coordinates within the region: x from the neighbours, y from the layers' heights."""
    for layer in region.layers:
        _spread(layer, dict.fromkeys(layer, 0.0), region)
    for sweep in range(SWEEPS):
        layers = region.layers if sweep % 2 == 0 else region.layers[::-1]
        for fixed, moving in pairwise(layers):
            place = {slot: region.centre[slot] for slot in fixed}
            wanted = {s: _mean(neighbours[s], place, region.centre[s]) for s in moving}
            _spread(moving, wanted, region)
    _frame(region)


def _spread(layer: Sequence[Slot], wanted: Mapping[Slot, float], region: _Region) -> None:
    """Centres as near to the wanted ones as the order and the gaps allow (least squares).

    Pool adjacent violators: without the gaps the places must only not decrease.
    """
    offsets: list[float] = []
    offset = 0.0
    for number, slot in enumerate(layer):
        half = region.sizes[slot][0] / 2
        offset += half + (GAP_X if number else 0.0)
        offsets.append(offset)
        offset += half
    blocks: list[tuple[float, int]] = []
    for slot, shift in zip(layer, offsets, strict=True):
        total, count = wanted[slot] - shift, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            more, others = blocks.pop()
            total, count = total + more, count + others
        blocks.append((total, count))
    starts = [total / count for total, count in blocks for _ in range(count)]
    for slot, start, shift in zip(layer, starts, offsets, strict=True):
        region.centre[slot] = start + shift


def _frame(region: _Region) -> None:
    """Move everything to the padding, and set the size of the region."""
    left = min((x - region.sizes[slot][0] / 2 for slot, x in region.centre.items()), default=0.0)
    right = max((x + region.sizes[slot][0] / 2 for slot, x in region.centre.items()), default=0.0)
    header = HEADER if region.label else 0.0
    label = columns(region.label) * LETTER
    region.width = max(right - left, label) + 2 * PADDING
    shift = (region.width - (right - left)) / 2 - left
    region.centre = {slot: x + shift for slot, x in region.centre.items()}
    y = PADDING + header
    for layer in region.layers:
        height = max((region.sizes[slot][1] for slot in layer), default=0.0)
        region.tops.append(y)
        region.heights.append(height)
        y += height + GAP_Y
    region.height = y - (GAP_Y if region.layers else 0.0) + PADDING


# ---------------------------------------------------------------------------- the whole picture


def _settle(
    items: Sequence[Item],
    name: str,
    regions: Mapping[str, _Region],
    origin: Point,
    result: Layout,
) -> None:
    """Turn places within regions into places in the picture, outermost first."""
    region = regions[name]
    region.origin = origin
    for item in items:
        width, height = region.sizes[item.id]
        rank = region.rank[item.id]
        x = origin[0] + region.centre[item.id] - width / 2
        y = origin[1] + region.tops[rank]
        result.boxes[item.id] = Box(x, y, width, height)
        if isinstance(item, Cluster):
            _settle(item.children, item.id, regions, (x, y), result)


def _route(
    edge: Edge,
    paths: Mapping[str, tuple[str, ...]],
    regions: Mapping[str, _Region],
    result: Layout,
) -> list[Point]:
    """From the bottom of one vertex to the top of the other, by all waypoints between."""
    source, target = paths[edge.source], paths[edge.target]
    depth = _common(source, target)
    first, last = result.boxes[edge.source], result.boxes[edge.target]
    points = [(first.x + first.width / 2, first.y + first.height)]
    for level in range(len(source) - 1, depth - 1, -1):
        region = regions[source[level - 1] if level else ""]
        points.append(_below(region, source[level], points[-1]))
        if level > depth:
            points += _waypoints(region, _leave(region, source[level]))
    points += _waypoints(region, _between(region, source[depth], target[depth]))
    for level in range(depth + 1, len(target)):
        region = regions[target[level - 1]]
        points += _waypoints(region, _enter(region, target[level]))
    return [*points, (last.x + last.width / 2, last.y)]


def _below(region: _Region, item: str, point: Point) -> Point:
    """Straight down to the end of an item's layer: its neighbours may be taller."""
    rank = region.rank[item]
    return point[0], region.origin[1] + region.tops[rank] + region.heights[rank]


def _waypoints(region: _Region, slots: Sequence[Slot]) -> list[Point]:
    """The upper and the lower end of each waypoint: there the arrow runs straight down."""
    points: list[Point] = []
    for slot in slots:
        rank = slot[2] if isinstance(slot, tuple) else region.rank[slot]
        x = region.origin[0] + region.centre[slot]
        y = region.origin[1] + region.tops[rank]
        points += [(x, y), (x, y + region.heights[rank])]
    return points
