"""An attempt on its way from an engine to the process that runs it, as JSON.

With the request goes what the engine found in the cache, so that the process need not look again.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from levada.cache import Lookup
    from levada.request import StepRequest


def content(request: dict[str, Any], looked_up: Lookup | None) -> dict[str, Any]:
    """What to hand over: the request as JSON and the miss, if the cache was asked."""
    found = looked_up and [looked_up.key, looked_up.parts, looked_up.reasons]
    return {"request": request, "looked_up": found}


def read(text: bytes) -> tuple[StepRequest, Lookup | None]:
    """What was handed over."""
    import json

    from levada.cache import Lookup
    from levada.request import StepRequest

    given = json.loads(text)
    looked_up = None
    if given["looked_up"] is not None:
        key, parts, reasons = given["looked_up"]
        looked_up = Lookup(key, parts, None, reasons)
    return StepRequest.from_json(given["request"]), looked_up


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
        print(f"levada: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0 if record["status"] == "succeeded" else 1
