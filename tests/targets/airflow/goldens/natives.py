"""Trains what there is.

Made from tests/targets/airflow/cases/natives.py:natives by Levada 0.1.0.
Source: sha256:bb3f144c86bf2794b73c09d6a86a5fcf0e1576dcd4cf0d67a216f00b95d5fabc
Change that file and compile it again, rather than this one.
"""

import json
import os
import sys
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten

import pendulum

try:  # Airflow 3
    from airflow.providers.standard.hooks.subprocess import SubprocessHook
    from airflow.sdk import DAG, Asset, BaseOperator
    from airflow.sdk.definitions.param import Param
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.datasets import Dataset as Asset
    from airflow.hooks.subprocess import SubprocessHook
    from airflow.models import BaseOperator
    from airflow.models.param import Param

try:  # Airflow 3.2
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
except ImportError:
    from airflow.exceptions import AirflowException, AirflowFailException

PIPELINE = "natives"
# The project on the worker, and the Python that has what its steps need. Artifacts
# and records are kept at LEVADA_STORE, or else in the project; workers share it.
PROJECT = os.environ.get("LEVADA_PROJECT") or str(Path(__file__, "../..").resolve())
PYTHON = os.environ.get("LEVADA_PYTHON") or sys.executable
# Where steps are imported from, within the project.
SOURCES = ["tests/targets/airflow/cases", "."]
IS_2 = BaseOperator.__module__.startswith("airflow.models")
# How a retry's delay doubles: a switch up to Airflow 3.1, a factor since.
SWITCH = getattr(BaseOperator, "retry_exponential_backoff", False) is False
BACKOFF = True if SWITCH else 2.0

# What every command is told. Airflow fills in the {{ }} when the task starts.
ENVIRONMENT = {
    "LEVADA_RUN_ID": "{{ run_id }}",
    "LEVADA_TRY": "{{ ti.try_number }}",
    "LEVADA_TRIES": "{{ ti.max_tries + 1 }}",
    "LEVADA_PARAMS": "{{ macros.json.dumps(dict(params)) }}",
    "LEVADA_SOURCE": "sha256:bb3f144c86bf2794b73c09d6a86a5fcf0e1576dcd4cf0d67a216f00b95d5fabc",
    "LEVADA_PIPELINE_FILE": "tests/targets/airflow/cases/natives.py",
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


class Items(Command):
    """Lists what the mapped tasks below it run for: `{"index": "0", "label": "d=4"}` each.

    With `fail_items`, an error in an expression is the failure of that item alone.
    """

    def __init__(self, loops, fail_items=False, **kwargs):
        name = shorten(" ".join(loops), 60, placeholder="…")
        super().__init__(task_display_name=name, loops=loops, **kwargs)
        self.levada = {"do": "items", "fail_items": fail_items}


class Outputs(Command):
    """Records what the pipeline returns, and that the run has succeeded."""

    def __init__(self, outputs=None, returns="value", **kwargs):
        super().__init__(**kwargs)
        self.levada = {"do": "outputs", "outputs": outputs, "returns": returns}


def callback(reference):
    """A function `module:name`, imported by Airflow's Python when it is called."""

    def call(context):
        module, name = reference.split(":")
        getattr(import_module(module), name)(context)

    return call


def sla(**duration):
    """The SLA of a task, which only Airflow 2 has."""
    return timedelta(**duration) if IS_2 else None


def missed(reference):
    """What Airflow 2 calls for SLAs that were missed: a function `module:name`."""

    def call(dag, task_list, blocking_task_list, slas, blocking_tis):
        callback(reference)({"dag": dag, "task_list": task_list, "slas": slas})

    return call


def announce(context, result):
    """Attaches what a step gave to the event of each asset that it produces."""
    shown = {name: result[name] for name in ("digest", "metrics", "record") if name in result}
    for asset in context["task"].outlets:
        context["outlet_events"][asset].extra = shown


try:  # Airflow 3.2: when the run is not over in time
    from airflow.sdk.definitions.callback import SyncCallback
    from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

    LATE = {
        "deadline": DeadlineAlert(
            DeadlineReference.DAGRUN_QUEUED_AT,
            timedelta(hours=1),
            SyncCallback("alerts.late"),
        ),
    }
except ImportError:
    LATE = {"sla_miss_callback": missed("alerts:late")} if IS_2 else {}

with DAG(
    dag_id=PIPELINE,
    description="Trains what there is.",
    schedule=[Asset("s3://lake/raw")],
    start_date=pendulum.parse("2024-01-01"),
    catchup=False,
    max_active_runs=1,
    params={
        "path": Param(
            "raw",
            type="string",
            minLength=1,
            maxLength=20,
            pattern="^[a-z/]+$",
            description="Where the data is.",
        ),
        "depth": Param(2, type="integer", minimum=1, maximum=10, description="How deep to look."),
        "rate": Param(
            None,
            type=["number", "null"],
            exclusiveMinimum=0,
            exclusiveMaximum=1,
            description="The learning rate; none takes the solver's own.",
        ),
        "solver": Param(
            "fast",
            type="string",
            enum=["exact", "fast"],
            description="What solves it.",
        ),
        "backup": Param(
            None,
            type=["string", "null"],
            examples=["exact", "fast"],
            anyOf=[{"enum": ["exact", "fast"]}, {"type": "null"}],
        ),
        "level": Param(1, type="integer", enum=[1, 2, 3]),
        "full": Param(False, type="boolean"),
        "names": Param(["a"], type="array", items={"type": "string"}),
    },
    default_args={"owner": "growth", "retries": 0, "sla": sla(hours=1)},
    doc_md=__doc__,
    tags=["churn", "daily"],
    on_failure_callback=callback("alerts:tell_all"),
    **LATE,
) as dag:
    load = Step(
        task_id="load",
        step="natives:load",
        code="sha256:8df94b1cf4f5",
        inputs={"path": "params.path"},
        pool="default_pool",
        priority_weight=5,
        inlets=[Asset("s3://lake/raw")],
        doc_md="Read *all* of it.",
    )

    train = Step(
        task_id="train",
        step="natives:train",
        code="sha256:3b983a37fb99",
        inputs={"sizes": "load", "depth": "params.depth"},
        settings={"timeout": 900},
        retries=2,
        retry_delay=timedelta(seconds=30),
        retry_exponential_backoff=BACKOFF,
        max_retry_delay=timedelta(minutes=5),
        execution_timeout=timedelta(minutes=16),
        sla=sla(minutes=30),
        on_failure_callback=callback("alerts:tell"),
        outlets=[Asset("s3://lake/model"), Asset("s3://lake/report")],
        post_execute=announce,
    )

    for_size = Items(task_id="for_size", loops=["for size in load"])

    part = Step.partial(
        task_id="part",
        step="natives:part",
        code="sha256:33dd08a5fb84",
        inputs={"size": "size"},
        loops=["for size in load"],
        map_index_template="{{ task.item.label }}",
        settings={"cache": False},
        sla=None,
        outlets=[Asset("s3://lake/parts")],
        post_execute=announce,
    ).expand(item=for_size.output)

    # Runs after skipped tasks, too.
    when = Step(
        task_id="when",
        step="natives:when",
        code="sha256:5959708dde22",
        settings={"cache": False},
        trigger_rule="none_failed",
    )

    # The pipeline's outputs.
    return_ = Outputs(task_id="return", outputs={"loss": "train"})

    load >> train >> for_size
    part >> when >> return_
