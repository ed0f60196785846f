"""The picture as one SVG file that needs nothing else."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape as xml

from levada_compiler.render.cells import escape

from .layout import layout
from .model import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .layout import Box, Layout, Point
    from .model import Edge, Graph, Item, Vertex

_STYLE = """
    text { font: 12px ui-monospace, Menlo, Consolas, monospace; fill: #1f2933 }
    .detail { fill: #627282; font-size: 11px }
    .title { fill: #52606d; font-size: 11px }
    .step { fill: #ffffff; stroke: #3b6ea5; stroke-width: 1.4 }
    .decision { fill: #fff7e0; stroke: #c08a1e; stroke-width: 1.4 }
    .cluster { stroke: #9fb3c8; stroke-dasharray: 4 3; fill: #627d98; fill-opacity: .07 }
    .loop { fill: #2f80ed } .handler { fill: #d64545 } .final { fill: #8f6bd6 }
    .edge { fill: none; stroke: #52606d; stroke-width: 1.2 }
    .order { stroke-dasharray: 5 4 }
    .label { fill: #52606d; font-size: 10px; stroke: #fff; stroke-width: 3; paint-order: stroke }
""".rstrip()

_ARROW = (
    '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0 0L8 4L0 8z" fill="#52606d"/></marker>'
)


def svg(graph: Graph) -> str:
    """A standalone SVG document, the same for the same graph."""
    placed = layout(graph)
    size = f"{_number(placed.width)} {_number(placed.height)}"
    width, height = size.split()
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {size}" role="img">'
    )
    lines = [head, f"  <title>{_text(graph.name)}</title>"]
    lines += [f"  <metadata>{_text(graph.made)}</metadata>"] if graph.made else []
    lines += [f"  <style>{_STYLE}\n  </style>", f"  <defs>{_ARROW}</defs>"]
    lines.append('  <rect width="100%" height="100%" fill="#ffffff"/>')
    lines += _clusters(graph.children, placed)
    for edge, points in zip(graph.edges, placed.routes, strict=True):
        lines += _edge(edge, points)
    lines += _vertices(graph.children, placed)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _clusters(items: Iterable[Item], placed: Layout) -> list[str]:
    lines = []
    for item in items:
        if isinstance(item, Cluster):
            box = placed.boxes[item.id]
            lines.append(f'  <rect class="cluster {item.kind}" {_rectangle(box)} rx="8"/>')
            x, y = _number(box.x + 12), _number(box.y + 18)
            lines.append(f'  <text class="title" x="{x}" y="{y}">{_text(item.label)}</text>')
            lines += _clusters(item.children, placed)
    return lines


def _vertices(items: Iterable[Item], placed: Layout) -> list[str]:
    lines = []
    for item in items:
        if isinstance(item, Cluster):
            lines += _vertices(item.children, placed)
        else:
            lines += _vertex(item, placed.boxes[item.id])
    return lines


def _vertex(vertex: Vertex, box: Box) -> list[str]:
    middle = box.y + box.height / 2 + 4
    if vertex.is_decision:
        return [f'  <path class="decision" d="{_hexagon(box)}"/>', _line(box, middle, vertex.label)]
    lines = [f'  <rect class="step" {_rectangle(box)} rx="6"/>']
    if not vertex.detail:
        return [*lines, _line(box, middle, vertex.label)]
    lines.append(_line(box, middle - 7, vertex.label))
    return [*lines, _line(box, middle + 9, vertex.detail, "detail")]


def _line(box: Box, y: float, text: str, name: str = "") -> str:
    style = f'class="{name}" ' if name else ""
    x = _number(box.x + box.width / 2)
    return f'  <text {style}x="{x}" y="{_number(y)}" text-anchor="middle">{_text(text)}</text>'


def _edge(edge: Edge, points: Sequence[Point]) -> list[str]:
    style = "edge" if edge.is_data else "edge order"
    lines = [f'  <path class="{style}" marker-end="url(#arrow)" d="{_curve(points)}"/>']
    if edge.label:
        (x, y), (end_x, end_y) = points[-2:]
        place = f'x="{_number((x + end_x) / 2)}" y="{_number(end_y - (end_y - y) * 0.35)}"'
        lines.append(
            f'  <text class="label" {place} text-anchor="middle">{_text(edge.label)}</text>'
        )
    return lines


def _curve(points: Sequence[Point]) -> str:
    """Down through all points, upright at each of them."""
    parts = [f"M{_pair(*points[0])}"]
    for (x, y), (to_x, to_y) in pairwise(points):
        if x == to_x:
            parts.append(f"L{_pair(to_x, to_y)}")
        else:
            middle = (y + to_y) / 2
            parts.append(f"C{_pair(x, middle)} {_pair(to_x, middle)} {_pair(to_x, to_y)}")
    return "".join(parts)


def _hexagon(box: Box) -> str:
    left, right, slant = box.x, box.x + box.width, 16
    top, middle, bottom = box.y, box.y + box.height / 2, box.y + box.height
    corners = [
        (left, middle),
        (left + slant, top),
        (right - slant, top),
        (right, middle),
        (right - slant, bottom),
        (left + slant, bottom),
    ]
    return "M" + "L".join(_pair(x, y) for x, y in corners) + "Z"


def _rectangle(box: Box) -> str:
    x, y, width, height = map(_number, (box.x, box.y, box.width, box.height))
    return f'x="{x}" y="{y}" width="{width}" height="{height}"'


def _pair(x: float, y: float) -> str:
    return f"{_number(x)} {_number(y)}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _text(text: str) -> str:
    return xml(escape(text).replace("\n", " "))
