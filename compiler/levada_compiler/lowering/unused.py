"""Names that are assigned something and never read."""

from __future__ import annotations

import ast

from ..front.walking import walk
from ..program.ir import Output, Use
from .values import Lowered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..diagnostics.reports import Reports
    from .frame import Frame


def report(frame: Frame, reports: Reports) -> None:
    """Warn of names that are assigned something and never read."""
    loaded = {
        node.id
        for node in walk(frame.function.node)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    arguments = {
        item.arg for item in ast.walk(frame.function.node.args) if isinstance(item, ast.arg)
    }
    for name, place in frame.locals.items():
        if name in loaded or name in arguments or name.startswith("_"):
            continue
        binding = frame.scope.names.get(name)
        if isinstance(binding, Lowered) and isinstance(binding.expr, Output | Use):
            reports.warning(
                "unused-result",
                frame.span(place),
                f"`{name}` is never used",
                help="use it, return it, or call the step without assigning",
            )
