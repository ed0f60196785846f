"""Trains, and tells of a failure.

Made from tests/targets/airflow/cases/library.py:library by Levada 0.1.0.
Source: sha256:f90b9f10a4af26cb5042d01566ee194ed80c549103eaeae5b76c1aea2ea53145
Change that file and compile it again, rather than this one.
"""

import os
import sys
from pathlib import Path

import pendulum

try:  # Airflow 3
    from airflow.sdk import DAG, Label
    from airflow.sdk.definitions.param import Param
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.models.param import Param
    from airflow.utils.edgemodifier import Label

# What the operators do is in a module beside this file.
sys.path.append(str(Path(__file__).parent))

from levada_airflow_e14f04f0 import Except, Items, Outputs, Step, bind, callback

PIPELINE = "library"
# The project on the worker, and the Python that has what its steps need. Artifacts
# and records are kept at LEVADA_STORE, or else in the project; workers share it.
PROJECT = os.environ.get("LEVADA_PROJECT") or str(Path(__file__, "../..").resolve())
PYTHON = os.environ.get("LEVADA_PYTHON") or sys.executable
# Where steps are imported from, within the project.
SOURCES = ["tests/targets/airflow/cases", "."]
# What tasks compute from what there is, each by its name.
VALUES = {"try_1": 'failed("for_depth", "train", "publish")'}

# What every command is told. Airflow fills in the {{ }} when the task starts.
ENVIRONMENT = {
    "LEVADA_RUN_ID": "{{ run_id }}",
    "LEVADA_TRY": "{{ ti.try_number }}",
    "LEVADA_TRIES": "{{ ti.max_tries + 1 }}",
    "LEVADA_PARAMS": "{{ macros.json.dumps(dict(params)) }}",
    "LEVADA_SOURCE": "sha256:f90b9f10a4af26cb5042d01566ee194ed80c549103eaeae5b76c1aea2ea53145",
    "LEVADA_PIPELINE_FILE": "tests/targets/airflow/cases/library.py",
    "LEVADA_ENGINE": (
        "{{ {'name': 'airflow', 'dag_id': dag.dag_id, 'task_id': ti.task_id,"
        " 'map_index': ti.map_index, 'try_number': ti.try_number,"
        " 'trigger': dag_run.run_type | string,"
        " 'logical_date': (dag_run.logical_date or dag_run.run_after).isoformat(),"
        " 'data_interval_start': dag_run.data_interval_start.isoformat()"
        " if dag_run.data_interval_start else none,"
        " 'data_interval_end': dag_run.data_interval_end.isoformat()"
        " if dag_run.data_interval_end else none}"
        " | tojson }}"
    ),
}

Items, Outputs, Step = bind(
    Items,
    Outputs,
    Step,
    PIPELINE=PIPELINE,
    PROJECT=PROJECT,
    PYTHON=PYTHON,
    SOURCES=SOURCES,
    VALUES=VALUES,
    ENVIRONMENT=ENVIRONMENT,
)

with DAG(
    dag_id=PIPELINE,
    description="Trains, and tells of a failure.",
    schedule=None,
    start_date=pendulum.parse("2024-01-01"),
    catchup=False,
    params={
        "path": Param("ab", type="string"),
        "depths": Param([1, 2], type="array", items={"type": "integer"}),
    },
    default_args={"retries": 0},
    doc_md=__doc__,
    on_failure_callback=callback("alerts:tell_all"),
) as dag:
    load = Step(
        task_id="load",
        step="library:load",
        code="sha256:cb1f10e5fd69",
        inputs={"path": "params.path"},
    )

    for_depth = Items(task_id="for_depth", loops=["for depth in params.depths"], caught=True)

    train = Step.partial(
        task_id="train",
        step="library:train",
        code="sha256:5829e59551be",
        inputs={"rows": "load", "depth": "depth"},
        loops=["for depth in params.depths"],
        map_index_template="{{ task.item.label }}",
        caught=True,
    ).expand(item=for_depth.output)

    # Runs after skipped tasks, too.
    publish = Step(
        task_id="publish",
        step="library:publish",
        code="sha256:1413922f4996",
        inputs={"losses": "[train[depth] for depth in params.depths]"},
        caught=True,
        trigger_rule="none_failed",
    )

    try_1_except = Except(
        task_id="try_1-except",
        body=["for_depth", "train", "publish"],
        then=["tell"],
    )

    tell = Step(
        task_id="tell",
        step="library:tell",
        code="sha256:021f5bed48d5",
        inputs={"about": '"nothing to publish"'},
    )

    # The pipeline's outputs.
    return_ = Outputs(
        task_id="return",
        outputs={"found": '(tell if failed("try_1") else publish)'},
        trigger_rule="none_failed",
    )

    load >> train >> publish
    [train, publish] >> try_1_except >> Label("failed") >> tell
    [load, tell] >> return_
