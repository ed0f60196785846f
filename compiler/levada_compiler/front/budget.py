"""What one compilation may spend, in all, on constants and on the program that it makes."""

from __future__ import annotations

from contextlib import contextmanager

from levada.operations import Budget, TooLargeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class CompilationBudget(Budget):
    """The steps and bytes of one compilation, which everything in it draws from.

    >>> budget = CompilationBudget(steps=10)
    >>> budget.spend(11)
    Traceback (most recent call last):
    levada.operations.errors.TooLargeError: this takes too long to compute; compute it in a step
    >>> budget.spend(10)
    """

    __slots__ = ()

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """Give back half of what was left before the block, if the block raises.

        So the constants behind one that is too large are checked too. All evaluations together
        take at most twice the budget: each that fails leaves half as much for the next one.
        """
        steps, bytes_ = self.steps, self.bytes
        try:
            yield
        except BaseException:
            self.steps = max(self.steps, steps // 2)
            self.bytes = max(self.bytes, bytes_ // 2)
            raise

    def spend(self, steps: int, bytes: int = 0) -> None:  # noqa: A002
        """Take ``steps`` and ``bytes`` from the budget. Raises TooLargeError if it has less."""
        if bytes > self.bytes:
            raise TooLargeError("the result is too large")
        if steps > self.steps:
            raise TooLargeError("this takes too long to compute")
        self.steps -= steps
        self.bytes -= bytes
