"""The picture as Mermaid text, which code hosts draw in Markdown.

Format: https://mermaid.js.org/syntax/flowchart.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from levada_compiler.render.cells import escape

from .model import Cluster, vertices

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import Edge, Graph, Item, Vertex


def mermaid(graph: Graph) -> str:
    """A top-down flowchart. Ids are numbered: a step may be called ``end``."""
    names = {vertex.id: f"n{number}" for number, vertex in enumerate(vertices(graph.children))}
    made = [f"  %% {escape(graph.made)}"] if graph.made else []
    lines = ["flowchart TD", *made, *_items(graph.children, names, "  ", [0])]
    lines += [f"  {_edge(edge, names)}" for edge in graph.edges]
    return "\n".join(lines) + "\n"


def _items(
    items: Iterable[Item], names: dict[str, str], indent: str, clusters: list[int]
) -> list[str]:
    lines = []
    for item in items:
        if isinstance(item, Cluster):
            clusters[0] += 1
            lines.append(f'{indent}subgraph c{clusters[0]}["{_text(item.label)}"]')
            lines += _items(item.children, names, indent + "  ", clusters)
            lines.append(f"{indent}end")
        else:
            lines.append(f"{indent}{names[item.id]}{_shape(item)}")
    return lines


def _shape(vertex: Vertex) -> str:
    if vertex.is_decision:
        return f'{{"{_text(vertex.label)}"}}'
    detail = f"<br/>{_text(vertex.detail)}" if vertex.detail else ""
    return f'["{_text(vertex.label)}{detail}"]'


def _edge(edge: Edge, names: dict[str, str]) -> str:
    arrow = "-->" if edge.is_data else "-.->"
    label = f'|"{_text(edge.label)}"|' if edge.label else ""
    return f"{names[edge.source]} {arrow}{label} {names[edge.target]}"


def _text(text: str) -> str:
    """Text within quotes: whatever Mermaid or HTML would act on as an entity code."""
    special = set('"#<>&`;\\')
    plain = escape(text).replace("\n", " ")
    return "".join(f"#{ord(char)};" if char in special else char for char in plain)
