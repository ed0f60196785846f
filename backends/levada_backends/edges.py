"""How many edges between tasks a program needs, where an engine keeps each of them."""

from __future__ import annotations

from levada_compiler.diagnostics.diagnostic import Diagnostic
from levada_compiler.program.ir import Use, Value, walk
from levada_compiler.program.references import References

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final

    from levada_compiler.program.ir import Node, Program

#: More take minutes to compile, and megabytes that the engine's scheduler reads again and again.
MAX_EDGES: Final = 100_000
#: How many values tasks compute in all: one that uses a sum of sums computes each of them.
MAX_COMPUTED: Final = 1_000_000


def too_many(program: Program, engine: str, *, lists_values: bool = False) -> Iterator[Diagnostic]:
    """Yield an error if the tasks of a program wait for more than MAX_EDGES others in all.

    A value that branches choose is that of any step on any of their sides. So a task that uses a
    name which a thousand branches assign has a thousand edges, and so has each of the branches.
    Where the file ``lists_values``, a task has those that it computes, at most MAX_COMPUTED in all.
    """
    refer = References(program)
    values: dict[str, int] = {}  #: what a named value is made of: a bit for each named value
    edges = computed = 0
    for node in walk(program.body):
        used = _used(node, values)
        if isinstance(node, Value):
            values[node.id] = used | 1 << len(values)
            continue
        edges += refer.count_of(node)
        computed += used.bit_count() if lists_values else 0
        if edges > MAX_EDGES or computed > MAX_COMPUTED:
            yield _diagnostic(engine, node, edges=edges)
            return


def _used(node: Node, values: Mapping[str, int]) -> int:
    """Return the named values that a node uses, directly or through others."""
    parts = (part for expression in node.expressions() for part in expression.walk())
    names = [part.value for part in parts if isinstance(part, Use)]
    found = 0
    for name in (*names, *node.after):
        found |= values.get(name, 0)
    return found


def _diagnostic(engine: str, node: Node, *, edges: int) -> Diagnostic:
    what = f"{MAX_EDGES:,} edges" if edges > MAX_EDGES else f"{MAX_COMPUTED:,} computed values"
    return Diagnostic(
        "pipeline-too-large",
        f"in {engine} the tasks of this pipeline need more than {what}",
        node.span,
        label="this task waits for every step that its values may come from",
        help="give each branch a name of its own, or compute the value in a step: "
        "a task that uses a name waits for all that the name may be made of",
    )
