"""An executor that calls Python functions in this process, one at each poll."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from levada import failures, step_function, values
from levada.engine.executor import Attempt, Ended, Executor
from levada.store import Store


class InProcessExecutor(Executor):
    """``choose`` picks which of the started attempts ends next, given how many there are."""

    def __init__(
        self,
        functions: Mapping[str, Callable[..., object]],
        store: Store,
        choose: Callable[[int], int] = lambda _: 0,
    ) -> None:
        self._functions = functions
        self._store = store
        self._choose = choose
        self._started: list[Attempt] = []
        self._cancelled: set[Attempt] = set()
        self.trace: list[tuple[str, tuple[int, ...], int]] = []
        #: in the order in which their functions were called
        self.ended: list[tuple[str, tuple[int, ...]]] = []
        self._started_at: dict[tuple[str, tuple[int, ...]], str] = {}
        #: when each began and was over, by a clock that counts both
        self.times: dict[tuple[str, tuple[int, ...]], tuple[str, str]] = {}
        self._clock = 0

    def lookup(self, attempt: Attempt) -> None:  # noqa: ARG002
        return None

    def start(self, attempt: Attempt) -> None:
        self.trace.append((attempt.node, attempt.map_index, attempt.number))
        self._started.append(attempt)
        self._started_at.setdefault((attempt.node, attempt.map_index), self._now())

    def poll(self, timeout: float | None) -> list[Ended]:  # noqa: ARG002
        if not self._started:
            return []
        attempt = self._started.pop(self._choose(len(self._started)))
        record = self._record(attempt)
        key = attempt.node, attempt.map_index
        self.ended.append(key)
        self.times[key] = self._started_at[key], self._now()
        return [Ended(attempt, record, "")]

    def cancel(self, attempt: Attempt, *, force: bool) -> None:  # noqa: ARG002
        self._cancelled.add(attempt)

    def close(self) -> None:
        self._started.clear()

    def _now(self) -> str:
        self._clock += 1
        return f"{self._clock:09}"

    def _record(self, attempt: Attempt) -> dict[str, Any]:
        if attempt in self._cancelled:
            return {"status": "cancelled", "error": {"kind": "cancelled", "message": "cancelled"}}
        inputs = {name: values.decode(tree, self._store) for name, tree in attempt.inputs.items()}
        try:
            returned = step_function.call(self._functions[attempt.step["function"]], inputs)
        except Exception as error:  # noqa: BLE001
            permanent = bool(getattr(error, "permanent", False))
            described = failures.describe(error, ()) | {"permanent": permanent}
            return {"status": "failed", "error": described}
        artifact = values.save(returned, self._store)
        return {"status": "succeeded", "returns": artifact.as_json(), "error": None}
