"""Predict who leaves.

Made from examples/churn/pipeline.py:churn by Levada 0.1.0.
Source: sha256:57d4599dcb14a54a224ff4e740c58cb73466b81d20b61f0b8e21ca22a35266e7
Change that file and compile it again, rather than this one.
"""

import json
import os
import re
import sys
from datetime import timedelta
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

PIPELINE = "churn"
# The project on the worker, and the Python that has what its steps need. Artifacts
# and records are kept at LEVADA_STORE, or else in the project; workers share it.
PROJECT = os.environ.get("LEVADA_PROJECT") or str(Path(__file__, "../../../..").resolve())
PYTHON = os.environ.get("LEVADA_PYTHON") or sys.executable
# Where steps are imported from, within the project.
SOURCES = ["examples/churn", "."]
# How a retry's delay doubles: a switch up to Airflow 3.1, a factor since.
SWITCH = getattr(BaseOperator, "retry_exponential_backoff", False) is False
BACKOFF = True if SWITCH else 2.0
# What tasks compute from what there is, each by its name.
VALUES = {"if_1": "pick.auc >= params.min_auc"}

# What every command is told. Airflow fills in the {{ }} when the task starts.
ENVIRONMENT = {
    "LEVADA_RUN_ID": "{{ run_id }}",
    "LEVADA_TRY": "{{ ti.try_number }}",
    "LEVADA_TRIES": "{{ ti.max_tries + 1 }}",
    "LEVADA_PARAMS": "{{ macros.json.dumps(dict(params)) }}",
    "LEVADA_SOURCE": "sha256:57d4599dcb14a54a224ff4e740c58cb73466b81d20b61f0b8e21ca22a35266e7",
    "LEVADA_PIPELINE_FILE": "examples/churn/pipeline.py",
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


class Finally(BaseOperator):
    """Waits for the end of a `try`, however it ended; what follows it always runs."""

    def __init__(self, body=(), **kwargs):
        super().__init__(trigger_rule="all_done", **kwargs)
        self.body = body

    def execute(self, context):
        states_of(self.body, context)


with DAG(
    dag_id=PIPELINE,
    description="Predict who leaves.",
    schedule="0 6 * * *",
    start_date=pendulum.parse("2024-01-01"),
    catchup=False,
    params={
        "test_share": Param(
            0.25,
            type="number",
            description="The part of the rows that no model sees.",
        ),
        "depths": Param(
            [2, 4, 8],
            type="array",
            items={"type": "integer"},
            description="How deep the trees are, one model each.",
        ),
        "min_auc": Param(0.97, type="number", description="Publish only from this AUC on."),
        "seed": Param(7, type="integer", description="Of the split and of the forests."),
    },
    default_args={"owner": "data-science", "retries": 0},
    doc_md=__doc__,
    tags=["example"],
) as dag:
    load = Step(
        task_id="load",
        step="pipeline:load",
        code="sha256:55dbf5a72d8d",
        settings={"requirements": ["pandas", "scikit-learn"]},
        doc_md="Read a real table: scikit-learn ships no customers, so its 569 patients stand in for them.",
    )

    split = Step(
        task_id="split",
        step="pipeline:split",
        code="sha256:8e71747c7eeb",
        inputs={"rows": "load", "test_share": "params.test_share", "seed": "params.seed"},
        outputs=["train", "test"],
        settings={"requirements": ["pandas", "scikit-learn"]},
        doc_md="Set rows aside, with as many of each class on both sides.",
    )

    for_depth = Items(task_id="for_depth", loops=["for depth in params.depths"])

    train = Step.partial(
        task_id="train",
        step="pipeline:train",
        code="sha256:895e91ca49f7",
        inputs={"data": "split", "depth": "depth", "seed": "params.seed"},
        outputs=["model", "depth", "auc"],
        loops=["for depth in params.depths"],
        map_index_template="{{ task.item.label }}",
        settings={"timeout": 300, "requirements": ["pandas", "scikit-learn"]},
        retries=2,
        retry_delay=timedelta(seconds=1),
        retry_exponential_backoff=BACKOFF,
        execution_timeout=timedelta(minutes=6),
        doc_md="Fit a forest of trees of one depth, and measure it.",
    ).expand(item=for_depth.output)

    # Runs after skipped tasks, too.
    pick = Step(
        task_id="pick",
        step="pipeline:pick",
        code="sha256:5ef89f69983d",
        inputs={"reports": "[train[depth] for depth in params.depths]"},
        outputs=["model", "depth", "auc"],
        trigger_rule="none_failed",
        doc_md="Take the best, and the simplest of equals.",
    )

    if_1 = Branch(
        task_id="if_1",
        condition="pick.auc >= params.min_auc",
        then=["publish"],
        otherwise=["notify"],
    )

    publish = Step(
        task_id="publish",
        step="pipeline:publish",
        code="sha256:72c7d1b911e2",
        inputs={"model": "pick.model", "auc": "pick.auc"},
        doc_md="Hand the model over; a real pipeline would register it here.",
    )

    notify = Step(
        task_id="notify",
        step="pipeline:notify",
        code="sha256:459c1cf76c6b",
        inputs={"message": 'f"AUC {pick.auc} is below {params.min_auc}"'},
        doc_md="Tell somebody.",
    )

    try_1_finally = Finally(
        task_id="try_1-finally",
        body=["for_depth", "train", "pick", "if_1", "publish", "notify"],
    )

    close = Step(
        task_id="close",
        step="pipeline:close",
        code="sha256:925237bb4e48",
        inputs={"seed": "params.seed"},
        settings={"cache": False},
        doc_md="Whatever happened, say that the run is over.",
    )

    # The pipeline's outputs.
    return_ = Outputs(
        task_id="return",
        outputs={
            "outcome": "(publish if if_1 else notify)",
            "auc": "pick.auc",
            "depth": "pick.depth",
        },
        returns="tuple",
        trigger_rule="none_failed",
    )

    load >> split >> for_depth
    train >> pick >> if_1 >> Label("true") >> publish
    if_1 >> Label("false") >> notify
    [train, publish, notify] >> try_1_finally >> close
    [publish, notify, close] >> return_
