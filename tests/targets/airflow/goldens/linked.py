"""linked.

Made from tests/targets/airflow/cases/linked.py:linked by Levada 0.1.0.
Source: sha256:07a2e5adf32f33333690af70b43c36fe3eaf8efaaab331177b2782c486a1f84a
Change that file and compile it again, rather than this one.
"""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten
from urllib.parse import quote

import pendulum

try:  # Airflow 3
    from airflow.providers.standard.hooks.subprocess import SubprocessHook
    from airflow.sdk import DAG, BaseOperator, BaseOperatorLink
    from airflow.sdk.definitions.param import Param
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.hooks.subprocess import SubprocessHook
    from airflow.models import BaseOperator
    from airflow.models.baseoperatorlink import BaseOperatorLink
    from airflow.models.param import Param

try:  # Airflow 3.2
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
except ImportError:
    from airflow.exceptions import AirflowException, AirflowFailException

PIPELINE = "linked"
# The project on the worker, and the Python that has what its steps need. Artifacts
# and records are kept at LEVADA_STORE, or else in the project; workers share it.
PROJECT = os.environ.get("LEVADA_PROJECT") or str(Path(__file__, "../..").resolve())
PYTHON = os.environ.get("LEVADA_PYTHON") or sys.executable
# Where steps are imported from, within the project.
SOURCES = ["tests/targets/airflow/cases", "."]
# Where the record of an attempt is shown.
RECORD = (
    "https://levada.example.com/{pipeline}/{run_id}/{step}?item={item}&attempt={attempt}#{path}"
)

# What every command is told. Airflow fills in the {{ }} when the task starts.
ENVIRONMENT = {
    "LEVADA_RUN_ID": "{{ run_id }}",
    "LEVADA_TRY": "{{ ti.try_number }}",
    "LEVADA_TRIES": "{{ ti.max_tries + 1 }}",
    "LEVADA_PARAMS": "{{ macros.json.dumps(dict(params)) }}",
    "LEVADA_SOURCE": "sha256:07a2e5adf32f33333690af70b43c36fe3eaf8efaaab331177b2782c486a1f84a",
    "LEVADA_PIPELINE_FILE": "tests/targets/airflow/cases/linked.py",
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


def record_url(task, ti):
    """Where the record of an attempt is, or will be."""
    run_id, attempt = ti.run_id, str(ti.try_number)
    step, item = task.node or task.task_id, task.item["index"] if task.item else ""
    names = {"pipeline": PIPELINE, "run_id": run_id, "step": step}
    folders = [quote(name, safe="+:@=").replace("~", "%7E") for name in names.values()]
    path = "/".join(["runs", *folders, *([f"[{item}]"] if item else []), attempt])  # in the store
    names |= {"item": item, "attempt": attempt}
    names = {name: quote(value, safe="") for name, value in names.items()}
    return RECORD.format(path=quote(path), **names)


class RecordLink(BaseOperatorLink):
    """The button of a task that leads to its record."""

    __module__ = "levada_record_link"  # the plugin that Airflow 2 needs for it
    name = "Record"
    xcom_key = "record_url"

    def get_link(self, operator, *, ti_key):
        return record_url(operator, ti_key)


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

    operator_extra_links = (RecordLink(),)

    def __init__(self, step, code, inputs=None, outputs=(), settings=None, **kwargs):
        super().__init__(**kwargs)
        module, function = step.split(":")
        step = {"module": module, "function": function, "code": code}  # another is a warning
        step |= {"outputs": outputs, "settings": settings}
        self.levada = {"do": "step", "step": step, "sources": inputs}

    def execute(self, context):
        url = record_url(self, context["ti"])
        self.log.info("Record: %s", url)
        context["ti"].xcom_push(RecordLink.xcom_key, url)  # at once, and for Airflow 2
        return super().execute(context)


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
    params={
        "path": Param("ab", type="string"),
        "depths": Param([1, -1], type="array", items={"type": "integer"}),
    },
    default_args={"retries": 0},
    doc_md=__doc__,
) as dag:
    load = Step(
        task_id="load",
        step="linked:load",
        code="sha256:70a7fab3ba85",
        inputs={"path": "params.path"},
    )

    for_depth = Items(task_id="for_depth", loops=["for depth in params.depths"])

    train = Step.partial(
        task_id="train",
        step="linked:train",
        code="sha256:e271d14b7ebd",
        inputs={"size": "load", "depth": "depth"},
        loops=["for depth in params.depths"],
        map_index_template="{{ task.item.label }}",
    ).expand(item=for_depth.output)

    # The pipeline's outputs.
    return_ = Outputs(
        task_id="return",
        outputs={"0": "[train[depth] for depth in params.depths]"},
        trigger_rule="none_failed",
    )

    load >> train >> return_
