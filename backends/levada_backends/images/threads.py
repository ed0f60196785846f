"""Several things at once, until one of them fails or the user has enough."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], at_once: int
) -> list[Result]:
    """Call a function with each item; give the results in the items' order.

    The first exception is raised after the calls that are under way have ended. An interrupt does
    not wait for them: who catches it ends the process.
    """
    pool = ThreadPoolExecutor(at_once)
    is_waited_for = True
    try:
        return list(pool.map(function, items))
    except KeyboardInterrupt:
        is_waited_for = False
        raise
    finally:
        pool.shutdown(wait=is_waited_for, cancel_futures=True)
