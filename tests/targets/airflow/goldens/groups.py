"""groups.

Made from tests/targets/airflow/cases/groups.py:groups by Levada 0.1.0.
Source: sha256:a8ca77caedb87a9ab7bd26508e5401ba12e7d46af4b440c1401c409bb82cb2c8
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
    from airflow.providers.standard.operators.branch import BranchMixIn
    from airflow.sdk import DAG, BaseOperator, Label, TaskGroup
    from airflow.sdk.definitions.param import Param
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.hooks.subprocess import SubprocessHook
    from airflow.models import BaseOperator
    from airflow.models.param import Param
    from airflow.operators.branch import BranchMixIn
    from airflow.utils.edgemodifier import Label
    from airflow.utils.task_group import TaskGroup

try:  # Airflow 3.2
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
except ImportError:
    from airflow.exceptions import AirflowException, AirflowFailException

PIPELINE = "groups"
# The project on the worker, and the Python that has what its steps need. Artifacts
# and records are kept at LEVADA_STORE, or else in the project; workers share it.
PROJECT = os.environ.get("LEVADA_PROJECT") or str(Path(__file__, "../..").resolve())
PYTHON = os.environ.get("LEVADA_PYTHON") or sys.executable
# Where steps are imported from, within the project.
SOURCES = ["tests/targets/airflow/cases", "."]
# What tasks compute from what there is, each by its name.
VALUES = {"if_1": "params.everything"}

# What every command is told. Airflow fills in the {{ }} when the task starts.
ENVIRONMENT = {
    "LEVADA_RUN_ID": "{{ run_id }}",
    "LEVADA_TRY": "{{ ti.try_number }}",
    "LEVADA_TRIES": "{{ ti.max_tries + 1 }}",
    "LEVADA_PARAMS": "{{ macros.json.dumps(dict(params)) }}",
    "LEVADA_SOURCE": "sha256:a8ca77caedb87a9ab7bd26508e5401ba12e7d46af4b440c1401c409bb82cb2c8",
    "LEVADA_PIPELINE_FILE": "tests/targets/airflow/cases/groups.py",
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


class Branch(Command, BranchMixIn):
    """Decides a condition exactly as Python would, and skips the side that is not taken."""

    inherits_from_skipmixin = True

    def __init__(self, condition, then=(), otherwise=(), **kwargs):
        name = shorten(f"if {condition}", 60, placeholder="…")
        super().__init__(task_display_name=name, **kwargs)
        self.levada = {"do": "decide", "expression": condition}
        self.then = then
        self.otherwise = otherwise

    def execute(self, context):
        taken = super().execute(context)
        skipped = self.otherwise if taken else self.then
        self.do_branch(context, sorted(self.downstream_task_ids - set(skipped)))
        return taken


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
        "extra": Param(["north", "south"], type="array", items={"type": "string"}),
        "everything": Param(True, type="boolean"),
    },
    default_args={"retries": 0},
    doc_md=__doc__,
) as dag:
    with TaskGroup(group_id="one_region", tooltip="Clean one region and measure it."):
        one_region_clean = Step(
            task_id="clean",
            step="groups:clean",
            code="sha256:455a6c56a3d0",
            inputs={"region": '"east"'},
        )

        one_region_size = Step(
            task_id="size",
            step="groups:size",
            code="sha256:da713d4c5fa6",
            inputs={"region": "one_region.clean"},
        )

    with TaskGroup(group_id="one_region_2", tooltip="Clean one region and measure it."):
        one_region_2_clean = Step(
            task_id="clean",
            step="groups:clean",
            code="sha256:455a6c56a3d0",
            inputs={"region": '"west"'},
        )

        one_region_2_size = Step(
            task_id="size",
            step="groups:size",
            code="sha256:da713d4c5fa6",
            inputs={"region": "one_region_2.clean"},
        )

    if_1 = Branch(
        task_id="if_1",
        condition="params.everything",
        then=["for_region", "total"],
        otherwise=["total_2"],
    )

    for_region = Items(task_id="for_region", loops=["for region in params.extra"])

    size = Step.partial(
        task_id="size",
        step="groups:size",
        code="sha256:da713d4c5fa6",
        inputs={"region": "region"},
        loops=["for region in params.extra"],
        map_index_template="{{ task.item.label }}",
    ).expand(item=for_region.output)

    # Runs after skipped tasks, too.
    total = Step(
        task_id="total",
        step="groups:total",
        code="sha256:7631a8fe7402",
        inputs={"sizes": "[size[region] for region in params.extra]"},
        trigger_rule="none_failed",
    )

    total_2 = Step(
        task_id="total_2",
        step="groups:total",
        code="sha256:7631a8fe7402",
        inputs={"sizes": "[one_region.size, one_region_2.size]"},
    )

    # Runs after skipped tasks, too.
    archive = Step(
        task_id="archive",
        step="groups:archive",
        code="sha256:ef157645a24e",
        settings={"cache": False},
        trigger_rule="none_failed",
    )

    # The pipeline's outputs.
    return_ = Outputs(task_id="return", outputs={"result": "(total if if_1 else total_2)"})

    one_region_clean >> one_region_size
    one_region_2_clean >> one_region_2_size
    if_1 >> Label("true") >> [for_region, total]
    size >> total
    [one_region_size, one_region_2_size] >> total_2
    if_1 >> Label("false") >> total_2
    [one_region_size, one_region_2_size, total, total_2] >> archive >> return_
