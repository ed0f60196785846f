"""Work on many files, spread over the cores: each process takes every n-th of them.

Processes are forked, so they have all that was imported, and nothing has to be sent to them. What
a process could not do, because something was raised in it or because it was killed, is done again
here: so its error is that of one process, and there is a single place where errors are shown.
"""

from __future__ import annotations

import gc
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, TypeVar

    Item = TypeVar("Item")

#: Less than this for a process is not worth the fork and the way back.
_FEWEST = 6
#: A process looks for garbage after so many items. Doing so all the time takes 10% of the work.
_COLLECT_AFTER = 64
_MOST_PROCESSES = 16


def spread(work: Callable[[Item], Any], items: Sequence[Item]) -> list[Any]:
    """Return ``work(item)`` for each item, in order.

    Results are what :mod:`marshal` writes: texts, numbers, tuples, dicts. Whatever ``work`` raises
    is raised here.
    """
    processes = min(_cores(), len(items) // _FEWEST, _MOST_PROCESSES)
    if processes < 2 or not hasattr(os, "fork"):
        return _in_turn(work, items)
    found: dict[int, Any] = {}
    readers: dict[int, int] = {}
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        for number in range(processes):
            readers.update([_start(work, items, range(number, len(items), processes), readers)])
        for sent in _received(list(readers)):
            found.update(_loaded(sent))
    finally:
        _end(readers)
    missing = [number for number in range(len(items)) if number not in found]
    again = _in_turn(work, [items[number] for number in missing])
    found.update(zip(missing, again, strict=True))
    return [found[number] for number in range(len(items))]


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_turn(work: Callable[[Item], Any], items: Sequence[Item]) -> list[Any]:
    return [result for _, result in _worked(work, items, range(len(items)))]


def _worked(
    work: Callable[[Item], Any], items: Sequence[Item], numbers: range
) -> Iterator[tuple[int, Any]]:
    """Yield each number with its result, and look for garbage now and then only."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for count, number in enumerate(numbers, 1):
            yield number, work(items[number])
            if not count % _COLLECT_AFTER:
                gc.collect()
    finally:
        if was_enabled:
            gc.enable()


def _start(
    work: Callable[[Item], Any], items: Sequence[Item], numbers: range, others: Iterable[int]
) -> tuple[int, int]:
    """Fork a process that works on these items; return the end to read from, and its id."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return reading, process
    status = 1
    try:
        os.close(reading)
        for other in others:
            os.close(other)
        gc.freeze()
        with open(writing, "wb") as stream:
            for result in _worked(work, items, numbers):
                stream.write(marshal.dumps(result))
        status = 0
    except BaseException:  # noqa: BLE001 - it is raised again where the item is done again
        status = 1
    finally:
        os._exit(status)  # nothing that the parent is about to do at its end
    raise AssertionError


def _received(ends: list[int]) -> list[bytearray]:
    """All that the processes write, read as it comes: none waits for another one."""
    from select import poll

    waiting = poll()
    sent = {end: bytearray() for end in ends}
    for end in ends:
        waiting.register(end)
    left = len(ends)
    while left:
        for end, _ in waiting.poll():
            chunk = os.read(end, 1 << 20)
            sent[end] += chunk
            if not chunk:
                waiting.unregister(end)
                left -= 1
    return list(sent.values())


def _loaded(sent: bytearray) -> dict[int, Any]:
    """The results that a process has sent before it ended, whole ones only."""
    from io import BytesIO

    found: dict[int, Any] = {}
    stream = BytesIO(sent)
    while True:
        try:
            number, result = marshal.load(stream)  # noqa: S302 - of our own process
        except (EOFError, ValueError, TypeError):
            return found
        found[number] = result


def _end(readers: dict[int, int]) -> None:
    """Wait for the processes; after an interrupt they end since nobody reads what they write."""
    for reading, process in readers.items():
        os.close(reading)
        os.waitpid(process, 0)
