"""A run's state: frames (regions being run) and instances (nodes being run)."""

from __future__ import annotations

from levada.artifact import Artifact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from levada.expressions import Variable
    from levada.record_types import ErrorPart

    from .definitions import Definition, Region
    from .executor import Attempt, Ended

WAITING, RUNNING, SUCCEEDED, FAILED, SKIPPED = (
    "waiting",
    "running",
    "succeeded",
    "failed",
    "skipped",
)

#: The kind of failure that no handler catches.
CANCELLED = "cancelled"

#: Where a frame has failed: nodes from this place on are not started.
_NEVER = 1 << 60


class Failure:
    """Why a node failed: ``error`` as in a record, and where it was in the plain Python order.

    ``context`` is the failure that was being handled when this one came up. With ``gave_up`` the
    node had attempts left, which the end of the run kept from starting.
    """

    __slots__ = ("context", "error", "gave_up", "label", "map_index", "node", "order", "record")

    def __init__(
        self,
        instance: Instance,
        error: ErrorPart,
        record: str | None = None,
        *,
        gave_up: bool = False,
    ) -> None:
        self.node = instance.definition.id
        self.map_index = instance.frame.index
        self.label = instance.frame.label or ""
        self.order = instance.order(failing=True)
        self.error = error
        self.record = record
        self.gave_up = gave_up
        self.context: Failure | None = None

    @property
    def rank(self) -> tuple[bool, tuple[int, ...]]:
        """Sort key: the smallest of several failures is the reason why a region failed.

        Plain Python meets the first in the source, and what a ``finally`` raises takes the place of
        what the guard's other regions raised. A failure that another attempt could have
        cured is never the reason: it counts only because the run ended for a different one.
        """
        return self.gave_up, self.order

    @property
    def catchable(self) -> bool:
        """Whether an ``except`` may handle it."""
        return self.error.get("kind") != CANCELLED

    def during(self, context: Failure | None) -> Failure:
        """The same failure, with the one that it interrupted at the end of its chain."""
        last: Failure | None = self
        while last is not None and last is not context:
            if last.context is None:
                last.context = context
                break
            last = last.context
        return self


class Frame:
    """A region being run, in one iteration of the loops around it.

    ``ordinal`` is its place among the frames of its owner: the iteration, or the region's place.
    ``variables`` are those of the loops around it; ``is_repeated`` says that their values are the
    same in another iteration. ``label`` is what people call the iteration, once somebody asked.
    """

    __slots__ = (
        "cutoff",
        "failure",
        "index",
        "is_repeated",
        "label",
        "ordinal",
        "owner",
        "pending",
        "region",
        "variables",
    )

    def __init__(
        self,
        region: Region,
        owner: Instance | None,
        ordinal: int,
        index: tuple[int, ...],
        variables: dict[str, Variable],
        *,
        is_repeated: bool = False,
    ) -> None:
        self.region = region
        self.owner = owner
        self.ordinal = ordinal
        self.index = index
        self.variables = variables
        self.is_repeated = is_repeated
        self.label: str | None = None
        self.pending = len(region.nodes)
        self.cutoff = _NEVER
        self.failure: Failure | None = None


class Instance:
    """A node being run. ``waiting`` counts what it still waits for."""

    __slots__ = (
        "attempt",
        "cached",
        "cutoff",
        "definition",
        "ended",
        "failure",
        "frame",
        "iterations",
        "number",
        "path",
        "pending",
        "returned",
        "seconds",
        "state",
        "touched",
        "unopened",
        "waiting",
    )

    def __init__(self, definition: Definition, frame: Frame) -> None:
        self.definition = definition
        self.frame = frame
        self.state = WAITING
        self.waiting = 0
        #: the attempt that runs or is to be started, and the last one that ended
        self.attempt: Attempt | None = None
        self.ended: Ended | None = None
        #: of the last one that ended: its number, the path of its record, whether it was cached
        self.number = 0
        self.path: str | None = None
        self.cached = False
        #: what the call returned, once it has succeeded
        self.returned: Artifact | None = None
        #: what its attempts took together
        self.seconds = 0.0
        self.failure: Failure | None = None
        #: of a loop, once its items are known
        self.iterations = 1
        #: the iterations of a loop that are still to be opened, with their variables, and whether
        #: another one has the same
        self.unopened: Iterator[tuple[int, dict[str, Variable], bool]] = iter(())
        #: frames of it that are not over yet (a loop's iterations)
        self.pending = 0
        #: whether anything in it was started: a guard that nothing was started in is not entered
        self.touched = False
        #: the iteration from which on nothing is started
        self.cutoff = _NEVER

    def take(self, ended: Ended) -> None:
        """Note the end of an attempt, and of a success only what the rest of the run needs.

        A run may have 100,000 of them.
        """
        record = ended.record
        cache = record.get("cache")
        self.number, self.path = ended.attempt.number, ended.path
        self.seconds += record.get("seconds") or 0.0
        self.ended = ended
        if record["status"] == SUCCEEDED:
            self.cached = cache is not None and cache["hit"]
            self.returned = Artifact.from_json(record["returns"])
            self.returned.share_texts()
            self.attempt = self.ended = None

    @property
    def key(self) -> tuple[str, tuple[int, ...]]:
        """Its name in the run."""
        return self.definition.id, self.frame.index

    def around(self) -> Iterator[tuple[Instance, Frame]]:
        """The instance and its frame, the frame's owner and its frame, and so on outwards."""
        instance: Instance | None = self
        while instance is not None:
            yield instance, instance.frame
            instance = instance.frame.owner

    def order(self, *, failing: bool = False) -> tuple[int, ...]:
        """Its place in the order in which plain Python would run the nodes.

        With ``failing`` what is in a ``finally`` stands before the other regions of its guard.
        """
        places: list[int] = []
        for instance, frame in self.around():
            is_first = failing and frame.region.slot == "final"
            places += [instance.definition.ordinal, -1 if is_first else frame.ordinal]
        return tuple(reversed(places))

    @property
    def at_once(self) -> int:
        """How many iterations of a loop may run at a time, once its items are known."""
        form = self.definition.form
        limit = form.get("max_parallel") if form["kind"] == "loop" else None
        return self.iterations if limit is None else min(limit, self.iterations)

    def siblings(self) -> int:
        """How many iterations of the loops around it may run at a time."""
        count = 1
        for instance, _ in self.around():
            count *= instance.at_once if instance.definition.kind == "loop" else 1
        return count

    def touch(self) -> None:
        """Note that something was started here."""
        for instance, _ in self.around():
            if instance.touched:
                return
            instance.touched = True
