"""The budget of one evaluation: what bounds its time and memory, whatever the input."""

from __future__ import annotations

from levada.operations.errors import TooLargeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: A step is work of about a microsecond.
STEPS: Final = 1_000_000
BYTES: Final = 64_000_000


class Budget:
    """Counts down the steps and bytes that an evaluation may still use.

    Each operation calls :meth:`spend` before it computes, with a price that it derives from the
    sizes of its operands. ``bytes`` counts everything that was ever allocated, so it bounds the
    peak as well.

    >>> Budget(steps=10).spend(11)
    Traceback (most recent call last):
    levada.operations.errors.TooLargeError: this takes too long to compute; compute it in a step
    """

    __slots__ = ("bytes", "steps")

    def __init__(self, steps: int = STEPS, bytes: int = BYTES) -> None:  # noqa: A002
        self.steps = steps
        self.bytes = bytes

    def spend(self, steps: int, bytes: int = 0) -> None:  # noqa: A002
        """Take ``steps`` and ``bytes`` from the budget. Raises TooLargeError if it has less."""
        self.steps -= steps
        self.bytes -= bytes
        if self.bytes < 0:
            raise TooLargeError("the result is too large")
        if self.steps < 0:
            raise TooLargeError("this takes too long to compute")
