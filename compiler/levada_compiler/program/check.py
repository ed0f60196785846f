"""What can be said of a whole program once it is lowered."""

from __future__ import annotations

import sys

from .ir import RUN_VALUES, Call, walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..diagnostics.reports import Reports
    from .ir import Node, Step


def called_steps(nodes: Iterable[Node]) -> set[str]:
    """Return the keys of the steps that are called."""
    return {node.step for node in walk(nodes) if isinstance(node, Call)}


def hidden_modules(steps: tuple[Step, ...], reports: Reports) -> None:
    """Warn of modules of steps that are called like one of Python's own, one step each."""
    named: dict[str, Step] = {}
    for step in steps:
        named.setdefault(step.module.partition(".")[0], step)
    for name, step in named.items():
        if step.module == RUN_VALUES:
            continue
        if name in sys.stdlib_module_names or name == "levada":
            reports.warning(
                "module-name",
                step.span,
                f"the module of `{step.function}` is called `{name}`, as one that comes with "
                "Python or Levada: one hides the other",
                help="rename it: a step cannot be imported where the other one is loaded before",
            )
