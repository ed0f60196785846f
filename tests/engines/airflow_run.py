"""What a test reads of a run: its state, its tasks, what they returned and wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .airflow_api import Api, ApiError, quote

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Task:
    """One task instance as it was when the run was read; `map_index` is -1 where there is none.

    `state` is None for a task that was not looked at. `duration` is in seconds.
    """

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    duration: float | None


@dataclass(slots=True)
class Run:
    """One run of a DAG. `state` and `tasks` are those of the last look at it."""

    api: Api = field(repr=False)
    logs: Path = field(repr=False)
    dag_id: str
    run_id: str
    conf: dict[str, Any]
    state: str = "queued"
    tasks: tuple[Task, ...] = ()

    def refresh(self) -> Run:
        """Look at the run and its tasks again."""
        self.state = self.api.get(self._path)["state"]
        instances = self.api.get_all(f"{self._path}/taskInstances", "task_instances")
        tasks = [
            Task(one["task_id"], one["map_index"], one["state"], one["try_number"], one["duration"])
            for one in instances
        ]
        self.tasks = tuple(sorted(tasks, key=lambda task: (task.task_id, task.map_index)))
        return self

    def task(self, task_id: str, map_index: int = -1) -> Task:
        """The task instance; `KeyError` if there is none."""
        for task in self.tasks:
            if (task.task_id, task.map_index) == (task_id, map_index):
                return task
        raise KeyError(f"{task_id}[{map_index}] is not in {self.states()}")

    def states(self) -> dict[str, str | list[str | None] | None]:
        """The state of each task, a list by map index for a task that was expanded."""
        found: dict[str, Any] = {}
        for task in self.tasks:
            if task.map_index < 0:
                found[task.task_id] = task.state
            else:
                found.setdefault(task.task_id, []).append(task.state)
        return found

    def xcom(self, task_id: str, map_index: int = -1, key: str = "return_value") -> Any:
        """What the task returned; `KeyError` if it returned nothing."""
        query = {"map_index": map_index, "stringify": "false"}
        path = f"{self._path}/taskInstances/{quote(task_id)}/xcomEntries/{quote(key)}"
        try:
            return self.api.get(path, **query)["value"]
        except ApiError as error:
            if error.status == 404:
                raise KeyError(f"{task_id}[{map_index}] has no XCom {key!r}") from None
            raise

    def log(self, task_id: str, map_index: int = -1, attempt: int | None = None) -> str:
        """What an attempt, else the last, logged, line by line; "" if it never started."""
        folder = self.logs / f"dag_id={self.dag_id}" / f"run_id={self.run_id}"
        folder /= f"task_id={task_id}"
        if map_index >= 0:
            folder /= f"map_index={map_index}"
        number = max(1, self.task(task_id, map_index).try_number) if attempt is None else attempt
        file = folder / f"attempt={number}.log"
        return _readable(file.read_text(errors="replace")) if file.is_file() else ""

    def describe(self) -> str:
        """The run for a failed test: its tasks, and the end of the logs of those that failed."""
        lines = [f"{self.dag_id} {self.run_id}: {self.state}"]
        for task in self.tasks:
            lines.append(f"  {task.task_id}[{task.map_index}] {task.state} try {task.try_number}")
            if task.state == "failed":
                tail = self.log(task.task_id, task.map_index).splitlines()[-30:]
                lines.extend(f"    | {line}" for line in tail)
        return "\n".join(lines)

    @property
    def _path(self) -> str:
        return f"/dags/{quote(self.dag_id)}/dagRuns/{quote(self.run_id)}"


def _readable(text: str) -> str:
    """The text of a log: 3.x writes an object of JSON a line, 2.x plain lines."""
    return "\n".join(_line(line) for line in text.splitlines())


def _line(line: str) -> str:
    if not line.startswith("{"):
        return line
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict) or "event" not in entry:
        return line
    errors = entry.get("error_detail") or []
    detail = "".join(f"\n{one['exc_type']}: {one['exc_value']}" for one in errors)
    return f"{entry['event']}{detail}"
