"""Calls the functions that `on_failure` names, each in a process of its own.

The engine imports nothing of the project. A function that fails, hangs or is not there does not
change how the run ends; it says so on standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress

from levada import failures
from levada.output_capture import OutputCapture
from levada.redaction import secret_variables

from . import events
from .definitions import calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Mapping
    from typing import Any

    from levada.plan_types import Plan

    from .events import Event
    from .outcome import Outcome

#: Seconds that the functions have after the end of the run; then they are killed.
PATIENCE = 60.0


class Callbacks:
    """The failures of one run, each told once. ``search`` holds the folders of its modules.

    ``context`` is what all functions are given, as JSON. ``secrets`` are the variables whose values
    are masked in what they print.
    """

    def __init__(
        self,
        plan: Plan,
        project: str,
        search: list[str],
        context: Mapping[str, object],
        secrets: Iterable[str] = (),
    ) -> None:
        self._plan = plan
        self._project = project
        self._search = search
        self._context = context
        self._secrets = sorted(secrets)
        self._settings = {form["id"]: form["settings"] for form in calls(plan["body"])}
        self._started: list[subprocess.Popen[bytes]] = []

    def take(self, event: Event) -> None:
        """Call the function of a step that has failed, after its last attempt."""
        if event.kind == events.NODE_FAILED:
            settings = self._settings.get(event.node or "")
            reference = None if settings is None else settings.get("on_failure")
            map_index = list(event.map_index or ()) or None
            place = {"node": event.node, "map_index": map_index, "attempt": event.attempt}
            self._start(reference, event.details.get("error"), place)

    def take_outcome(self, outcome: Outcome) -> None:
        """Call the function of the pipeline if the run has failed."""
        if outcome.status == "failed" and outcome.error is not None:
            place = {"node": None, "map_index": None, "attempt": None}
            self._start(self._plan["settings"].get("on_failure"), outcome.error, place)

    def close(self) -> None:
        """Wait for the functions, for as long as they may take."""
        deadline = time.monotonic() + PATIENCE
        for process in self._started:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except Exception:  # noqa: BLE001  subprocess.TimeoutExpired; imported only if needed
                process.kill()
                process.wait()
                _say(f"on_failure: a function took longer than {PATIENCE:g} s, and was ended")

    def _start(
        self, reference: str | None, error: Mapping[str, object] | None, place: Mapping[str, object]
    ) -> None:
        if not reference or error is None or error.get("kind") == "cancelled":
            return
        import subprocess

        runtime = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
        code = f"import sys; sys.path.append({runtime!r}); from {__name__} import call; call()"
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.PIPE,
            stdout=2,  # standard output is for the run's answer
            cwd=self._project,
            start_new_session=True,  # Ctrl-C and the end of the terminal are not for it
        )
        given = {**self._context, **place, "error": error}
        text = json.dumps(
            {
                "function": reference,
                "search": self._search,
                "secrets": self._secrets,
                "context": given,
            }
        )
        if process.stdin is not None:
            with suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(text.encode())
        self._started.append(process)


def call() -> None:
    """Call the function that standard input names. It is a process of its own."""
    given = json.load(sys.stdin)
    secrets = secret_variables(given["secrets"], os.environ).values()
    if not secrets:
        sys.exit(_call(given))
    output = OutputCapture(None, echo=True, secrets=secrets)
    output.start()
    try:
        status = _call(given)
    finally:
        output.stop()
    sys.exit(status)


def _call(given: dict[str, Any]) -> int:
    """Call the function; gives the exit status. What it raises is printed here."""
    sys.path[:0] = [folder for folder in given["search"] if folder not in sys.path]
    context = given["context"]
    error = context["error"]
    kind = type(error["type"], (Exception,), {"__module__": error["module"]})
    context["exception"] = kind(error["message"])
    context["reason"] = f"{error['type']}: {error['message']}"
    module, _, name = given["function"].partition(":")
    try:
        from importlib import import_module

        getattr(import_module(module), name)(context)
    except SystemExit as end:
        if isinstance(end.code, int) or end.code is None:
            return end.code or 0
        _say(str(end.code))  # as Python does
        return 1
    except BaseException as problem:  # noqa: BLE001  whatever it raises is the function's own
        described = failures.describe(problem, given["search"])
        _say(f"on_failure: {given['function']} failed: {described['type']}: {problem}")
        if described["frames"]:
            _say("\n".join(described["traceback"]))
        return 1
    return 0


def _say(text: str) -> None:
    with suppress(OSError):
        os.write(2, f"{text}\n".encode("utf-8", "backslashreplace"))
