"""What an engine tells while a run goes on, for whoever shows it."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from levada.engine.event_types import EventDetails

RUN_STARTED = "run-started"  #: details: pipeline, run_id, parameters, record (the folder)
# Those of a node in a loop have the detail item, too: ``lr=0.1`` (`levada.item_labels`).
NODE_STARTED = "node-started"  #: an attempt starts; details: step
# The details of these three: record, path (of the record in the store), and of the record
# seconds, metrics, error and cache.
ATTEMPT_FAILED = "attempt-failed"
NODE_FINISHED = "node-finished"
NODE_CACHED = "node-cached"
RETRY = "retry"  #: details: delay (seconds until the next attempt); ``attempt`` is the next one
NODE_FAILED = "node-failed"  #: no further attempt; details: error
NODE_SKIPPED = "node-skipped"  #: not started: a branch not taken, or after a failure
WAITING = "waiting"  #: an engine elsewhere has no place for it, or for all; details: reason
WARNING = "warning"  #: something is wrong, and the run goes on; details: text
LOG = "log"  #: details: text (whole lines where possible)
CANCELLING = "cancelling"  #: an interrupt came; details: reason, force
RUN_FINISHED = "run-finished"  #: details: outcome (an :class:`levada.engine.Outcome`)


class Event:
    """One thing that happened.

    ``kind`` is one of the constants of this module; ``node``, ``map_index`` (a tuple of ints or
    None) and ``attempt`` say where, if it is about a node; ``details`` is a dict by kind.
    """

    __slots__ = ("attempt", "details", "kind", "map_index", "node", "time")

    def __init__(
        self,
        kind: str,
        node: str | None = None,
        map_index: tuple[int, ...] | None = None,
        attempt: int | None = None,
        **details: Unpack[EventDetails],
    ) -> None:
        self.kind = kind
        self.node = node
        self.map_index = map_index
        self.attempt = attempt
        self.details = details
        self.time = time.time()

    @property
    def label(self) -> str:
        """The node by its map index: ``train[2]``, ``sub.fit[0.3]``."""
        return node_label(self.node or "", self.map_index)

    @property
    def name(self) -> str:
        """The node as people write it, where this event says the item: ``train[depth=4]``."""
        return node_label(self.node or "", self.map_index, self.details.get("item", ""))

    def __repr__(self) -> str:
        return f"<{self.kind} {self.label} {self.details}>"


def node_label(node: str, map_index: Sequence[int] | None, label: str = "") -> str:
    """A node and the label of its item, or the map index where it has none.

    >>> node_label("fit", (2,), "lr=0.1, depth=4")
    'fit[lr=0.1, depth=4]'
    >>> node_label("fit", (2, 1))
    'fit[2.1]'
    """
    if not map_index:
        return node
    return f"{node}[{label or '.'.join(str(i) for i in map_index)}]"
