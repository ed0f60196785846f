"""Steps of other packages, and steps made of functions, run here: what ran, and what was cached."""

from __future__ import annotations

import json
import os
import py_compile
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.images.wheelhouse import wheel

SITE = ".venv/lib/python3.11/site-packages"
FILES = {
    "lib/bq/pyproject.toml": '[project]\nname = "bq-components"\nversion = "1"\n',
    "lib/bq/src/bq_components/__init__.py": """
from typing import NamedTuple

from levada import step
from .texts import PREFIX, unused


class Rows(NamedTuple):
    text: str
    count: int


@step
def query(sql: str) -> Rows:
    return Rows(PREFIX + sql, len(sql))
""",
    "lib/bq/src/bq_components/texts.py": 'PREFIX = "-- "\n\n\ndef unused():\n    return 1\n',
    "jobs/pyproject.toml": """
[project]
name = "jobs"
version = "1"
dependencies = ["bq-components", "acme-steps"]

[tool.uv.sources]
bq-components = { path = "../lib/bq", editable = true }
""",
    "jobs/flow.py": """
import json
import math

import acme.numbers
import hidden
from acme.steps import Summary, double
from bq_components import query
from levada import pipeline, step

root = step(math.sqrt)
dump = step(json.dumps, name="as_text")
add = step(acme.numbers.add)
secret = step(hidden.work)


@step
def label(summary: Summary) -> str:
    return f"{summary.total}!"


@pipeline
def flow(sql: str = "select"):
    rows = query(sql)
    summary = double(rows.count)
    return (
        rows.text,
        label(summary),
        root(add(summary.total, much=4)),
        dump(rows.text, indent=1),
        secret(2, by=3),
    )
""",
}
WHEEL = {
    "acme/steps.py": """
from dataclasses import dataclass

from levada import step

from .numbers import FACTOR


@dataclass
class Summary:
    total: int


@step
def double(count: int) -> Summary:
    return Summary(count * FACTOR)
""",
    "acme/numbers.py": """
FACTOR = 2


def add(one, /, *, much):
    return one + much
""",
}


class Folder:
    """A project with a package beside it, and wheels in its environment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name, text in FILES.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text)
        self.site = path / "jobs" / SITE
        self.install(WHEEL)
        source = path / "hidden.py"
        source.write_text("def work(x, *, by):\n    return x * by\n")
        py_compile.compile(str(source), str(self.site / "hidden.pyc"))
        source.unlink()

    def install(self, files: dict[str, str]) -> None:
        """Install a wheel that is built now, as an installer would."""
        built = wheel(self.path / "wheels", "acme-steps", "1.0", files, ["levada"])
        with zipfile.ZipFile(built) as archive:
            archive.extractall(self.site)

    def replace(self, file: str, old: str, new: str) -> None:
        text = (self.path / file).read_text()
        assert old in text
        (self.path / file).write_text(text.replace(old, new))

    def python(self, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
        variables = {**os.environ, "PYTHONPATH": path or str(self.site)}
        variables.pop("VIRTUAL_ENV", None)
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.path / "jobs",
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self) -> tuple[Any, set[str]]:
        """The outputs of a run, and the nodes that were run and not cached."""
        command = ["-m", "levada_cli.main", "run", "flow.py", "--store", "store", "--json"]
        done = self.python(*command)
        assert done.returncode == 0, done.stderr
        outcome = json.loads(done.stdout)
        ran = {each["node"] for each in outcome["steps"] if not each["cached"]}
        return outcome["outputs"], ran


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


ALL = {"query", "double", "label", "add", "root", "as_text", "secret"}


def test_they_run_and_a_change_reaches_exactly_the_steps_that_it_concerns(folder: Folder) -> None:
    assert folder.run() == (["-- select", "12!", 4.0, '"-- select"', 6], ALL)
    assert folder.run()[1] == set()

    folder.replace("lib/bq/src/bq_components/texts.py", "return 1", "return 2")
    assert folder.run()[1] == set()
    folder.replace("lib/bq/src/bq_components/texts.py", '"-- "', '"# "')
    outputs, ran = folder.run()
    assert (outputs[0], ran) == ("# select", {"query", "as_text"})

    folder.install({**WHEEL, "acme/numbers.py": WHEEL["acme/numbers.py"].replace("= 2", "= 5")})
    outputs, ran = folder.run()
    # All of a library belongs to a step that is made of a function of it.
    assert (outputs[1:3], ran) == (
        ["30!", pytest.approx(34**0.5)],
        {"double", "label", "add", "root"},
    )


def test_a_pod_or_a_worker_has_the_same_code(folder: Folder) -> None:
    """`python -m levada` computes the digest again, and warns if it is not what was compiled."""
    compiled = folder.python("-m", "levada_cli.main", "compile", "flow.py", "-t", "ir", "-o", "o")
    assert compiled.returncode == 0, compiled.stderr
    program = json.loads((folder.path / "jobs" / "o" / "flow.ir.json").read_text())
    assert program["search"] == [".", "../lib/bq/src"]
    sources = {
        "bq_components:query": {"sql": "'a'"},
        "acme.steps:double": {"count": "1"},
        "flow:add": {"one": "1", "much": "2"},
        "flow:secret": {"args": "(1,)", "kwargs": "{'by': 2}"},
    }
    codes = {step["key"]: step["code"] for step in program["steps"]}
    for key, given in sources.items():
        module, _, function = key.partition(":")
        place = {"pipeline": "flow", "run_id": "r", "node": function, "store": "store"}
        place |= {"project": ".", "paths": program["search"], "params": {}}
        step = {"module": module, "function": function, "code": codes[key]}
        request = {**place, "step": step, "sources": given}
        done = folder.python("-m", "levada", json.dumps(request))
        assert done.returncode == 0, done.stderr
        record = json.loads(done.stdout.splitlines()[-1])["record"]
        document = json.loads((folder.path / "jobs" / "store" / record).read_text())
        assert document["warnings"] == []
        assert document["code"]["digest"] == codes[key]


def test_a_failure_in_a_package_shows_its_frames(folder: Folder) -> None:
    broken = WHEEL["acme/steps.py"].replace("count * FACTOR", "count / 0")
    folder.install({**WHEEL, "acme/steps.py": broken})
    done = folder.python("-m", "levada_cli.main", "run", "flow.py", "--store", "store", "--json")
    error = json.loads(done.stdout)["error"]
    assert error["frames"] == [
        {
            "file": "site-packages/acme/steps.py",
            "line": 16,
            "function": "double",
            "code": "return Summary(count / 0)",
        }
    ]


@pytest.mark.parametrize("reason", ["does not have it", "has another version"])
def test_a_step_never_runs_with_another_version_than_was_read(folder: Folder, reason: str) -> None:
    other = folder.path / "other"
    other.mkdir()
    if reason == "has another version":
        newer = {**WHEEL, "acme/numbers.py": WHEEL["acme/numbers.py"].replace("= 2", "= 3")}
        with zipfile.ZipFile(wheel(folder.path / "wheels", "acme-steps", "1.0", newer)) as archive:
            archive.extractall(other)
    done = folder.python("-m", "levada_cli.main", "run", "flow.py", path=str(other))
    assert done.returncode == 1
    assert f"which would run it, {reason}\n" in done.stderr
