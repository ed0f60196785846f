"""ignored.

Made from tests/targets/airflow/cases/ignored.py:ignored by Levada 0.1.0.
Source: sha256:72042d3ac358564988b360421474c046399371b6abf60ca511aca41238470e99
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
    from airflow.providers.standard.operators.branch import BranchMixIn
    from airflow.sdk import DAG, BaseOperator, Label
    from airflow.sdk.definitions.param import Param
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.hooks.subprocess import SubprocessHook
    from airflow.models import BaseOperator
    from airflow.models.param import Param
    from airflow.operators.branch import BranchMixIn
    from airflow.utils.edgemodifier import Label

try:  # Airflow 3.2
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
except ImportError:
    from airflow.exceptions import AirflowException, AirflowFailException

PIPELINE = "ignored"
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
    "LEVADA_SOURCE": "sha256:72042d3ac358564988b360421474c046399371b6abf60ca511aca41238470e99",
    "LEVADA_PIPELINE_FILE": "tests/targets/airflow/cases/ignored.py",
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


class Except(BaseOperator, BranchMixIn):
    """Waits for the end of a `try`; goes on to the handler only if a task of it failed."""

    inherits_from_skipmixin = True

    def __init__(self, body=(), then=(), **kwargs):
        super().__init__(trigger_rule="all_done", **kwargs)
        self.body = body
        self.then = then

    def execute(self, context):
        states = states_of(self.body, context)
        if "upstream_failed" in states and "failed" not in states:
            raise AirflowFailException("something before the try failed")
        skipped = [] if "failed" in states else self.then
        self.do_branch(context, sorted(self.downstream_task_ids - set(skipped)))
        return "failed" in states


with DAG(
    dag_id=PIPELINE,
    schedule=None,
    start_date=pendulum.parse("2024-01-01"),
    catchup=False,
    params={
        "first": Param(-1, type="integer"),
        "second": Param(1, type="integer"),
        "wanted": Param(False, type="boolean"),
    },
    default_args={"retries": 0},
    doc_md=__doc__,
) as dag:
    risky = Step(
        task_id="risky",
        step="ignored:risky",
        code="sha256:b4305db120a8",
        inputs={"value": "params.first"},
        caught=True,
    )

    use = Step(
        task_id="use",
        step="ignored:use",
        code="sha256:21072302ec36",
        inputs={"value": "risky"},
        settings={"cache": False},
        caught=True,
    )

    try_1_except = Except(task_id="try_1-except", body=["risky", "use"])

    risky_2 = Step(
        task_id="risky_2",
        step="ignored:risky",
        code="sha256:b4305db120a8",
        inputs={"value": "params.second"},
    )

    if_1 = Branch(task_id="if_1", condition="params.wanted", then=["use_2"])

    use_2 = Step(
        task_id="use_2",
        step="ignored:use",
        code="sha256:21072302ec36",
        inputs={"value": "risky_2"},
        settings={"cache": False},
    )

    # The pipeline's outputs.
    return_ = Outputs(task_id="return", trigger_rule="none_failed")

    risky >> use >> try_1_except >> risky_2 >> if_1 >> Label("true") >> use_2 >> return_
