"""An executor that calls Python functions in this process, one at each poll."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from levada import values
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

    def lookup(self, attempt: Attempt) -> None:  # noqa: ARG002
        return None

    def start(self, attempt: Attempt) -> None:
        self.trace.append((attempt.node, attempt.map_index, attempt.number))
        self._started.append(attempt)

    def poll(self, timeout: float | None) -> list[Ended]:  # noqa: ARG002
        if not self._started:
            return []
        attempt = self._started.pop(self._choose(len(self._started)))
        return [Ended(attempt, self._record(attempt), "")]

    def cancel(self, attempt: Attempt, *, force: bool) -> None:  # noqa: ARG002
        self._cancelled.add(attempt)

    def close(self) -> None:
        self._started.clear()

    def _record(self, attempt: Attempt) -> dict[str, Any]:
        if attempt in self._cancelled:
            return {"status": "cancelled", "error": {"kind": "cancelled", "message": "cancelled"}}
        inputs = {name: values.decode(tree, self._store) for name, tree in attempt.inputs.items()}
        try:
            returned = self._functions[attempt.step["function"]](**inputs)
        except Exception as error:  # noqa: BLE001
            permanent = bool(getattr(error, "permanent", False))
            described = {"kind": "error", "type": type(error).__name__, "message": str(error)}
            return {"status": "failed", "error": described | {"permanent": permanent}}
        artifact = values.save(returned, self._store)
        return {"status": "succeeded", "returns": artifact.as_json(), "error": None}
