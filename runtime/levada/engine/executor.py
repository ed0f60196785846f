"""How the interpreter has attempts of steps run: an :class:`Executor` starts, polls and cancels."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from levada.plan_types import PlanStep, Settings
    from levada.record_types import Record, RecordEnd
    from levada.trees.tree_types import Tree


class Attempt:
    """One attempt of one call: what to run.

    ``inputs`` are trees (see ``levada.values``) by parameter, ``sources`` the expressions that
    gave them; ``step`` and ``settings`` are those of the plan. ``siblings`` is how many iterations
    the loops around the call have. ``label`` is what people call this one (`levada.item_labels`).
    """

    __slots__ = (
        *("inputs", "label", "map_index", "node", "number", "settings", "siblings", "sources"),
        "step",
    )

    def __init__(
        self,
        node: str,
        map_index: tuple[int, ...],
        number: int,
        step: PlanStep,
        settings: Settings,
        inputs: dict[str, Tree],
        sources: dict[str, str],
        siblings: int = 1,
        label: str = "",
    ) -> None:
        self.node = node
        self.map_index = map_index
        self.number = number
        self.step = step
        self.settings: Any = settings  # `Settings`; targets take them as a plain dict
        self.inputs = inputs
        self.sources = sources
        self.siblings = siblings
        self.label = label

    def next(self) -> Attempt:
        """The same call, tried once more."""
        return Attempt(
            self.node,
            self.map_index,
            self.number + 1,
            self.step,
            self.settings,
            self.inputs,
            self.sources,
            self.siblings,
            self.label,
        )


class Ended:
    """An attempt that is over, and its record (``levada.record/1``), or what is needed of it."""

    __slots__ = ("attempt", "path", "record")

    def __init__(self, attempt: Attempt, record: Record | RecordEnd, path: str) -> None:
        self.attempt = attempt
        self.record = record
        self.path = path


class Executor:
    """Runs attempts somewhere. The local engine forks them, a driver makes Jobs of them."""

    def lookup(self, attempt: Attempt) -> Ended | None:
        """The end of the attempt if the cache has it, so that nothing needs to be started."""
        raise NotImplementedError

    def start(self, attempt: Attempt) -> None:
        """Start an attempt; its end is reported by :meth:`poll`, whatever happens to it."""
        raise NotImplementedError

    def poll(self, timeout: float | None) -> list[Ended]:
        """The attempts that are over; waits at most ``timeout`` seconds for the first.

        It may return an empty list earlier, when something else asks for attention.
        """
        raise NotImplementedError

    def cancel(self, attempt: Attempt, *, force: bool) -> None:
        """Ask a running attempt to end, or with ``force`` end it now. :meth:`poll` reports it."""
        raise NotImplementedError

    def wake(self) -> None:
        """Have :meth:`poll` return soon; may be called from a signal handler."""
        raise NotImplementedError

    def close(self) -> None:
        """End whatever still runs and free what was taken."""
