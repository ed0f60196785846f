"""The operators of DAGs that Levada has compiled: each runs `python -m levada` for a task.

Made by Levada; compile the pipelines again, rather than change this file.
Source: sha256:e14f04f0cac401ab2d428e7b6ed62bdb90fc896e1297b185ffc51a1a23d45da0
"""

import json
import os
import re
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten

import pendulum

try:  # Airflow 3
    from airflow.providers.standard.hooks.subprocess import SubprocessHook
    from airflow.providers.standard.operators.branch import BranchMixIn
    from airflow.sdk import BaseOperator
except ImportError:  # Airflow 2
    from airflow.hooks.subprocess import SubprocessHook
    from airflow.models import BaseOperator
    from airflow.operators.branch import BranchMixIn

try:  # Airflow 3.2
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowRescheduleException,
    )
except ImportError:
    from airflow.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowRescheduleException,
    )

IS_2 = BaseOperator.__module__.startswith("airflow.models")


def values_of(task, text):
    """The named values that the expressions in a text use, directly or through others."""
    found, left = {}, [text]
    while left:
        for name in re.findall(r"[\w.\u0080-\U0010ffff]+", left.pop()):
            while name and name not in task.VALUES:
                name = name.rpartition(".")[0]
            if name and name not in found:
                found[name] = task.VALUES[name]
                left.append(task.VALUES[name])
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
    place = {"pipeline": task.PIPELINE, "node": task.node or task.task_id, "paths": task.SOURCES}
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
        self.env = self.ENVIRONMENT

    def execute(self, context):
        self.process = SubprocessHook()
        env = {**os.environ, **self.env}
        with TemporaryDirectory() as folder:
            # In a file: an argument and a variable of a process are at most 128 KiB.
            request, result = Path(folder, "request.json"), Path(folder, "result.json")
            params = json.loads(env.pop("LEVADA_PARAMS"))
            request.write_text(request_of(self, params=params, result=str(result)))
            command = [self.PYTHON, "-m", "levada", f"@{request}"]
            code = self.process.run_command(command, env=env, cwd=self.PROJECT).exit_code
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


class Program(Step):
    """Runs a program of an image that is not Levada's, by Docker: files are all that it sees."""

    def __init__(self, container, **kwargs):
        super().__init__(**kwargs)
        self.levada["step"]["container"] = container


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


class Check(Command):
    """Evaluates values that may raise before what follows: a failure of theirs is not caught."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.levada = {"do": "check"}


class Raise(Command):
    """Fails for good with an exception: of these classes, or the one that is handled."""

    def __init__(self, classes=(), arguments=(), handled=None, **kwargs):
        super().__init__(**kwargs)
        error = {"classes": classes, "arguments": arguments, "handled": handled}
        self.levada = {"do": "raise", **error}


class Outputs(Command):
    """Records what the pipeline returns, and that the run has succeeded."""

    def __init__(self, outputs=None, returns="value", **kwargs):
        super().__init__(**kwargs)
        self.levada = {"do": "outputs", "outputs": outputs, "returns": returns}


class Handle(Command, BranchMixIn):
    """Waits for the end of a `try`; goes on to the handler if a task or a value of it failed."""

    inherits_from_skipmixin = True

    def __init__(self, condition, body=(), then=(), **kwargs):
        super().__init__(trigger_rule="all_done", **kwargs)
        self.levada = {"do": "decide", "expression": condition}
        self.body = body
        self.then = then

    def execute(self, context):
        states = states_of(self.body, context)
        if "upstream_failed" in states and "failed" not in states:
            raise AirflowFailException("something before the try failed")
        failed = "failed" in states or super().execute(context)
        skipped = [] if failed else self.then
        self.do_branch(context, sorted(self.downstream_task_ids - set(skipped)))
        return failed


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


class Finally(BaseOperator):
    """Waits for the end of a `try`, however it ended; what follows it always runs."""

    def __init__(self, body=(), **kwargs):
        super().__init__(trigger_rule="all_done", **kwargs)
        self.body = body

    def execute(self, context):
        states_of(self.body, context)


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


def in_order(context):
    """Let a mapped task wait for the items before its own; it fails if one of these has failed."""
    ti, run = context["ti"], context["dag_run"]
    if hasattr(run, "get_task_instances"):  # Airflow 2
        found = {(one.task_id, one.map_index): one.state for one in run.get_task_instances()}
        before = {found.get((ti.task_id, index)) for index in range(ti.map_index)}
    else:
        given = ti.get_task_states(run.dag_id, task_ids=[ti.task_id], run_ids=[run.run_id])
        found = given.get(run.run_id, {})
        before = {found.get(f"{ti.task_id}_{index}") for index in range(ti.map_index)}
    if before & {"failed", "upstream_failed"}:
        raise AirflowFailException("not reached: an item before this one failed")
    if before - {"success", "skipped"}:  # it waits for its next attempt
        raise AirflowRescheduleException(pendulum.now("UTC").add(seconds=10))


def bind(*operators, **constants):
    """Give each of these operators the constants of one DAG."""
    constants = {"__module__": __name__, "VALUES": {}, **constants}
    return [type(one)(one.__name__, (one,), constants) for one in operators]
