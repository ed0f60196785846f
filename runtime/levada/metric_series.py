"""The metrics of one attempt: written while it runs, and summed up at its end.

Each value is a line of the file ``metrics`` as soon as it is logged (JSON: name, value, step and
time), so that it can be read while the step runs. At the end the record has the last value of each
metric, its least and largest one, how many there were, and the digest of a blob with all series:
``{"loss": {"step": […], "time": […], "value": […]}, …}``. Of a metric with one value that is all.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from levada.record_types import MetricEntry, MetricValue, Series
    from levada.store import Store

FILE = "metrics"


class MetricSeries:
    """Takes the values of an attempt's metrics."""

    def __init__(self) -> None:
        self._series: dict[str, Series] = {}
        self._file = -1

    def open(self, folder: str) -> None:
        """Write what comes from now on to the file in this folder too, as far as it can be."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with suppress(OSError):  # the record will have them
            self._file = os.open(os.path.join(folder, FILE), flags, 0o666)

    def close(self, folder: str) -> None:
        """Remove the file: from now on the values are in a record."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            with suppress(OSError):
                os.unlink(os.path.join(folder, FILE))

    def add(self, value: MetricValue) -> None:
        """Take one value."""
        found = self._series.setdefault(value["name"], {"step": [], "time": [], "value": []})
        found["step"].append(value["step"])
        found["time"].append(value["time"])
        found["value"].append(value["value"])
        if self._file >= 0:
            line = json.dumps([value["name"], value["value"], value["step"], value["time"]])
            with suppress(OSError):
                os.write(self._file, f"{line}\n".encode())

    def entries(self, store: Store) -> list[MetricEntry]:
        """Give what a record says of each metric; the series are stored. Raises StoreError."""
        several = {name: each for name, each in self._series.items() if len(each["value"]) > 1}
        digest = ""
        if several:
            text = json.dumps(several, separators=(",", ":"), ensure_ascii=False)
            digest = store.put_blob(text.encode("utf-8", "surrogatepass"))
        return [_entry(name, each, digest) for name, each in self._series.items()]


def lines(data: Iterable[bytes]) -> Iterator[MetricValue]:
    """Read pieces of the file ``metrics``; a line that was cut short or damaged is left out."""
    rest = b""
    for piece in data:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            try:
                name, value, step, time = json.loads(line)
            except (ValueError, TypeError, RecursionError):
                continue
            if not (isinstance(name, str) and isinstance(value, (int, float, str))):
                continue
            yield {"name": name, "value": value, "step": step, "time": time}


def _entry(name: str, series: Series, digest: str) -> MetricEntry:
    entry: MetricEntry = {
        "name": name,
        "value": series["value"][-1],
        "step": series["step"][-1],
        "time": series["time"][-1],
    }
    if len(series["value"]) > 1:
        entry["count"] = len(series["value"])
        entry["series"] = digest
        numbers = [value for value in series["value"] if not isinstance(value, str)]
        if numbers:
            entry["min"], entry["max"] = min(numbers), max(numbers)
    return entry
