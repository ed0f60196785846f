"""What the Airflow target can do, as data."""

from __future__ import annotations

from levada_compiler.target import Capabilities, supports

from .options import Options

_CONSTRUCTS = {
    "step call": "a task, its result as XCom; after a failure, tasks that do not need it still run",
    "named outputs": "kept in the store; the XCom shows them",
    "parameters": "`params` with types, defaults and descriptions",
    "expressions": "evaluated by the step command exactly as Python would",
    "branch": "a task decides and skips the other side; in a fan-out, each side has its list",
    "fan-out": "dynamic task mapping over a list that a task makes, which may be empty; a step "
    "waits for all items of the step before it",
    "nested fan-out": "flattened: one mapped task over all combinations",
    "try/finally": "a task waits for the end of the body, however it ended",
    "try/except": "a task looks at how the body ended; in a fan-out, for each item by itself",
    "sub-pipeline": "a TaskGroup",
    "after": "an edge",
    "options": "the arguments of that task",
    "raise": "a task that fails, for good",
    "pipeline outputs": "a last task named `return` records them",
}
_BY_THE_STEP = "given to the step command"
_IN_PODS = "of a pod; no effect in a process or a Docker container, a warning"
_SETTINGS = {
    "requirements": "part of the cache key; the worker's Python must have them",
    "resources": "of a container (Docker: `cpu` is a share, `disk` has no effect) or pod",
    "retry": "retries, with delay and backoff; none after a permanent error",
    "timeout": "kept by the step command; execution_timeout a minute later",
    "cache": _BY_THE_STEP,
    "environment": _BY_THE_STEP,
    "secrets": "environment variables of the worker; in a pod, keys of Secrets",
    "files": "of the project on the worker, or in the image",
    "volumes": "mounts of a container, claims of a pod; an error for a process",
    "node_selector": _IN_PODS,
    "tolerations": _IN_PODS,
    "pool": "pool; Airflow never starts the tasks of one that does not exist",
    "queue": "queue",
    "image": "of a container or pod; levada.lock has it where `levada build` made it",
    "executor": "`process`, `docker` or `kubernetes`",
    "priority": "priority_weight",
    "allow_pickle": _BY_THE_STEP,
    "allow_secret_output": _BY_THE_STEP,
    "check_types": _BY_THE_STEP,
    "on_failure": "on_failure_callback, imported by Airflow's Python when it is called",
    "sla": "of a pipeline a DeadlineAlert from 3.2 on; `sla` of its tasks in 2.11",
    "on_sla_miss": "called by the DeadlineAlert, or as sla_miss_callback in 2.11",
    "produces": "outlets; the asset's event has the digest and the metrics of the step",
    "consumes": "inlets",
    "triggered_by": "the assets that schedule the DAG, all of them updated",
    "schedule": "schedule",
    "timezone": "the time zone of start_date, which the schedule follows",
    "start_date": "start_date; 2024-01-01 where there is none",
    "catchup": "catchup, with a start_date",
    "max_active_runs": "max_active_runs",
    "max_parallel": "max_active_tasks",
    "owner": "owner of every task",
    "tags": "tags",
}


CAPABILITIES = Capabilities(supports(_CONSTRUCTS), supports(_SETTINGS), Options)
