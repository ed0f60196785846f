"""The metrics of a step: in short in its record, all of them beside it, and while it runs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from levada import metric_series, records
from levada.log_reader import LogReader
from levada.store import Store, open_store

_PIPELINE = """\
import os, time
import levada
from levada import pipeline, step

@step
def train(count: int, end: str) -> int:
    for number in range(count):
        levada.log_metric("loss", 1 / (number + 1), step=number)
    levada.log_metric("auc", 0.5)
    levada.log_metric("odd", float("nan"))
    levada.log_metric("odd", float("inf"))
    if end == "wait":
        here = os.path.dirname(__file__)
        open(f"{here}/logged", "w").close()
        while not os.path.exists(f"{here}/go"):
            time.sleep(0.05)
    if end == "kill":
        os.kill(os.getpid(), 9)
    if end == "raise":
        raise ValueError("no")
    return count

@pipeline
def flow(count: int = 3, end: str = ""):
    return train(count, end)
"""


class Project:
    """A pipeline whose step logs metrics, and its store."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        (folder / "pyproject.toml").write_text('[project]\nname = "p"\nversion = "1"\n')
        (folder / "flow.py").write_text(_PIPELINE)

    @property
    def store(self) -> Store:
        return open_store(self._url)

    def start(self, **parameters: object) -> subprocess.Popen[str]:
        words = [f"{name}={value}" for name, value in parameters.items()]
        options = [word for each in words for word in ("-p", each)]
        command = [str(Path(sys.executable).parent / "levada"), "run", "flow.py", *options]
        return subprocess.Popen(
            [*command, "--store", self._url, "--run-id", "r", "--json"],
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def record(self, **parameters: object) -> dict[str, Any]:
        process = self.start(**parameters)
        _, said = process.communicate(timeout=60)
        found: dict[str, Any] | None = records.read_record(self.store, self.attempt)
        assert found is not None, said
        return found

    @property
    def attempt(self) -> str:
        return records.attempt_path("flow", "r", "train", None, 1)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, str(tmp_path / "store"))


def _in_short(record: dict[str, Any]) -> dict[str, tuple[object, ...]]:
    names = ("value", "step", "count", "min", "max")
    return {each["name"]: tuple(map(each.get, names)) for each in record["metrics"]}


WHOLE = {
    "loss": (0.25, 3, 4, 0.25, 1.0),
    "auc": (0.5, None, None, None, None),
    "odd": ("Infinity", None, 2, None, None),
}


@pytest.mark.parametrize("end", ["", "raise", "kill"])
def test_a_record_has_them_in_short(project: Project, end: str) -> None:
    """However the step ends; the series are in a blob."""
    record = project.record(count=4, end=end)
    assert _in_short(record) == WHOLE
    kinds = {"": None, "raise": "error", "kill": "killed"}
    assert (record["error"] or {}).get("kind") == kinds[end]
    (digest,) = {each["series"] for each in record["metrics"] if "series" in each}
    series = json.loads(project.store.read_blob(digest))
    assert series["loss"]["value"] == [1.0, 0.5, 1 / 3, 0.25]
    assert series["loss"]["step"] == [0, 1, 2, 3]
    assert len(series["loss"]["time"]) == 4
    assert list(series) == ["loss", "odd"]
    assert metric_series.FILE not in project.store.list(project.attempt)


def test_many_values_make_no_large_record(project: Project) -> None:
    record = project.record(count=50_000)
    assert len(json.dumps(record)) < 20_000


def test_they_are_read_while_the_step_runs(project: Project, tmp_path: Path) -> None:
    process = project.start(count=4, end="wait")
    end = time.monotonic() + 30
    while not (tmp_path / "logged").exists() and time.monotonic() < end:
        time.sleep(0.05)
    reader = LogReader(project.store, project.attempt, metric_series.FILE)
    found = list(metric_series.lines(reader.new()))
    assert [each["name"] for each in found] == ["loss"] * 4 + ["auc", "odd", "odd"]
    assert found[3]["value"] == 0.25
    assert list(reader.new()) == []
    (tmp_path / "go").touch()
    process.communicate(timeout=30)
    assert _in_short(records.read_record(project.store, project.attempt)) == WHOLE


def test_a_line_that_was_cut_short_is_left_out() -> None:
    whole = b'["a", 1, null, "t"]\n'
    found = list(metric_series.lines([whole[:5], whole[5:] + b"no json\n" + whole[:7]]))
    assert [each["name"] for each in found] == ["a"]
