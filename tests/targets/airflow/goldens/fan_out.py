"""fan_out.

Made from tests/targets/airflow/cases/fan_out.py:fan_out by Levada 0.1.0.
Source: sha256:c2838602d9def01f5632b76962650285162c7d2eb280579a3103a1bc814759a8
Change that file and compile it again, rather than this one.
"""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten

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

PIPELINE = "fan_out"
# The project on the worker, and the Python that has what its steps need. Artifacts
# and records are kept at LEVADA_STORE, or else in the project; workers share it.
PROJECT = os.environ.get("LEVADA_PROJECT") or str(Path(__file__, "../..").resolve())
PYTHON = os.environ.get("LEVADA_PYTHON") or sys.executable
# Where steps are imported from, within the project.
SOURCES = ["tests/targets/airflow/cases", "."]

# What every command is told. Airflow fills in the {{ }} when the task starts.
ENVIRONMENT = {
    "LEVADA_RUN_ID": "{{ run_id }}",
    "LEVADA_TRY": "{{ ti.try_number }}",
    "LEVADA_TRIES": "{{ ti.max_tries + 1 }}",
    "LEVADA_PARAMS": "{{ macros.json.dumps(dict(params)) }}",
    "LEVADA_SOURCE": "sha256:c2838602d9def01f5632b76962650285162c7d2eb280579a3103a1bc814759a8",
    "LEVADA_PIPELINE_FILE": "tests/targets/airflow/cases/fan_out.py",
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


with DAG(
    dag_id=PIPELINE,
    schedule=None,
    start_date=pendulum.parse("2024-01-01"),
    catchup=False,
    params={"depths": Param([2, 4], type="array", items={"type": "integer"})},
    default_args={"retries": 0},
    doc_md=__doc__,
) as dag:
    for_number = Items(
        task_id="for_number",
        loops=["for number, depth in enumerate(params.depths)"],
    )

    train = Step.partial(
        task_id="train",
        step="fan_out:train",
        code="sha256:8ef9858e41f8",
        inputs={"depth": "depth"},
        loops=["for number, depth in enumerate(params.depths)"],
        map_index_template="{{ task.item.label }}",
        doc_md="Train one model.",
    ).expand(item=for_number.output)

    measure = Step.partial(
        task_id="measure",
        step="fan_out:measure",
        code="sha256:a65fa1c6d49b",
        inputs={"score": "train[number]", "number": "number"},
        loops=["for number, depth in enumerate(params.depths)"],
        map_index_template="{{ task.item.label }}",
    ).expand(item=for_number.output)

    # Runs after skipped tasks, too.
    best = Step(
        task_id="best",
        step="fan_out:best",
        code="sha256:24dcf1fbfa5f",
        inputs={"scores": "[measure[number] for number, depth in enumerate(params.depths)]"},
        trigger_rule="none_failed",
    )

    # The pipeline's outputs.
    return_ = Outputs(task_id="return", outputs={"top": "best"})

    train >> measure >> best >> return_
