"""The example: its DAG file is committed here, and every way to run it gives the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engines.airflow import Airflow

ROOT = Path(__file__).resolve().parents[2]
MODULE = "examples/churn/pipeline.py"
DAGS = "examples/churn/dags"  # committed, as a user would
LEVADA = str(Path(sys.executable).parent / "levada")
PARAMETERS = {"depths": [2, 3]}


@pytest.fixture(scope="module")
def expected() -> list[Any]:
    """What plain Python returns."""
    code = "import json, pipeline; print(json.dumps(pipeline.churn(depths=[2, 3])))"
    folder = str(ROOT / MODULE).rpartition("/")[0]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    outputs: list[Any] = json.loads(done.stdout.splitlines()[-1])
    assert outputs[0].startswith("published")
    return outputs


def test_the_dag_file_is_what_was_committed() -> None:
    """`LEVADA_UPDATE_CASES=1` writes it anew."""
    command = [LEVADA, "compile", MODULE, "--target", "airflow", "-o", DAGS]
    if not os.environ.get("LEVADA_UPDATE_CASES"):
        command.append("--check")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_runs_here_and_then_from_the_cache(expected: list[Any], tmp_path: Path) -> None:
    first = run(tmp_path / "store")
    assert first["outputs"] == expected
    assert not any(step["cached"] for step in first["steps"])
    # Large packages are imported once, and nothing is read that a second run may not compare.
    records = [json.loads(each.read_text()) for each in tmp_path.rglob("record.json")]
    assert {record["start"] for record in records} == {"fork"}
    assert not any(any(record["observed"].values()) for record in records)
    second = run(tmp_path / "store")
    assert second["outputs"] == expected
    ran = [step for step in second["steps"] if step["status"] == "succeeded"]
    assert len(ran) == 7
    assert [step["node"] for step in ran if not step["cached"]] == ["close"]  # for its effect


@pytest.mark.engine
def test_it_runs_in_airflow(airflow: Airflow, expected: list[Any]) -> None:
    command = [LEVADA, "compile", MODULE, "--target", "airflow", "-o", str(airflow.dags_folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    airflow.deploy({"churn.py": (airflow.dags_folder / "churn.py").read_text()})
    ended = airflow.run("churn", PARAMETERS, timeout=600)
    assert ended.state == "success", ended.describe()
    outputs = ended.xcom("return")["outputs"]  # Airflow 3 keeps no order of keys
    assert [outputs[name] for name in ("outcome", "auc", "depth")] == expected


def run(store: Path) -> dict[str, Any]:
    """`levada run --json`."""
    command = [LEVADA, "run", MODULE, "--param", "depths=[2, 3]", "--store", str(store), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    said: dict[str, Any] = json.loads(done.stdout)
    return said
