"""What `levada run` does with container steps, in a real Docker engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.containers import tool_images
from tests.engines.docker import Docker

pytestmark = pytest.mark.engine


@dataclass
class Runs:
    """A project in a folder, and runs of it."""

    root: Path
    docker: Docker

    def variables(self, **more: str) -> dict[str, str]:
        own = {"XDG_CACHE_HOME": str(self.root / "cache"), "DOCKER_HOST": self.docker.host}
        return os.environ | own | more

    def run(self, pipeline: str, *arguments: str, **more: str) -> dict[str, Any]:
        """Give the outcome; no container is left."""
        command = [str(Path(sys.executable).parent / "levada"), "run", f"programs.py:{pipeline}"]
        done = subprocess.run(
            [*command, "--json", *arguments],
            cwd=self.root,
            env=self.variables(**more),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout, done.stderr
        assert self.docker.run("ps", "--all", "--quiet").stdout == ""
        outcome: dict[str, Any] = json.loads(done.stdout)
        return outcome

    def folder(self, outcome: dict[str, Any], pipeline: str, node: str) -> Path:
        """The folder of the first attempt of a node."""
        return self.root / ".levada/runs" / pipeline / outcome["run_id"] / node / "1"

    def record(self, outcome: dict[str, Any], pipeline: str, node: str) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(
            (self.folder(outcome, pipeline, node) / "record.json").read_text()
        )
        return record


@pytest.fixture(scope="module")
def runs(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The pipelines of `programs.py`, with their images in the engine."""
    root = tmp_path_factory.mktemp("programs")
    shutil.copy(Path(__file__).parent / "cases" / "programs.py", root)
    (root / "pyproject.toml").touch()
    tool_images.load(docker, root)
    return Runs(root, docker)


def error(runs: Runs, pipeline: str, node: str, **more: str) -> dict[str, Any]:
    outcome = runs.run(pipeline, **more)
    assert outcome["status"] == "failed"
    found: dict[str, Any] = runs.record(outcome, pipeline, node)["error"]
    return found


def test_files_folders_texts_and_json(runs: Runs) -> None:
    outcome = runs.run("programs")
    assert outcome["outputs"] == [2, "row\nrow\n", "été", 5.0]
    record = runs.record(outcome, "programs", "count")
    assert record["environment"]["image"].startswith(f"{tool_images.TOOLS}@sha256:")
    assert record["container"]["command"] == ["/bin/sh", "-c"]
    assert record["inputs"]["data"]["source"] == "write"
    log = (runs.folder(outcome, "programs", "count") / "log").read_text()
    assert log == 'hello\n{"rows": 2}'


def test_the_cache(runs: Runs) -> None:
    """The same image, command and inputs are not run again; others are."""
    runs.run("programs", "--param", "rows=3")
    again = runs.run("programs", "--param", "rows=3")
    assert runs.record(again, "programs", "count")["cache"]["hit"]
    assert runs.record(again, "programs", "measure")["cache"]["hit"]
    other = runs.run("programs", "--param", "rows=4")
    assert not runs.record(other, "programs", "count")["cache"]["hit"]
    assert runs.record(other, "programs", "measure")["cache"]["hit"]


def test_the_docker_executor(runs: Runs) -> None:
    """Its own program runs as without that executor."""
    outcome = runs.run("failing", "--executor", "docker")
    found = runs.record(outcome, "failing", "fail")["error"]
    assert found["message"] == "the program ended with exit code 3"


def test_a_program_that_fails(runs: Runs) -> None:
    outcome = runs.run("failing")
    found = runs.record(outcome, "failing", "fail")["error"]
    assert (found["type"], found["permanent"]) == ("ProgramError", False)
    assert found["message"] == "the program ended with exit code 3"
    log = (runs.folder(outcome, "failing", "fail") / "log").read_text()
    assert log.startswith("the reason\n")


def test_an_output_that_is_not_written(runs: Runs) -> None:
    found = error(runs, "forgetting", "forget")
    assert "did not write the output 'lines': there is no /levada/out/lines" in found["message"]


def test_an_output_of_another_type(runs: Runs) -> None:
    found = error(runs, "mistaken", "mistake")
    assert "the output 'n' in /levada/out/n is not int: 'many\\n'" in found["message"]


def test_a_command_that_the_image_does_not_have(runs: Runs) -> None:
    found = error(runs, "lacking", "absent")
    assert f"the image {tool_images.TOOLS} cannot run this" in found["message"]
    assert "/bin/absent" in found["message"]


def test_a_timeout(runs: Runs) -> None:
    assert error(runs, "waiting", "wait")["kind"] == "timeout"


def test_the_limit_of_memory(runs: Runs) -> None:
    """A limit of more cores than there are is none."""
    found = error(runs, "eating", "eat")
    used = "the program used more memory than its limit of 32Mi (resources.memory)"
    assert found["message"] == f"{used} (exit code 137)"


def test_a_secret_is_masked(runs: Runs) -> None:
    outcome = runs.run("telling", TOKEN="open sesame")
    assert outcome["status"] == "succeeded"
    log = (runs.folder(outcome, "telling", "told") / "log").read_text()
    assert "open sesame" not in log
    assert "it is" in log
    with pytest.raises(AssertionError, match="`told`: the secret `store/token` is missing"):
        runs.run("telling")


def test_no_docker_engine(runs: Runs) -> None:
    found = error(runs, "failing", "fail", DOCKER_HOST="unix:///nowhere.sock")
    assert "a container step needs a Docker engine here" in found["message"]


def test_a_step_whose_image_has_no_levada(runs: Runs) -> None:
    """The way out names `container`."""
    outcome = runs.run("unsuited", "--executor", "docker")
    found = runs.record(outcome, "unsuited", "unable")["error"]
    assert "it needs Python and this version of Levada" in found["message"]
    assert 'container("name:tag"' in found["message"]


def test_plain_python(runs: Runs) -> None:
    """A call in plain Python runs the same program."""
    script = "import programs as p\nparts = p.measure(text='ab')\nprint(parts.same, parts.size)\n"
    script += "lines = p.programs(1)\nprint()\nprint(lines)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=runs.root,
        env=runs.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[0] == "ab 2.0", done.stderr
    assert done.stdout.splitlines()[-1] == "(1, 'row\\n', 'été', 5.0)"
