"""What the processes that a step starts hand over to the attempt: what they log and what they read.

The attempt's process has a folder with two files: ``attempt.json`` says which attempt it is, and
``tracked.jsonl`` takes a line for each thing that another process logs, and for each file or
variable that a forked process reads (``levada.observe``). A forked process has the
attempt in its memory. One that is started afresh (spawn, forkserver, joblib's loky, a script) finds
``attempt.json`` by the variable LEVADA_ATTEMPT, which it inherits.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from levada.request import StepRequest
    from levada.tracking import Tracker

#: The kind of what a process has observed. Other kinds are those of a tracker.
OBSERVED = "observed"
_ATTEMPT, _TRACKED = "attempt.json", "tracked.jsonl"
#: What the tracker of an attempt does not need of its request; inputs may be large.
_LEFT_OUT = {"inputs": None, "sources": None, "git": None, "environment": None}


class Relay:
    """The two files of an attempt, in a folder of this machine that exists while it runs."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    @property
    def path(self) -> str:
        """What other processes are told of it."""
        return os.path.join(self._folder, _ATTEMPT)

    def open(self, request: StepRequest) -> None:
        """Say which attempt this is. Raises OSError."""
        os.makedirs(self._folder, exist_ok=True)
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump(request.as_json() | _LEFT_OUT, file)

    def send(self, kind: str, entry: object) -> None:
        """Hand something over to the attempt. One write of an appended line is not torn."""
        line = json.dumps([kind, entry]) + "\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        file = os.open(os.path.join(self._folder, _TRACKED), flags, 0o666)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def close(self) -> Iterator[tuple[str, Any]]:
        """Yield what was handed over, and remove the files."""
        with suppress(OSError):
            os.unlink(self.path)
        path = os.path.join(self._folder, _TRACKED)
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.readlines()
            os.unlink(path)
        except OSError:
            lines = []
        with suppress(OSError):  # other files are in it
            os.rmdir(self._folder)
        for line in lines:
            try:
                kind, entry = json.loads(line)
            except ValueError:  # its process was killed as it wrote, or the disk is full
                continue
            yield kind, entry


def tracker(path: str) -> Tracker | None:
    """Return the tracker of the attempt whose file this is; None if the attempt is over."""
    from levada.attempt import Attempt
    from levada.request import StepRequest
    from levada.store import open_store

    try:
        with open(path, encoding="utf-8") as file:
            request = StepRequest.from_json(json.load(file))
    except (OSError, ValueError):
        return None
    return Attempt(request, open_store(request.store), relay=Relay(os.path.dirname(path)))
