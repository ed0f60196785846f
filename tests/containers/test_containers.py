"""What `levada run --executor docker` does at the walls of a container, in a real engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from levada_backends.images.make_base import make_base

from tests.engines import docker as docker_engine
from tests.engines.docker import Docker

pytestmark = pytest.mark.engine

PYPROJECT = """\
[project]
name = "walls"
version = "1"

[tool.levada.images]
base = "oci:base.tar@{digest}"
python = "{major}.{minor}"
"""


@dataclass
class Runs:
    """A project in a folder, and runs of it."""

    root: Path
    docker: Docker
    variables: dict[str, str] = field(default_factory=dict)

    def start(self, pipeline: str, *arguments: str) -> subprocess.Popen[str]:
        command = [str(Path(sys.executable).parent / "levada"), "run", f"pipeline.py:{pipeline}"]
        own = {"XDG_CACHE_HOME": str(self.root / "cache"), "DOCKER_HOST": self.docker.host}
        return subprocess.Popen(
            [*command, "--executor", "docker", "--json", *arguments],
            cwd=self.root,
            env=os.environ | own | self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, pipeline: str, *arguments: str) -> tuple[dict[str, Any], str]:
        """Give the outcome and what was said beside it; no container is left."""
        process = self.start(pipeline, *arguments)
        out, err = process.communicate()
        assert self.docker.run("ps", "--all", "--quiet").stdout == ""
        return (json.loads(out) if out else {}), err

    def record(self, node: str, attempt: int = 1) -> dict[str, Any]:
        """The record of the newest run that has the node."""
        found = (self.root / ".levada/runs").glob(f"*/*/{node}/{attempt}/record.json")
        newest = max(found, key=lambda path: path.stat().st_mtime)
        record: dict[str, Any] = json.loads(newest.read_text())
        return record


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipelines with a base image."""
    root = tmp_path_factory.mktemp("walls")
    shutil.copy(Path(__file__).parent / "cases" / "pipeline.py", root)
    major, minor = sys.version_info[:2]
    digest = make_base(root / "base.tar")
    (root / "pyproject.toml").write_text(PYPROJECT.format(digest=digest, major=major, minor=minor))
    return root


@pytest.fixture
def runs(project: Path, docker: Docker) -> Runs:
    """Runs in the engine of the session."""
    return Runs(project, docker)


def error(runs: Runs, pipeline: str, node: str, *arguments: str) -> dict[str, Any]:
    """The error of a run that fails at a node, as its record has it."""
    outcome, said = runs.run(pipeline, *arguments)
    assert outcome["status"] == "failed", said
    found: dict[str, Any] = runs.record(node)["error"]
    return found


def test_the_limit_of_memory(runs: Runs) -> None:
    found = error(runs, "memory", "use_memory", "--param", "size=500000000")
    assert found["kind"] == "killed"
    assert "more memory than its limit of 64Mi (resources.memory)" in found["message"]
    outcome, _ = runs.run("memory", "--param", "size=1000")
    assert outcome["outputs"] == 1000


def test_more_cpus_than_there_are(runs: Runs) -> None:
    outcome, said = runs.run("all_cpus")
    assert outcome["status"] == "succeeded", said
    (warning,) = runs.record("use_all_cpus")["warnings"]
    assert warning.endswith("all that the Docker engine has: resources.cpu is 4096")


def test_the_end_by_a_signal(runs: Runs) -> None:
    """As on any machine, although it is the only process of its container."""
    found = error(runs, "signalled", "end_by_signal")
    assert (found["kind"], found["message"]) == (
        "killed",
        "the step's process was ended by SIGSEGV",
    )


def test_a_timeout(runs: Runs) -> None:
    found = error(runs, "timeout", "take_too_long")
    assert found["kind"] == "timeout"
    assert any("time.sleep(60)" in line for line in found["traceback"])


def test_a_secret_is_a_variable_and_nowhere_else(runs: Runs) -> None:
    runs.variables["TOKEN"] = "open sesame"
    outcome, said = runs.run("secret")
    assert outcome["status"] == "succeeded", said
    kept = [path for path in (runs.root / ".levada").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"open sesame" in path.read_bytes()]
    assert "open sesame" not in said
    del runs.variables["TOKEN"]
    outcome, said = runs.run("secret", "--no-cache")
    assert not outcome
    assert "`tell_secret`: the secret" in said
    assert "set the environment variable TOKEN" in said


