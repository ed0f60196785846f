"""branch_in_fan_out.

Made from tests/targets/airflow/cases/branch_in_fan_out.py:branch_in_fan_out by Levada 0.1.0.
Source: sha256:af864b6cae7c0fe00a4e0f76e1f8ad306e270a640bc94c7a2e4f8c5ad91e602f
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

PIPELINE = "branch_in_fan_out"
# The project on the worker, and the Python that has what its steps need. Artifacts
# and records are kept at LEVADA_STORE, or else in the project; workers share it.
PROJECT = os.environ.get("LEVADA_PROJECT") or str(Path(__file__, "../..").resolve())
PYTHON = os.environ.get("LEVADA_PYTHON") or sys.executable
# Where steps are imported from, within the project.
SOURCES = ["tests/targets/airflow/cases", "."]
# What tasks compute from what there is, each by its name.
VALUES = {
    "if_1": "score[value] > 5",
    "text": "(promote[value] if if_1[value] else demote[value])",
    "try_1": 'failed("risky", "check")',
}

# What every command is told. Airflow fills in the {{ }} when the task starts.
ENVIRONMENT = {
    "LEVADA_RUN_ID": "{{ run_id }}",
    "LEVADA_TRY": "{{ ti.try_number }}",
    "LEVADA_TRIES": "{{ ti.max_tries + 1 }}",
    "LEVADA_PARAMS": "{{ macros.json.dumps(dict(params)) }}",
    "LEVADA_SOURCE": "sha256:af864b6cae7c0fe00a4e0f76e1f8ad306e270a640bc94c7a2e4f8c5ad91e602f",
    "LEVADA_PIPELINE_FILE": "tests/targets/airflow/cases/branch_in_fan_out.py",
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


def states_of(body, context):
    """The states of these tasks in this run; an error if the run did not get to them."""
    run = context["dag_run"]
    if hasattr(run, "get_task_instances"):  # Airflow 2
        states = {ti.state for ti in run.get_task_instances() if ti.task_id in body}
    else:
        found = context["ti"].get_task_states(run.dag_id, task_ids=body, run_ids=[run.run_id])
        states = set(found.get(run.run_id, {}).values())
    if "upstream_failed" in states and not states & {"failed", "success"}:
        raise AirflowFailException("not reached: something before it failed")
    return states


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


class ItemsAfter(Items):
    """Lists items once these tasks are over, however they ended, for each item by itself.

    The lists that these went over, the tasks in `lists`, must be there.
    With `always`, even if something before them has cut them off half-way.
    """

    def __init__(self, body=(), lists=(), always=False, **kwargs):
        super().__init__(trigger_rule="all_done", **kwargs)
        self.body = body
        self.lists = lists
        self.always = always

    def execute(self, context):
        if states_of(self.lists, context) & {"failed", "upstream_failed"}:
            raise AirflowFailException("no list of items: see the logs of these tasks")
        states = states_of(self.body, context)
        if "upstream_failed" in states and "failed" not in states and not self.always:
            raise AirflowFailException("something before the try failed")
        return super().execute(context)


with DAG(
    dag_id=PIPELINE,
    schedule=None,
    start_date=pendulum.parse("2024-01-01"),
    catchup=False,
    params={"values": Param([1, 5], type="array", items={"type": "integer"})},
    default_args={"retries": 0},
    doc_md=__doc__,
) as dag:
    for_value = Items(task_id="for_value", loops=["for value in params.values"])

    score = Step.partial(
        task_id="score",
        step="branch_in_fan_out:score",
        code="sha256:45fb548f742d",
        inputs={"value": "value"},
        loops=["for value in params.values"],
        map_index_template="{{ task.item.label }}",
    ).expand(item=for_value.output)

    # Runs after skipped tasks, too.
    if_1 = Items(
        task_id="if_1",
        loops=["for value in params.values", "if score[value] > 5"],
        trigger_rule="none_failed",
    )

    promote = Step.partial(
        task_id="promote",
        step="branch_in_fan_out:promote",
        code="sha256:0f997cdcc08d",
        inputs={"value": "score[value]"},
        loops=["for value in params.values"],
        map_index_template="{{ task.item.label }}",
    ).expand(item=if_1.output)

    # Runs after skipped tasks, too.
    if_1_else = Items(
        task_id="if_1-else",
        node="if_1",
        loops=["for value in params.values", "if not (score[value] > 5)"],
        trigger_rule="none_failed",
    )

    demote = Step.partial(
        task_id="demote",
        step="branch_in_fan_out:demote",
        code="sha256:6ab61aa64e06",
        inputs={"value": "score[value]"},
        loops=["for value in params.values"],
        map_index_template="{{ task.item.label }}",
    ).expand(item=if_1_else.output)

    # Runs after skipped tasks, too.
    risky = Step.partial(
        task_id="risky",
        step="branch_in_fan_out:risky",
        code="sha256:3788efb25dd8",
        inputs={"text": "text[value]"},
        loops=["for value in params.values"],
        map_index_template="{{ task.item.label }}",
        caught=True,
        trigger_rule="none_failed",
    ).expand(item=for_value.output)

    check_items = ItemsAfter(
        task_id="check-items",
        node="check",
        loops=["for value in params.values", "if not failed('risky')"],
        fail_items=True,
        caught=True,
        body=["risky"],
        lists=["for_value"],
    )

    check = Step.partial(
        task_id="check",
        step="branch_in_fan_out:check",
        code="sha256:afcdaac8419f",
        inputs={"text": "risky[value]"},
        loops=["for value in params.values"],
        map_index_template="{{ task.item.label }}",
        caught=True,
    ).expand(item=check_items.output)

    try_1_except = ItemsAfter(
        task_id="try_1-except",
        node="try_1",
        loops=["for value in params.values", 'if failed("risky", "check")'],
        body=["risky", "check"],
        lists=["check-items"],
    )

    # Runs after skipped tasks, too.
    instead = Step.partial(
        task_id="instead",
        step="branch_in_fan_out:instead",
        code="sha256:7bb3181a8fde",
        inputs={"text": "text[value]"},
        loops=["for value in params.values"],
        map_index_template="{{ task.item.label }}",
        trigger_rule="none_failed",
    ).expand(item=try_1_except.output)

    # Runs after skipped tasks, too.
    report = Step(
        task_id="report",
        step="branch_in_fan_out:report",
        code="sha256:ce0e9094b781",
        inputs={
            "texts": '[(instead[value] if failed("try_1") else check[value]) for value in params.values]',
        },
        trigger_rule="none_failed",
    )

    # The pipeline's outputs.
    return_ = Outputs(task_id="return", outputs={"0": "report"})

    score >> [if_1, if_1_else]
    [promote, demote] >> risky >> check_items
    check >> try_1_except
    [promote, demote] >> instead >> report >> return_
