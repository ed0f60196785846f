"""Which step of one run is which step of another: by node, and in loops by item."""

from __future__ import annotations

from levada.engine.events import node_label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada_records.runs import Run
    from levada_records.steps import Step


class AlignedStep:
    """A step as the runs have it: ``steps`` has None for a run without it."""

    __slots__ = ("label", "node", "steps")

    def __init__(self, node: str, label: str, steps: list[Step | None]) -> None:
        self.node = node
        self.label = label
        self.steps = steps

    @property
    def is_shared(self) -> bool:
        """Whether at least two runs have a record of it."""
        return sum(step is not None and step.record is not None for step in self.steps) > 1


def aligned_steps(runs: Sequence[Run]) -> list[AlignedStep]:
    """Match the steps of runs, in the order of the first run that has each node.

    The items of a loop are matched by their labels (``fit[lr=0.1]``), as far as the runs have some
    in common, and else by their places in the loop.
    """
    of_node: dict[str, list[list[Step]]] = {}
    for place, run in enumerate(runs):
        for step in run.steps:
            of_node.setdefault(step.node, [[] for _ in runs])[place].append(step)
    return [each for node, found in of_node.items() for each in _of_node(node, found)]


def _of_node(node: str, found: list[list[Step]]) -> list[AlignedStep]:
    tables = [{step.name: step for step in steps} for steps in found]
    are_unique = all(len(table) == len(steps) for table, steps in zip(tables, found, strict=True))
    there = [table.keys() for table in tables if table]
    if not are_unique or (len(there) > 1 and not _overlap(there)):
        tables = [{node_label(node, step.map_index): step for step in steps} for steps in found]
    labels = dict.fromkeys(label for table in tables for label in table)
    return [AlignedStep(node, label, [table.get(label) for table in tables]) for label in labels]


def _overlap(tables: Sequence[object]) -> bool:
    first, *others = tables
    return any(set(first) & set(other) for other in others)  # type: ignore[call-overload]