def test_only_tmp_and_the_store_can_be_written(runs: Runs) -> None:
    found = error(runs, "read_only", "write_where_it_is")
    assert "Read-only file system" in found["message"]
    outcome, said = runs.run("scratch", "--param", "path=any")
    assert outcome["status"] == "succeeded", said
    uid, pid = outcome["outputs"]
    assert uid == os.getuid()  # so that what is in the store is the caller's
    assert pid != 1


def test_the_record_names_the_image_and_the_cache_knows_it(runs: Runs) -> None:
    first, _ = runs.run("scratch", "--param", "path=same")
    image = runs.record("write_to_tmp")["environment"]["image"]
    assert image.startswith("scratch/")
    assert "@sha256:" in image
    second, _ = runs.run("scratch", "--param", "path=same")
    record = runs.record("write_to_tmp")
    assert record["cache"]["hit"]
    assert record["environment"]["image"] == image
    assert record["engine"] == {"name": "local", "executor": "docker"}
    assert first["outputs"] == second["outputs"]


def test_attempts_after_the_first(runs: Runs) -> None:
    outcome, said = runs.run("retried")
    assert outcome["status"] == "succeeded", said
    assert [runs.record("succeed_at_last", n)["status"] for n in (1, 2, 3)] == [
        *("failed", "failed"),
        "succeeded",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_no_container(runs: Runs, number: signal.Signals) -> None:
    process = runs.start("waiting", "--no-cache")
    _wait_for_container(runs.docker, process)
    process.send_signal(number)
    out, said = process.communicate()
    assert process.returncode == 130, said
    assert json.loads(out)["status"] == "cancelled"
    assert runs.docker.run("ps", "--all", "--quiet").stdout == ""
    assert runs.record("wait")["status"] == "cancelled"


def test_an_image_that_is_not_to_be_had(runs: Runs) -> None:
    found = error(runs, "own_image", "in_its_own_image")
    assert "has no image nowhere.invalid/none:1, and cannot pull it" in found["message"]


def test_no_engine(runs: Runs) -> None:
    runs.variables["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    process = runs.start("retried")
    _, said = process.communicate()
    assert process.returncode == 1
    assert said.splitlines()[-2:] == [
        "error: no Docker engine answers at unix:///nowhere/docker.sock",
        "help: start one, or name it in DOCKER_HOST; without `--executor docker` none is needed",
    ]


def test_an_engine_that_dies(project: Path, docker: Docker) -> None:
    """One of its own, that nobody else misses; `docker` says that there can be one."""
    with docker_engine.start() as own:
        runs = Runs(project, own)
        process = runs.start("waiting", "--no-cache")
        _wait_for_container(own, process)
        os.kill(int((own.folder / "docker.pid").read_text()), signal.SIGKILL)
        out, said = process.communicate()
        assert json.loads(out)["status"] == "failed", said
        found = runs.record("wait")["error"]
        assert "was lost while the step ran" in found["message"]
    assert own.host != docker.host


def _wait_for_container(docker: Docker, process: subprocess.Popen[str]) -> None:
    while docker.run("ps", "--quiet").stdout == "":
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


BESIDE = {
    "lib/bq/pyproject.toml": '[project]\nname = "bq"\nversion = "1"\n',
    "lib/bq/src/bq/__init__.py": """
from levada import step

from .words import PREFIX


@step
def query(sql: str) -> str:
    return PREFIX + sql
""",
    "lib/bq/src/bq/words.py": 'PREFIX = "-- "\n',
    "jobs/pipeline.py": """
import textwrap

from bq import query
from levada import pipeline, step

indent = step(textwrap.indent, name="indented")


@pipeline
def beside(sql: str = "select"):
    return indent(query(sql), "> ")
""",
}


def test_a_package_beside_the_project(project: Path, docker: Docker, tmp_path: Path) -> None:
    """Its code is in the image, by the same path from the project as here."""
    for name, text in BESIDE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    settings = (project / "pyproject.toml").read_text().replace("oci:", f"oci:{project}/")
    requires = 'version = "1"\ndependencies = ["bq"]\n'
    sources = '\n[tool.uv.sources]\nbq = { path = "../lib/bq", editable = true }\n'
    text = settings.replace('version = "1"\n', requires) + sources
    (tmp_path / "jobs" / "pyproject.toml").write_text(text)
    runs = Runs(tmp_path / "jobs", docker)
    outcome, said = runs.run("beside")
    assert outcome["status"] == "succeeded", said
    assert outcome["outputs"] == "> -- select"
    assert runs.record("query")["code"]["file"] == "../lib/bq/src/bq/__init__.py"
