"""An attempt on its way from an engine to the process that runs it, as JSON.

It is a request in its computed form (``levada.task_request``). Its field ``looked_up`` has what the
engine found in the cache, so that the process need not look again.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from levada.cache import Lookup
    from levada.request import StepRequest


#: What stands before a sentence for the engine, in the place of a record.
SAID = "levada: "


def content(request: dict[str, Any], looked_up: Lookup | None) -> dict[str, Any]:
    """Return what to hand over: the request as JSON, with the miss if the cache was asked."""
    if looked_up is None:
        return request
    names = ("key", "parts", "reasons", "warnings")
    return {**request, "looked_up": {name: getattr(looked_up, name) for name in names}}


def read(text: bytes) -> tuple[StepRequest, Lookup | None]:
    """Read what was handed over. Raises UsageError."""
    from levada.task_request import json_object

    return parse(json_object(text.decode(), "the request"))


def parse(given: dict[str, Any]) -> tuple[StepRequest, Lookup | None]:
    """Return the request that was handed over, and what the cache had. Raises UsageError."""
    from levada.cache import Lookup
    from levada.request import StepRequest

    found = given.get("looked_up")
    request = {name: value for name, value in given.items() if name != "looked_up"}
    looked_up = found and Lookup(
        *(found["key"], found["parts"], found.get("entry"), found["reasons"]),
        found.get("warnings"),
    )
    return StepRequest.from_json(request), looked_up


def run(request: StepRequest, looked_up: Lookup | None, start: str = "fresh") -> int:
    """Run the attempt in this process, which ends after it; gives the exit code.

    ``start`` is ``fork`` where the process was forked with distributions loaded.
    """
    import sys

    from levada import runner
    from levada.store import StoreError

    try:
        record = runner.run(request, looked_up=looked_up, ends_process=True, start=start)
    except StoreError as error:  # there is no place for a record that would say so
        print(f"{SAID}{error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0 if record["status"] == "succeeded" else 1
