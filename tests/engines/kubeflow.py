"""Kubeflow Pipelines' SDK and its compiler to Argo: messages, a local runner, and a CEL not ours.

    python -m tests.engines.kubeflow install

It is in an environment of its own (`kfp` pins what others need unpinned), so everything that needs
it runs there as a program: `kubeflow_check` reads compiled files, `kubeflow_run` runs them on a
Docker engine, `kubeflow_cel` decides conditions. The compiler is built by `kubeflow_programs`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import environments, kubeflow_programs

LOCK = environments.REQUIREMENTS / "kubeflow.txt"
INSTALL = "python -m tests.engines.kubeflow install"
HERE = Path(__file__).parent


def is_installed() -> bool:
    """Whether the environment is there, and whole, and the compiler."""
    is_whole = environments.is_installed(environments.location("kubeflow", LOCK))
    return is_whole and kubeflow_programs.is_installed()


def install() -> None:
    """Make the environment and build the compiler if they are not there."""
    environments.install("kubeflow", LOCK)
    kubeflow_programs.install()


@dataclass(frozen=True)
class Kubeflow:
    """The installed SDK."""

    python: Path

    def problems(self, files: list[Path]) -> dict[str, str]:
        """What the SDK and KFP's messages have against each compiled file; nothing for most."""
        names = [str(file) for file in files]
        return dict(zip(names, json.loads(self._run("kubeflow_check.py", names)), strict=True))

    def compile(self, questions: list[tuple[Path, dict[str, Any]]]) -> list[dict[str, Any]]:
        """What KFP and Argo make of each compiled file with these parameters.

        That is the `workflow`, or the `error` of the API server or of Argo's validation.
        """
        asked = ({"file": str(file), "parameters": given} for file, given in questions)
        done = subprocess.run(
            [str(kubeflow_programs.COMPILER.location("compile"))],
            input="".join(f"{json.dumps(question)}\n" for question in asked),
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    def outputs(self, outputs: list[Any]) -> list[str]:
        """What its own message has against each executor output; nothing for one that is right."""
        found: list[str] = json.loads(self._run("kubeflow_check.py", outputs))
        return found

    def cel(self, questions: list[tuple[str, dict[str, Any]]]) -> list[Any]:
        """What CEL says of each condition with these parameters: true, false or an error's text."""
        found: list[Any] = json.loads(self._run("kubeflow_cel.py", questions))
        return found

    def run(
        self, runs: list[dict[str, Any]], docker_host: str, folder: Path, seconds: float = 600
    ) -> list[dict[str, Any]]:
        """Run compiled files; each has `file`, `arguments` and `mounts` (from where to where).

        One may have a `network` of Docker, and `secrets` as variables.
        """
        given = {"runs": runs, "folder": str(folder)}
        env = {"DOCKER_HOST": docker_host}
        found: list[dict[str, Any]] = json.loads(self._run("kubeflow_run.py", given, env, seconds))
        return found

    def _run(
        self, program: str, given: object, env: dict[str, str] | None = None, seconds: float = 300
    ) -> str:
        done = subprocess.run(
            # -P: `docker.py` beside the program is not what it imports
            [str(self.python), "-P", str(HERE / program)],
            input=json.dumps(given),
            env={**_environment(), **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        if done.returncode:
            raise AssertionError(f"{program} exited {done.returncode}:\n{done.stderr}")
        return done.stdout.splitlines()[-1]


def attach() -> Kubeflow:
    """The installed SDK, to be asked."""
    return Kubeflow(environments.location("kubeflow", LOCK) / "bin" / "python")


def _environment() -> dict[str, str]:
    dropped = ("PYTHON", "LEVADA_", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


if __name__ == "__main__":
    if sys.argv[1:] == ["lock"]:
        environments.lock(LOCK.with_suffix(".in"))
    elif sys.argv[1:] == ["install"]:
        install()
    else:
        sys.exit(f"usage: {INSTALL}")
