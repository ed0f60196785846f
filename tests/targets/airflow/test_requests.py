"""What operators ask of `python -m levada` is a request that it takes, without an Airflow."""

from __future__ import annotations

import json
import os
import re
from textwrap import shorten
from types import SimpleNamespace
from typing import Any

import pytest
from levada.task_request import TaskRequest
from levada_backends.airflow import operators

RUN = {"LEVADA_RUN_ID": "r"}


class Base:
    """As much of an operator of Airflow as the text of ours needs to be made."""

    def __init__(self, task_id: str, **_: Any) -> None:
        self.task_id = task_id


@pytest.fixture(scope="module")
def dag_file() -> Any:
    """The operators of a DAG file, with the constants of one."""
    names = ("Program", "Items", "Branch", "Outputs", "Check", "Raise")
    pieces = operators.Catalog(has_values=True).closure(names)
    found: dict[str, Any] = {
        "PIPELINE": "churn",
        "SOURCES": ["."],
        "ENVIRONMENT": {},
        "PYTHON": "python",
        "VALUES": {"größe": "params.size + 1", "if_1": "größe > 2", "unused": "1"},
        "BaseOperator": Base,
        "BranchMixIn": object,
        "json": json,
        "re": re,
        "os": os,
        "shorten": shorten,
    }
    exec("\n".join(operators.lines(pieces)), found)
    return SimpleNamespace(**found)


def asked(dag_file: Any, task: Any, **more: Any) -> TaskRequest:
    return TaskRequest(json.loads(dag_file.request_of(task, **more)), RUN)


def test_a_step_in_a_loop(dag_file: Any) -> None:
    task = dag_file.Step(
        task_id="fit",
        step="pipeline:fit",
        code="sha256:0123",
        inputs={"depth": "d", "text": '"{{ ds }} größe"'},
        outputs=["model", "auc"],
        settings={"timeout": 60},
        loops=["for d in params.depths", "where d > 2", "where if_1", "for e in d", "if e"],
        item={"index": "0.12", "label": "d=4"},
    )
    found = asked(dag_file, task, result="/tmp/result.json")
    assert (found.do, found.pipeline, found.node, found.paths) == ("step", "churn", "fit", ["."])
    assert (found.run_id, found.map_index, found.result) == ("r", (0, 12), "/tmp/result.json")
    assert found.step == {
        "module": "pipeline",
        "function": "fit",
        "code": "sha256:0123",
        "outputs": ["model", "auc"],
        "settings": {"timeout": 60},
    }
    assert found.sources == {"depth": "d", "text": '"{{ ds }} größe"'}
    loops = [(loop.target, loop.items, loop.where, loop.only) for loop in found.loops]
    assert loops == [("d", "params.depths", ["d > 2", "if_1"], []), ("e", "d", [], ["e"])]
    assert found.values == {"if_1": "größe > 2", "größe": "params.size + 1"}


def test_a_program(dag_file: Any) -> None:
    part = {"command": ["/bin/count"], "args": None, "outputs": {"n": "int"}}
    own = {"step": "tools:count", "code": "sha256:0", "settings": {"image": "tools:1"}}
    task = dag_file.Program(task_id="count", container=part, **own)
    found = asked(dag_file, task, stage=True, look_up=True, ends_pod=True)
    assert found.step.get("container") == part
    assert (found.stage, found.look_up, found.ends_pod) == (True, True, True)
    assert (found.sources, found.map_index) == ({}, ())


def test_what_is_no_step(dag_file: Any) -> None:
    items = dag_file.Items(task_id="list", node="for_d", loops=["for d in [1]"], fail_items=True)
    found = asked(dag_file, items)
    assert (found.do, found.node, found.fail_items) == ("items", "for_d", True)
    branch = dag_file.Branch(task_id="if_1", condition="if_1", checks=["größe"])
    found = asked(dag_file, branch)
    assert (found.do, found.expression, found.checks) == ("decide", "if_1", ["größe"])
    outputs = dag_file.Outputs(task_id="end", outputs={"0": "fit"}, returns="tuple")
    found = asked(dag_file, outputs)
    assert (found.do, found.outputs, found.returns) == ("outputs", {"0": "fit"}, "tuple")
    assert asked(dag_file, dag_file.Outputs(task_id="end")).outputs == {}
    assert asked(dag_file, dag_file.Check(task_id="check", checks=["if_1"])).checks == ["if_1"]
    error = dag_file.Raise(task_id="raise", classes=["builtins.ValueError"], arguments=["'no'"])
    found = asked(dag_file, error)
    assert (found.classes, found.arguments, found.handled) == (
        *(["builtins.ValueError"], ["'no'"]),
        None,
    )
    found = asked(dag_file, dag_file.Raise(task_id="raise", handled="try_1"))
    assert (found.handled, found.classes) == ("try_1", [])
