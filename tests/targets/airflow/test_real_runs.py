"""The DAG files of the cases in real Airflows: they import, and runs go as plain Python would."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from levada_backends.airflow import TARGET
from levada_compiler.compilation import compile_file

from .emission import CASES, FOLDER, options

if TYPE_CHECKING:
    from tests.engines.airflow import Airflow

pytestmark = pytest.mark.engine
ROOT = Path(__file__).resolve().parents[3]

#: Other tests deploy to the same Airflow.
PREFIX = "target_"

#: Neither a template nor a command.
TEXT = "{{ ti }} $(x) '\"\\ \N{BALLOON}"

#: pipeline, parameters, state of the run, outputs, steps that must not have run
RUNS: list[tuple[str, dict[str, Any], str, dict[str, Any], list[str]]] = [
    ("fan_out", {}, "success", {"top": 1.4}, []),
    ("fan_out", {"depths": []}, "success", {"top": 0.0}, ["train", "measure"]),
    ("branch", {}, "success", {"0": "deployed 8.0"}, ["ask"]),
    ("branch", {"path": "a", "limit": 1.0}, "success", {"0": "asked about 1.0"}, ["deploy"]),
    ("branch", {"path": "", "limit": 1.0}, "success", {"0": "nothing"}, ["deploy", "ask"]),
    ("guard", {}, "success", {"0": 1}, ["fallback"]),
    ("guard", {"url": TEXT}, "success", {"0": 6}, ["fallback"]),
    ("guard", {"url": "bad"}, "success", {"0": 1}, ["parse"]),
    ("branch_in_fan_out", {}, "success", {"0": "down 3, UP 15"}, []),
    ("branch_in_fan_out", {"values": [1, 11, 4]}, "success", {"0": "down 3, up 33!, UP 12"}, []),
    ("ignored", {}, "success", {}, ["use", "use_2"]),
    ("ignored", {"second": -1}, "failed", {}, ["use", "use_2", "end"]),
    ("groups", {}, "success", {"result": 10}, ["total_2"]),
    ("groups", {"everything": False}, "success", {"result": 8}, ["size", "total"]),
]


def test_runs_go_as_plain_python_would(airflow: Airflow) -> None:
    airflow.deploy({f"{PREFIX}{case}.py": deployable(case, airflow) for case in CASES}, timeout=180)
    runs = airflow.start_runs([(PREFIX + name, parameters) for name, parameters, *_ in RUNS])
    for run, (name, parameters, state, outputs, idle) in zip(
        airflow.wait(runs, timeout=900), RUNS, strict=True
    ):
        told = f"{name} {parameters}: {run.describe()}"
        assert run.state == state, told
        states = run.states()
        assert not [task for task in idle if "success" in states[task]], told
        if outputs:
            assert run.xcom("return")["outputs"] == outputs, told


def test_a_permanent_error_is_not_tried_again(airflow: Airflow) -> None:
    airflow.deploy({f"{PREFIX}retries.py": deployable("retries", airflow)}, timeout=180)
    run = airflow.run(f"{PREFIX}retries", {"text": TEXT}, timeout=600)
    assert run.state == "success", run.describe()
    assert run.task("flaky").try_number == 2
    assert run.task("hopeless").try_number == 1
    assert run.xcom("return")["outputs"] == {"attempt": 2, "outcome": TEXT}


def deployable(case: str, airflow: Airflow) -> str:
    """The DAG file of a case, made for the folder that it is to be in."""
    program = compile_file(FOLDER / "cases" / f"{case}.py", case).program
    assert program is not None
    project = os.path.relpath(ROOT, airflow.dags_folder.resolve())
    named = replace(program, name=PREFIX + case)
    (text,) = TARGET.emit(named, {**options(case), "project": project}).values()
    return text
