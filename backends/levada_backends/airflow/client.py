"""Deploys DAG files, and runs them on an Airflow 2 or 3."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levada.engine import new_run_id
from levada_compiler import client as protocol
from levada_compiler.client import (
    ClientError,
    NotDeployedError,
    Run,
    RunState,
    StepState,
    refuse_large,
    text_option,
)
from levada_compiler.slotted import replace

from . import deployed, run_parameters, task_log, task_states
from .dag_folder import DagFolder
from .rest import Api, RefusedError, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from levada_compiler.client import Change, Compiled, Request

#: The task that records what the pipeline returned.
_RETURN = "return"
#: Seconds without a change after which Airflow is asked why.
_PATIENCE = 10
#: A task that waits for its pool; None has not been looked at, or its pool is not there.
_AT_A_POOL = (None, "scheduled", "queued")
#: States of tasks that 2.x takes for failed when it clears only such.
_FAILED = ("failed", "upstream_failed")
#: What a column of Airflow's takes (models/base.py).
_LONGEST_ID = 250
#: Constants of a DAG file with tasks in containers, and bytes that all parameters may have there.
_OF_CONTAINERS, _LARGEST = ("\nDOCKER = ", "\nPOD = "), 124 * 1024
_RUN_ID = re.compile(r"[A-Za-z0-9_.~:+-]+")
#: The most failed steps of a run whose logs are read for the reason.
_MOST_REASONS = 20


class AirflowClient(protocol.Client):
    """An Airflow, and the folder that its DAG files are in."""

    def __init__(self, options: Mapping[str, object], root: str) -> None:
        self._options = options
        self._root = root
        self._dags = DagFolder(options, root)
        self._own_api: Api | None = None
        self._stale: set[tuple[object, object]] = set()
        self._reasons: dict[tuple[object, ...], str] = {}

    @property
    def address(self) -> str:
        """The URL; the folder where there is none."""
        return text_option(self._options, "url") or self.folder or "Airflow"

    @property
    def folder(self) -> str | None:
        """The DAG folder."""
        return self._dags.path

    @property
    def _api(self) -> Api:
        if self._own_api is None:
            self._own_api = Api(self._options, self._root)
        return self._own_api

    # ------------------------------------------------------------------------ deployed files

    def deploy(self, compiled: Compiled, *, dry_run: bool = False) -> Sequence[Change]:
        """Copy the files to the DAG folder: each is there in one move, or none is."""
        return self._dags.deploy(compiled, lambda: self._note_errors(compiled), dry_run=dry_run)

    def next_step(self, compiled: Compiled) -> str:
        """In a checkout of a git repository the files have to be committed."""
        return self._dags.next_step(compiled)

    def verify(self, compiled: Compiled) -> None:
        """The DAG is known, imports, and is the one that was compiled here."""
        errors = self._import_errors(compiled)
        fresh = [error for error in errors if _key(error) not in self._stale]
        if fresh:
            raise _import_failed(fresh[0])
        dag = self._dag(compiled.pipeline)
        if dag is None or _is_gone(dag):
            raise NotDeployedError(
                f"{self._api.url} has no DAG `{compiled.pipeline}`",
                "levada deploy; Airflow looks for new files every few minutes "
                "([dag_processor] refresh_interval)",
            )
        found = deployed.difference(self._source(dag), compiled.files[f"{compiled.pipeline}.py"])
        if found or errors:
            raise NotDeployedError(
                f"the DAG `{compiled.pipeline}` of {self._api.url} "
                + (found or "has not been read again since it was deployed"),
                "levada deploy, and wait until Airflow has read the file (--wait SECONDS)",
            )

    def _note_errors(self, compiled: Compiled) -> None:
        """Remember Airflow's errors on the files before they change: those are not on the new."""
        if not text_option(self._options, "url"):
            return
        try:
            self._stale = {_key(error) for error in self._import_errors(compiled)}
        except ClientError:  # deploying does not need the server
            return

    def _import_errors(self, compiled: Compiled) -> list[Any]:
        listed = self._api.get_all("/importErrors", "import_errors")
        return [error for error in listed if _is_on(error, compiled)]

    def _dag(self, name: str) -> Any:
        try:
            return self._api.get(f"/dags/{quoted(name)}")
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def _source(self, dag: Mapping[str, Any]) -> str:
        """The text of the file as Airflow has it."""
        name = dag["file_token"] if self._api.is_2 else dag["dag_id"]
        return str(self._api.get(f"/dagSources/{quoted(name)}")["content"])

    # ------------------------------------------------------------------------ runs

    def submit(self, compiled: Compiled, request: Request) -> Run:
        """Trigger a run."""
        name = compiled.pipeline
        dag = self._dag(name)
        if dag is not None and dag["is_paused"]:
            self._unpause(name, allowed=request.unpause)
        run_id = request.run_id or new_run_id()
        if len(run_id) > _LONGEST_ID:
            raise ClientError(f"a run id has at most {_LONGEST_ID} characters in Airflow")
        if any(one in text for text in compiled.files.values() for one in _OF_CONTAINERS):
            why = "a container gets them as a variable of at most 128 KiB"
            refuse_large(request.parameters, _LARGEST, why)
        body: dict[str, Any] = {"dag_run_id": run_id, "conf": dict(request.parameters)}
        if not self._api.is_2:
            body["logical_date"] = None
            run_parameters.refuse_what_tasks_cannot_be_told(request.parameters)
        try:
            self._api.post(f"/dags/{quoted(name)}/dagRuns", body)
        except RefusedError as error:
            raise _not_started(error, name, run_id, request.parameters) from None
        return Run(name, run_id, self._url(name, run_id))

    def _unpause(self, name: str, *, allowed: bool) -> None:
        if not allowed:
            raise ClientError(
                f"the DAG `{name}` is paused: its runs would wait",
                "--unpause switches it on, and with it its schedule",
            )
        self._api.patch(f"/dags/{quoted(name)}", {"is_paused": False})

    def find(self, pipeline: str, run_id: str) -> Run:
        """The run, if Airflow has it."""
        run = Run(pipeline, run_id, self._url(pipeline, run_id))
        try:
            self._api.get(_path(run))
        except RefusedError as error:
            if error.status == 404:
                raise ClientError(
                    f"{self._api.url} has no run `{run_id}` of `{pipeline}`"
                ) from None
            raise
        return run

    def status(self, run: Run) -> RunState:
        """The run and its tasks."""
        found, tasks = self._seen(run)
        steps = task_states.steps(found, tasks, lambda step: self.failure(run, step, step.attempt))
        status = task_states.run_status(found)
        return RunState(
            run,
            status,
            tuple(steps),
            started=found.get("start_date") or "",
            finished=(found.get("end_date") or "") if status in protocol.OVER else "",
            parameters=found.get("conf") or {},
        )

    def _seen(self, run: Run) -> tuple[Any, list[Any]]:
        """The run and its tasks; a task that failed may have done so since the run was looked at.

        What cancels a run says so in the run alone.
        """
        found, tasks = self._api.get(_path(run)), self._tasks(run)
        if not _is_over(found) and any(task["state"] == "failed" for task in tasks):
            found = self._api.get(_path(run))
            tasks = self._tasks(run) if _is_over(found) else tasks
        return found, tasks

    def _tasks(self, run: Run) -> list[Any]:
        return self._api.get_all(f"{_path(run)}/taskInstances", "task_instances")

    def follow(self, run: Run) -> Iterator[RunState]:
        """By asking again and again: Airflow has nothing to wait for."""
        before, since = None, time.monotonic()
        for state in protocol.poll(lambda: self.status(run)):
            now = time.monotonic()
            if before is None or state.steps != before.steps:
                before, since = state, now
            is_stuck = not state.is_over and now - since > _PATIENCE
            yield replace(state, reason=self._obstacle(run, state)) if is_stuck else state

    def _obstacle(self, run: Run, state: RunState) -> str:
        """Why nothing goes on, if Airflow knows; a step that runs is no obstacle."""
        if any(step.status == protocol.RUNNING for step in state.steps):
            return ""
        health = self._api.get("/health" if self._api.is_2 else "/monitor/health")["scheduler"]
        if health["status"] != "healthy":
            return (
                f"the scheduler is {health['status']} since {health['latest_scheduler_heartbeat']}"
            )
        if self._api.get(f"/dags/{quoted(run.pipeline)}")["is_paused"]:
            return "the DAG is paused"
        wanted = {task["pool"] for task in self._tasks(run) if task["state"] in _AT_A_POOL}
        missing = wanted - {pool["name"] for pool in self._api.get_all("/pools", "pools")}
        return f"there is no pool `{min(missing)}` in Airflow" if missing else ""

    def log(self, run: Run, step: StepState, attempt: int, first: int = 0) -> Sequence[str]:
        """What the step wrote."""
        return task_log.step_lines(self._log(run, step, attempt))[first:]

    def failure(self, run: Run, step: StepState, attempt: int) -> str:
        """Why an attempt failed, from its log; read once, and not for very many."""
        key = (run.run_id, step.node, step.map_index, attempt)
        if not self._reasons.get(key) and len(self._reasons) < _MOST_REASONS:
            self._reasons[key] = task_log.failure(self._log(run, step, attempt))
        return self._reasons.get(key, "")

    def outputs(self, run: Run) -> Any:
        """From the XCom of the last task, where there are only small values."""
        path = f"{_path(run)}/taskInstances/{_RETURN}/xcomEntries/return_value"
        try:
            value = self._api.get(path, **({} if self._api.is_2 else {"stringify": "false"}))
        except RefusedError as error:
            if error.status == 404:  # it returns nothing
                return None
            raise
        found = _as_json(value["value"])
        return found.get("return", found.get("outputs")) if isinstance(found, dict) else found

    def cancel(self, run: Run) -> None:
        """Airflow ends what runs when a run is set to failed; a note says who did it, and what."""
        steps = self.status(run).steps
        note = task_states.cancelled_note([s for s in steps if s.status == protocol.RUNNING])
        if self._api.is_2:
            self._api.patch(f"{_path(run)}/setNote", {"note": note})
            self._api.patch(_path(run), {"state": "failed"})
        else:
            self._api.patch(_path(run), {"state": "failed", "note": note})

    def retry(self, run: Run) -> Run:
        """Clear what failed, and what is below it; the run goes on with the same id."""
        state = self.status(run)
        if not state.is_over:
            raise ClientError(f"the run is not over: it is {state.status}", "levada cancel ends it")
        tasks = self._unfinished(run, state)
        if not tasks:
            raise ClientError(f"nothing of the run failed: it has {state.status}")
        if self._api.is_2:
            self._clear_by_tasks(run, tasks)
        else:
            self._clear(run, [[*task] if task[1] >= 0 else task[0] for task in tasks])
        if state.status == protocol.CANCELLED:
            path = f"{_path(run)}/setNote" if self._api.is_2 else _path(run)
            self._api.patch(path, {"note": "Retried by levada."})
        return run

    def _unfinished(self, run: Run, state: RunState) -> list[tuple[str, int]]:
        """The tasks that failed; of a run that was cancelled those too that it did not get to.

        In a loop only these items, else with the index -1.
        """
        names = {"failed", "upstream_failed"}
        if state.status == protocol.CANCELLED:
            names |= {"skipped"}
        failed = [task for task in self._tasks(run) if (task["state"] or "skipped") in names]
        # 2.x clears all items of a task, or those that failed.
        unfailed = {t["task_id"] for t in failed if self._api.is_2 and t["state"] not in _FAILED}
        whole = {t["task_id"] for t in failed if t["map_index"] < 0} | unfailed
        items = [(t["task_id"], t["map_index"]) for t in failed if t["task_id"] not in whole]
        return [*((name, -1) for name in sorted(whole)), *items]

    def _clear_by_tasks(self, run: Run, tasks: Sequence[tuple[str, int]]) -> None:
        """Clear them in a 2.x, where a request names no items: of a loop those that failed."""
        listed = self._api.get(f"/dags/{quoted(run.pipeline)}/tasks")["tasks"]
        below = _below({name for name, _ in tasks}, listed)
        whole = below | {name for name, index in tasks if index < 0}
        in_part = {name for name, _ in tasks} - whole
        if whole:  # the run goes on only when all is cleared
            alone = not in_part
            self._clear(run, sorted(whole), include_downstream=False, reset_dag_runs=alone)
        if in_part:
            self._clear(run, sorted(in_part), include_downstream=False, only_failed=True)

    def _clear(self, run: Run, tasks: Sequence[object], **options: bool) -> None:
        body = {
            "dry_run": False,
            "dag_run_id": run.run_id,
            "task_ids": tasks,
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
            **options,
        }
        self._api.post(f"/dags/{quoted(run.pipeline)}/clearTaskInstances", body)

    def _log(self, run: Run, step: StepState, attempt: int) -> Iterator[task_log.Entry]:
        path = f"{_path(run)}/taskInstances/{quoted(step.node)}/logs/{attempt}"
        query = {"map_index": step.map_index[0] if step.map_index else -1, "full_content": "true"}
        try:
            if self._api.is_2:
                return task_log.entries_of_text(self._api.get_text(path, **query))
            return task_log.entries_of_json(self._api.get(path, **query)["content"])
        except RefusedError as error:
            if error.status == 404:  # nothing is written yet
                return iter(())
            raise

    def _url(self, name: str, run_id: str) -> str:
        """Where a browser shows the run."""
        dag = f"{self._api.url}/dags/{quoted(name)}"
        if self._api.is_2:
            return f"{dag}/grid?dag_run_id={quoted(run_id)}"
        return f"{dag}/runs/{quoted(run_id)}"


