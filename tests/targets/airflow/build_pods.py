"""Prints the pods that a DAG file's tasks would start, as JSON by task id.

    python -m tests.targets.airflow.build_pods FILE PARAMETERS    # by the Python of an Airflow

Templates are rendered as for a run whose id has every mark of a template in it.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

RUN_ID = "manual $(HOME) $$ {{ ti }} \N{BALLOON}"


def main(path: str, parameters: str) -> None:
    """Load the file and print its pods."""
    spec = importlib.util.spec_from_file_location("dag_file", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    from kubernetes.client import ApiClient, Configuration

    plain = ApiClient(Configuration()).sanitize_for_serialization
    tasks = [task for task in module.dag.tasks if "Pod" in task.task_type]
    print(json.dumps({t.task_id: plain(pod_of(t, json.loads(parameters))) for t in tasks}))


def pod_of(task: Any, parameters: dict[str, Any]) -> Any:
    """The pod of a task; of a mapped one, that of an item."""
    if hasattr(task, "unmap"):
        task = task.unmap({"item": {"index": "0", "label": "depth=1"}})
    environment = task.get_template_env()
    task._do_render_template_fields(  # what Airflow itself calls, for mapped tasks too
        task, task.template_fields, context(task, parameters), environment, set()
    )
    return task.build_pod_request_obj(None, dry_run=True)


def context(task: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """What the templates of a task look at."""
    now = datetime(2026, 1, 2, tzinfo=UTC)
    run = SimpleNamespace(
        run_type="manual",
        logical_date=now,
        data_interval_start=now,
        data_interval_end=None,
    )
    ti = SimpleNamespace(task_id=task.task_id, map_index=-1, try_number=1, max_tries=0)
    found = {"run_id": RUN_ID, "ti": ti, "params": parameters, "dag": task.dag, "dag_run": run}
    return found | {"macros": SimpleNamespace(json=json)}


if __name__ == "__main__":
    main(*sys.argv[1:])
