"""Tries whether a store can be used from here, and how fast it is."""

from __future__ import annotations

import os
import time

from levada import testing
from levada.store import StoreError, open_store, unlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from levada.store import Store

    #: What was tried, whether it went well, and a sentence about it.
    Finding: TypeAlias = tuple[str, bool, str]

#: Seconds by which the clock of this machine may differ from the store's: S3 takes 15 minutes.
_MOST_SKEW = 60.0
_SPEED_BYTES = 16 << 20
_LATENCIES = 10


def findings(url: str) -> Iterator[Finding]:
    """Yield what a store can and cannot do from here.

    What is written is removed again, but for ``store.json``, by which a store is known.

    Each is what was tried, whether it went well, and a sentence. It ends with the first thing
    without which nothing else can be tried. Raises StoreError for what is no URL of a store.
    """
    store = open_store(url)
    folder = f"tmp/checks-{os.urandom(8).hex()}"
    try:
        for name, check, needed in _CHECKS:
            try:
                said = check(store, folder)
            except (StoreError, testing.StoreFault, OSError) as error:
                yield name, False, str(error)
                if needed:
                    return
            else:
                yield name, True, said
    finally:
        _clean(store, folder)


def _read(store: Store, _folder: str) -> str:
    names = store.list("")
    return f"{len(names)} folders and files at the top" if names else "nothing is there yet"


def _write(store: Store, folder: str) -> str:
    store.prepare()
    store.write_once(f"{folder}/write", b"1")
    return "a document was written"


def _conditions(store: Store, folder: str) -> str:
    testing.documents_are_written_once(store, f"{folder}/once")
    testing.one_of_many_writers_succeeds(store, f"{folder}/many")
    return "of several writers of one document one succeeds"


def _swap(store: Store, folder: str) -> str:
    testing.a_swap_needs_the_tag(store, f"{folder}/swap")
    return "a document is replaced only by who has read it last"


def _delete(store: Store, folder: str) -> str:
    testing.what_is_deleted_is_gone(store, f"{folder}/delete")
    return "what was written can be removed"


def _clock(store: Store, folder: str) -> str:
    skew = store.clock_skew(f"{folder}/clock")
    if abs(skew) > _MOST_SKEW:
        raise StoreError(
            f"the clock of this machine differs by {skew:+.0f} s from the store's; set it"
        )
    return f"it differs by {abs(round(skew, 1))} s"


def _speed(store: Store, folder: str) -> str:
    times = []
    for number in range(_LATENCIES):
        began = time.perf_counter()
        store.write_once(f"{folder}/speed/{number}", b"1")
        times.append(time.perf_counter() - began)
    file, local = store.new_temporary()
    with file:
        file.write(os.urandom(_SPEED_BYTES))
    path = f"{folder}/speed/large"
    try:
        write = _seconds(lambda: store.write_file(path, local))
    finally:
        unlink(local)
    read = _seconds(lambda: _read_all(store, path))
    mib = _SPEED_BYTES / (1 << 20)
    return (
        f"a document takes {sorted(times)[_LATENCIES // 2] * 1000:.0f} ms; {mib:.0f} MiB are"
        f" written with {mib / write:.0f} MiB/s and read with {mib / read:.0f} MiB/s"
    )


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _read_all(store: Store, path: str) -> None:
    with store.open_at(path, 0) as file:
        while file.read(1 << 20):
            pass


def _clean(store: Store, folder: str) -> None:
    try:
        for path, _ in list(store.walk(folder)):
            store.delete(path)
    except (StoreError, OSError):
        return  # The finding about removal says so.


#: What is tried, by what, and whether nothing else can be tried without it.
_CHECKS: tuple[tuple[str, Callable[[Store, str], str], bool], ...] = (
    ("read", _read, True),
    ("write", _write, True),
    ("conditions", _conditions, False),
    ("swap", _swap, False),
    ("remove", _delete, False),
    ("clock", _clock, False),
    ("speed", _speed, False),
)
