"""Trains on what came since a day.

Made from tests/targets/airflow/cases/typed.py:typed by Levada 0.1.0.
Source: sha256:67636fb2fe824def2597dec3e4e678c2e1c2be9a091da2178bf6a206a1dd74ba
Change that file and compile it again, rather than this one.
"""

import json
import os
import re
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

PIPELINE = "typed"
# The project on the worker, and the Python that has what its steps need. Artifacts
# and records are kept at LEVADA_STORE, or else in the project; workers share it.
PROJECT = os.environ.get("LEVADA_PROJECT") or str(Path(__file__, "../..").resolve())
PYTHON = os.environ.get("LEVADA_PYTHON") or sys.executable
# Where steps are imported from, within the project.
SOURCES = ["tests/targets/airflow/cases", "."]
# What tasks compute from what there is, each by its name.
VALUES = {
    "config": 'from_json(params.config, {"dataclass": "typed:Config", "fields": {"layers": ["list", {"dataclass": "typed:Layer", "fields": {"size": "int", "activation": "str"}, "defaults": {"activation": "relu"}}], "mode": {"enum": "typed:Mode", "members": {"FAST": "fast", "EXACT": "exact"}}}, "defaults": {"layers": [], "mode": "fast"}})',
}

# What every command is told. Airflow fills in the {{ }} when the task starts.
ENVIRONMENT = {
    "LEVADA_RUN_ID": "{{ run_id }}",
    "LEVADA_TRY": "{{ ti.try_number }}",
    "LEVADA_TRIES": "{{ ti.max_tries + 1 }}",
    "LEVADA_PARAMS": "{{ macros.json.dumps(dict(params)) }}",
    "LEVADA_SOURCE": "sha256:67636fb2fe824def2597dec3e4e678c2e1c2be9a091da2178bf6a206a1dd74ba",
    "LEVADA_PIPELINE_FILE": "tests/targets/airflow/cases/typed.py",
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


def values_of(task, text):
    """The named values that the expressions in a text use, directly or through others."""
    found, left = {}, [text]
    while left:
        for name in re.findall(r"[\w.\u0080-\U0010ffff]+", left.pop()):
            while name and name not in VALUES:
                name = name.rpartition(".")[0]
            if name and name not in found:
                found[name] = VALUES[name]
                left.append(VALUES[name])
    return found


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
    request["values"] = values_of(task, json.dumps(request, ensure_ascii=False))
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
    description="Trains on what came since a day.",
    schedule=None,
    start_date=pendulum.parse("2024-01-01"),
    catchup=False,
    params={
        "start": Param(
            type="string",
            description="The first moment: a date and time (ISO 8601: YYYY-MM-DDTHH:MM:SS)",
        ),
        "folder": Param("data", type="string"),
        "day": Param(None, type=["string", "null"], format="date"),
        "config": Param(
            {"layers": [{"size": 64, "activation": "relu"}], "mode": "fast"},
            type="object",
            properties={
                "layers": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "size": {"type": "integer", "minimum": 1},
                            "activation": {"type": "string", "default": "relu"},
                        },
                        "required": ["size"],
                        "additionalProperties": False,
                    },
                    "default": [],
                },
                "mode": {"enum": ["fast", "exact"], "default": "fast"},
            },
            additionalProperties=False,
        ),
        "names": Param(
            ["a", "b"],
            type="array",
            items={"type": "string"},
            uniqueItems=True,
            description="Names of tables.",
        ),
    },
    default_args={"retries": 0},
    doc_md=__doc__,
) as dag:
    load = Step(
        task_id="load",
        step="typed:load",
        code="sha256:9ae18e094668",
        inputs={
            "folder": 'from_json(params.folder, "Path") / config.mode.value',
            "since": 'from_json(params.start, "datetime")',
        },
        settings={"cache": False},
    )

    train = Step(
        task_id="train",
        step="typed:train",
        code="sha256:21c1cb222671",
        inputs={"config": "config", "day": 'from_json(params.day, ["union", "date", "None"])'},
    )

    for_layer = Items(task_id="for_layer", loops=["for layer in config.layers"])

    fit = Step.partial(
        task_id="fit",
        step="typed:fit",
        code="sha256:ad5af9fbc2a1",
        inputs={"layer": "layer"},
        loops=["for layer in config.layers"],
        map_index_template="{{ task.item.label }}",
        settings={"cache": False},
    ).expand(item=for_layer.output)

    # The pipeline's outputs.
    return_ = Outputs(
        task_id="return",
        outputs={"trained": "train", "names": 'from_json(params.names, ["set", "str"])'},
        returns="tuple",
        trigger_rule="none_failed",
    )

    load >> train >> for_layer
    fit >> return_
