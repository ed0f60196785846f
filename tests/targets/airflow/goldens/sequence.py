"""Count the rows of a file.

Runs on working days.

Made from tests/targets/airflow/cases/sequence.py:sequence by Levada 0.1.0.
Source: sha256:26bccd7fbeff78c93e0fe14a53fa2a2661b23ece11187ab9afb30ea3a7515d95
Change that file and compile it again, rather than this one.
"""

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pendulum

try:  # Airflow 3
    from airflow.providers.standard.hooks.subprocess import SubprocessHook
    from airflow.sdk import DAG, BaseOperator
    from airflow.sdk.definitions.param import Param
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.hooks.subprocess import SubprocessHook
    from airflow.models import BaseOperator
    from airflow.models.param import Param

try:  # Airflow 3.2
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
except ImportError:
    from airflow.exceptions import AirflowException, AirflowFailException

PIPELINE = "sequence"
# The project on the worker, and the Python that has what its steps need. Artifacts
# and records are kept at LEVADA_STORE, or else in the project; workers share it.
PROJECT = os.environ.get("LEVADA_PROJECT") or str(Path(__file__, "../..").resolve())
PYTHON = os.environ.get("LEVADA_PYTHON") or sys.executable
# Where steps are imported from, within the project.
SOURCES = ["tests/targets/airflow/cases", "."]
# How a retry's delay doubles: a switch up to Airflow 3.1, a factor since.
SWITCH = getattr(BaseOperator, "retry_exponential_backoff", False) is False
BACKOFF = True if SWITCH else 2.0

# What every command is told. Airflow fills in the {{ }} when the task starts.
ENVIRONMENT = {
    "LEVADA_RUN_ID": "{{ run_id }}",
    "LEVADA_TRY": "{{ ti.try_number }}",
    "LEVADA_TRIES": "{{ ti.max_tries + 1 }}",
    "LEVADA_PARAMS": "{{ macros.json.dumps(dict(params)) }}",
    "LEVADA_SOURCE": "sha256:26bccd7fbeff78c93e0fe14a53fa2a2661b23ece11187ab9afb30ea3a7515d95",
    "LEVADA_PIPELINE_FILE": "tests/targets/airflow/cases/sequence.py",
    "LEVADA_SECRETS": "TOKEN",
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


def request_of(task, **more):
    """What `python -m levada` is to do for a task, as JSON. Nothing passes through a shell."""
    loops = []
    for clause in task.loops:  # "for d in params.depths", and after it "where d > 2"
        word, text = clause.split(" ", 1)
        if word == "for":
            loops.append({"for": text})
        else:
            loops[-1].setdefault(word, []).append(text)
    place = {"pipeline": PIPELINE, "node": task.node or task.task_id, "paths": SOURCES}
    request = {**task.levada, **place, "loops": loops, "checks": task.checks, **more}
    request["caught"] = task.caught  # a failure of it does not end the run
    if task.item is not None:
        request["map_index"] = [int(number) for number in task.item["index"].split(".")]
    return json.dumps(request)


def xcom_of(result):
    """A result without the few things that Airflow's database does not take."""
    if result is None:
        raise AirflowException("it has left no result: see the log above")
    text = json.dumps(result, ensure_ascii=False).replace("\\u0000", "\\ufffd")
    text = text.encode("utf-8", "replace").decode()
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 19 else digits)


class Command(BaseOperator):
    """Runs `python -m levada` in a process of its own.

    Its result is JSON in a file; all that it prints is in the task's log.
    """

    template_fields = ("env",)

    def __init__(self, loops=(), checks=(), item=None, node=None, caught=False, **kwargs):
        super().__init__(**kwargs)
        self.loops, self.checks, self.item, self.node = loops, checks, item, node
        self.caught = caught
        self.env = ENVIRONMENT

    def execute(self, context):
        self.process = SubprocessHook()
        env = {**os.environ, **self.env}
        with TemporaryDirectory() as folder:
            # In a file: an argument and a variable of a process are at most 128 KiB.
            request, result = Path(folder, "request.json"), Path(folder, "result.json")
            params = json.loads(env.pop("LEVADA_PARAMS"))
            request.write_text(request_of(self, params=params, result=str(result)))
            command = [PYTHON, "-m", "levada", f"@{request}"]
            code = self.process.run_command(command, env=env, cwd=PROJECT).exit_code
            if code == 65:  # it would fail again
                raise AirflowFailException("a permanent error: see the log above")
            if code != 0:
                raise AirflowException(f"exit code {code}: see the log above")
            return xcom_of(json.loads(result.read_text(encoding="utf-8")))

    def on_kill(self):
        self.process.send_sigterm()


class Step(Command):
    """Calls a step's function with its inputs, each an expression over what there is so far."""

    def __init__(self, step, code, inputs=None, outputs=(), settings=None, **kwargs):
        super().__init__(**kwargs)
        module, function = step.split(":")
        step = {"module": module, "function": function, "code": code}  # another is a warning
        step |= {"outputs": outputs, "settings": settings}
        self.levada = {"do": "step", "step": step, "sources": inputs}


class Outputs(Command):
    """Records what the pipeline returns, and that the run has succeeded."""

    def __init__(self, outputs=None, returns="value", **kwargs):
        super().__init__(**kwargs)
        self.levada = {"do": "outputs", "outputs": outputs, "returns": returns}


with DAG(
    dag_id=PIPELINE,
    description="Count the rows of a file.",
    schedule="30 6 * * 1-5",
    start_date=pendulum.parse("2026-01-05", tz="Europe/Paris"),
    catchup=False,
    max_active_runs=1,
    max_active_tasks=4,
    params={
        "path": Param("data.csv", type="string", description="The file to read."),
        "strict": Param(True, type="boolean", description="Whether a bad row is an error."),
    },
    default_args={
        "owner": "data-science",
        "retries": 1,
        "retry_delay": timedelta(seconds=1),
        "retry_exponential_backoff": BACKOFF,
    },
    doc_md=__doc__,
    tags=["nightly", "rows"],
) as dag:
    load = Step(
        task_id="load",
        step="sequence:load",
        code="sha256:87c7dae0fc02",
        inputs={"path": "params.path", "strict": "params.strict"},
        settings={"timeout": 7200},
        retries=3,
        retry_delay=timedelta(seconds=30),
        retry_exponential_backoff=BACKOFF,
        max_retry_delay=timedelta(minutes=10),
        execution_timeout=timedelta(hours=2, minutes=1),
        pool="warehouse",
        priority_weight=5,
        doc_md="Read the rows.\n\nA row that cannot be read is an error if `strict`.",
    )

    count = Step(
        task_id="count",
        step="sequence:count",
        code="sha256:e136c28632fe",
        inputs={"rows": "load"},
        settings={
            "cache": False,
            "secrets": {"TOKEN": "warehouse/token"},
            "environment": {"MODE": "{{ not a template }}"},
        },
    )

    tell = Step(
        task_id="tell",
        step="sequence:tell",
        code="sha256:c2418eec5d8f",
        inputs={"text": "f\"{params.path}: {count} rows, 100% {{of}} 'them'\""},
        settings={"cache": False},
    )

    # The pipeline's outputs.
    return_ = Outputs(task_id="return")

    load >> count >> tell >> return_
