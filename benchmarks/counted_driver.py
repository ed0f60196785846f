"""A driver that says what it asked of the API server: `python -m benchmarks.counted_driver FOLDER`.

At its end it writes to the file that COUNTS names: how many requests of each kind it sent, and the
seconds from each change that it was told of to the next Job that it sent.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from levada.driver import __main__ as driver
from levada.driver.api import Api

counts: Counter[str] = Counter()
delays: list[float] = []
#: when the first change of a pod came that no Job has followed yet
told: list[float] = []
#: the pods that are known to have ended
ended: set[str] = set()


class CountingApi(Api):
    """Counts, and otherwise does what an `Api` does."""

    def _ask(self, method: str, path: str, body: bytes | None, form: str) -> dict[str, Any]:
        place = path.partition(f"/{self.namespace}/")[2]
        counts[f"{method} {re.split('[/?]', place)[0]}"] += 1
        if method == "POST" and told:
            delays.append(time.monotonic() - told[0])
            told.clear()
        return super()._ask(method, path, body, form)

    def watch(self, kind: str, version: str, **selectors: str) -> Iterator[dict[str, Any]]:
        counts[f"WATCH {kind}"] += 1
        for event in super().watch(kind, version, **selectors):
            name = event["object"]["metadata"].get("name", "")
            if kind == "pods" and name not in ended and "terminated" in json.dumps(event):
                ended.add(name)
                told[:] = told or [time.monotonic()]
            yield event

    def sibling(self) -> Api:
        return CountingApi(*self._address, self.namespace, self._account, self._tls)


if __name__ == "__main__":
    driver.Api = CountingApi  # type: ignore[misc]
    code = driver.main(sys.argv[1:])
    Path(os.environ["COUNTS"]).write_text(json.dumps({"counts": counts, "delays": delays}))
    sys.exit(code)
