"""Pictures of a pipeline: Mermaid text and SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from levada_compiler.program.ir import Program

FORMATS = ("mermaid", "svg")


def draw(program: Program, form: str) -> str:
    """The picture of a program in one of :data:`FORMATS`."""
    from .model import graph

    if form == "svg":
        from .svg import svg

        return svg(graph(program))
    from .mermaid import mermaid

    return mermaid(graph(program))
