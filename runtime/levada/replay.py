"""Runs an attempt of a run once more, in this process, and records nothing of it.

It works in a folder that whoever starts it makes and removes; standard input and output are the
user's, for a debugger. ``order.json`` in it has ``request`` (a computed request, as in
`levada.request`) and ``debug``: ``""``, ``"failure"`` to look at where the step failed, or
``"start"`` to stop at its first line. ``answer.json`` is written at the end: ``status``
(``succeeded``, ``failed``, or ``left`` where the user left the debugger), ``seconds``, and
``error``, ``returns``, ``outputs`` and ``metrics`` as in a record. ``store`` has what the step
stored.
"""

from __future__ import annotations

import json
import sys
from time import monotonic

from levada import runner, values
from levada.errors import InputError
from levada.request import StepRequest
from levada.store import MissingBlob, Store
from levada.stores.directory import DirectoryStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

    from levada.store import Names


class ScratchStore(DirectoryStore):
    """A store in a folder, that has the blobs of another store too. Nothing is written to that."""

    def __init__(self, folder: str, behind: Store) -> None:
        super().__init__(folder)
        self._behind = behind

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a blob of either store. Raises MissingBlob."""
        try:
            return super().open_blob(digest)
        except MissingBlob:
            return self._behind.open_blob(digest)

    def blob_path(self, digest: str) -> str | None:
        """Return the path of a blob, if it has one on this machine."""
        return super().blob_path(digest) or self._behind.blob_path(digest)

    def local_folders(self) -> Names:
        """Return the folders of both."""
        return [*super().local_folders(), *self._behind.local_folders()]


class Replay(runner.Run):
    """One attempt, run without a record."""

    def __init__(self, request: StepRequest, folder: str, debug: str = "") -> None:
        super().__init__(request)
        self.store = ScratchStore(folder, self.store)
        self.store.prepare()
        self.attempt.store = self.store
        self._debug = debug
        self._began = monotonic()
        self.has_left = False

    def answer(self) -> dict[str, Any]:
        """Run the attempt and say what became of it."""
        self.attempt.begin_files()
        signals = runner.Signals(held=True)
        with signals:
            self._guarded(lambda: self._verified(signals))
            seconds = monotonic() - self._began
            runner.disarm()
            if self.attempt.error is not None and not self.has_left:
                self._print_error()
            self.attempt.finish_metrics()
        attempt = self.attempt
        return {
            "status": "left" if self.has_left else "failed" if attempt.error else "succeeded",
            "seconds": round(seconds, 6),
            "error": attempt.error,
            "returns": None if attempt.returns is None else attempt.returns.as_json(),
            "outputs": attempt.outputs,
            "metrics": attempt.metrics,
        }

    def _verified(self, signals: runner.Signals) -> None:
        for name, tree in self.request.inputs.items():
            if not values.verify(tree, self.store):
                raise InputError(
                    f"the input {name!r} is missing in the store, or damaged: run the step that"
                    " made it again"
                )
        self._began = monotonic()
        self._execute(signals)

    def _tracked(self, function: Callable[..., object], inputs: dict[str, object]) -> object:
        if not self._debug:
            return super()._tracked(function, inputs)
        import pdb
        from bdb import BdbQuit

        try:
            stops = self._debug == "start"
            return super()._tracked(_stopping(function) if stops else function, inputs)
        except BdbQuit:
            self.has_left = True
            raise
        except Exception as error:
            if self._debug == "failure":
                runner.say(f"{type(error).__name__}: {error}")
                pdb.post_mortem(error.__traceback__)
            raise


def _stopping(function: Callable[..., object]) -> Callable[..., object]:
    """Return a function that calls another one in a debugger, which stops at its first line."""
    import pdb
    from bdb import BdbQuit
    from functools import wraps

    class Debugger(pdb.Pdb):
        has_left = False

        def set_quit(self) -> None:
            self.has_left = True
            super().set_quit()

    @wraps(function)
    def stopping(*args: object, **named: object) -> object:
        debugger = Debugger()
        returned = debugger.runcall(function, *args, **named)
        if debugger.has_left:  # `runcall` returns None then
            raise BdbQuit
        return returned

    return stopping


def main(folder: str) -> int:
    """Carry out the order in a folder, and write the answer; gives the exit code."""
    with open(f"{folder}/order.json", "rb") as file:
        order = json.loads(file.read())
    request = StepRequest.from_json(order["request"])
    answer = Replay(request, f"{folder}/store", order["debug"]).answer()
    with open(f"{folder}/answer.json", "wb") as file:
        file.write(json.dumps(answer).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
