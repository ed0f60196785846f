"""``levada store``: what concerns a store and no run of it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click
from levada_compiler.render.cells import one_line
from levada_compiler.render.colours import palette

from . import console, stores

if TYPE_CHECKING:
    from collections.abc import Callable


@click.group()
@console.examples(
    "levada store check s3://bucket/prefix          whether it can be used from here",
    "levada store copy .levada s3://bucket/prefix   take along what there is",
)
def command() -> None:
    """Try a store, or copy one."""


@command.command()
@click.argument("url", metavar="[URL]", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON, one finding a line.")
@console.examples(
    "levada store check                        the store of this project",
    "levada store check s3://bucket/prefix",
    "levada store check /mnt/shared/levada --json",
)
def check(url: str | None, as_json: bool) -> int:
    """Try whether a store can be used from here, and how fast it is.

    URL is a folder, or s3://bucket/prefix, gs://bucket/prefix, az://container/prefix; by default
    that of the project. Documents are written below `tmp/`, and removed again. The exit status
    is 1 if something that a run needs is missing.
    """
    from levada.stores import health

    colours = palette("auto", sys.stdout)
    place = url or stores.url(stores.here())
    is_fine = True

    def work() -> None:
        nonlocal is_fine
        for name, went_well, said in health.findings(place):
            is_fine = is_fine and went_well
            if as_json:
                found = {"check": name, "ok": went_well, "message": said}
                sys.stdout.write(f"{json.dumps(found)}\n")
            else:
                word = (
                    colours.paint("good", "ok    ")
                    if went_well
                    else colours.paint("error", "failed")
                )
                sys.stdout.write(f"{word}  {name:10}  {one_line(said)}\n")
            sys.stdout.flush()

    _guarded(work)
    return 0 if is_fine else 1


@command.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--json", "as_json", is_flag=True, help="The counts at the end as JSON.")
@console.examples(
    "levada store copy .levada s3://bucket/prefix",
    "levada store copy s3://bucket/prefix /mnt/backup/levada",
)
def copy(source: str, target: str, as_json: bool) -> int:
    """Copy all of a store to another one.

    What is there already stays, so a copy that was interrupted goes on when it is started again.
    Each blob is verified on the way. The exit status is 1 if something could not be copied.
    """
    from levada.stores import transfer

    counts = _Counts()
    faults: list[str] = []

    def work() -> None:
        faults.extend(transfer.copy(stores.opened(source), stores.opened(target), counts.add))

    try:
        _guarded(work)
    finally:
        counts.end()
    for fault in faults:
        sys.stderr.write(f"warning: {one_line(fault)}\n")
    if as_json:
        sys.stdout.write(f"{json.dumps({**counts.as_json(), 'faults': faults})}\n")
    else:
        sys.stdout.write(f"{counts}\n")
    return 1 if faults else 0


class _Counts:
    """What was copied so far, shown on a terminal while it goes on."""

    def __init__(self) -> None:
        import threading

        self._lock = threading.Lock()
        self._copied = self._bytes = self._there = 0
        self._live = sys.stderr.isatty()

    def add(self, _path: str, size: int, was_copied: bool) -> None:
        """Count one object."""
        with self._lock:
            self._copied += was_copied
            self._bytes += size if was_copied else 0
            self._there += not was_copied
            if self._live and (self._copied + self._there) % 20 == 0:
                sys.stderr.write(f"\r\x1b[K{self}")
                sys.stderr.flush()

    def end(self) -> None:
        """Remove what was shown."""
        if self._live:
            sys.stderr.write("\r\x1b[K")

    def as_json(self) -> dict[str, int]:
        """The counts by name; ``bytes`` are those that were copied."""
        return {"copied": self._copied, "bytes": self._bytes, "already_there": self._there}

    def __str__(self) -> str:
        mib = self._bytes / (1 << 20)
        return f"copied {self._copied} objects ({mib:.1f} MiB); {self._there} were there already"


def _guarded(work: Callable[[], None]) -> None:
    from levada.store import StoreError

    try:
        work()
    except BrokenPipeError:  # nobody reads on: no fault of the store
        raise
    except (StoreError, OSError) as error:
        raise click.ClickException(str(error)) from error