def _path(run: Run) -> str:
    return f"/dags/{quoted(run.pipeline)}/dagRuns/{quoted(run.run_id)}"


def _below(names: Collection[str], tasks: Iterable[Mapping[str, Any]]) -> set[str]:
    """All tasks that come after one of these."""
    after = {task["task_id"]: task["downstream_task_ids"] for task in tasks}
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        new = set(after.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found


def _is_on(error: Mapping[str, Any], compiled: Compiled) -> bool:
    """Whether an import error is on one of our files; 3.x gives paths in a bundle, 2.x whole."""
    place = Path(error["filename"]).as_posix()
    return any(place == path or place.endswith(f"/{path}") for path in compiled.files)


def _key(error: Mapping[str, Any]) -> tuple[object, object]:
    return error["import_error_id"], error["timestamp"]


def _import_failed(error: Mapping[str, Any]) -> ClientError:
    trace = "\n".join(f"  {line}" for line in str(error["stack_trace"]).rstrip().splitlines())
    return ClientError(
        f"Airflow cannot import `{error['filename']}`:\n{trace}",
        "what the worker's Airflow lacks has to be installed there; "
        "if the file was changed by hand, deploy it again",
    )


def _is_over(run: Mapping[str, Any]) -> bool:
    return task_states.run_status(run) in protocol.OVER


def _is_gone(dag: Mapping[str, Any]) -> bool:
    """Whether the file of a DAG that Airflow still knows is not there any more."""
    return bool(dag.get("is_stale")) or dag.get("is_active") is False


def _not_started(
    error: RefusedError, name: str, run_id: str, parameters: Mapping[str, Any]
) -> ClientError:
    if error.status == 409:
        return ClientError(
            f"there is a run `{run_id}` of `{name}` already", "give another --run-id"
        )
    # 2.x says no more than 500.
    if (error.status == 500 or "run_id" in error.detail) and not _RUN_ID.fullmatch(run_id):
        return ClientError(
            f"Airflow refuses the run id `{run_id}`",
            "letters, digits and _.~:+- are allowed by [scheduler] allowed_run_id_pattern",
        )
    unkept = run_parameters.unkept(parameters) if error.status == 422 else []
    if unkept:
        return ClientError(
            f"Airflow's database keeps no NUL, and no half of a surrogate pair: `{unkept[0]}`",
            "leave it out of the parameter, or let a step make it",
        )
    if error.status in (400, 422):
        words = error.detail.partition("\n\n")[0]  # below that jsonschema repeats the schema
        return ClientError(f"Airflow refuses the run: {words}")
    return error


def _as_json(value: Any) -> Any:
    """The value of an XCom; 2.x gives it as text, of Python if it was not asked to decode it."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        pass
    from ast import literal_eval

    try:
        return literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value
