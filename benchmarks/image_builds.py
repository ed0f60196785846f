"""The same step, made an image by each tool in its own way; each is a process that is timed.

All start from one base that the registry has, with this Python and pip. A build has the machine's
network: the engine of the tests has no other.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import engines
from tests.engines.docker import Docker
from tests.images.parts import PYTHON

TOTAL = "int(np.sum(pd.Series(range(n)).to_numpy()))"
HEAD = "import numpy as np\nimport pandas as pd\n{more}"
LEVADA = """
from levada import pipeline, step
{head}

@step
def total(n: int) -> int:
    return {total} + {number}

@pipeline
def sums(n: int = 10):
    return total(n)
"""
PROJECT = """
[project]
name = "sums"
version = "1"
dependencies = [{packages}]

[tool.levada.images]
base = "{base}"
python = "{python}"
"""
PLAIN = "{head}\n\ndef total(n):\n    return {total} + {number}\n"
PIP = """FROM {base}
RUN python -m venv /venv
RUN /venv/bin/pip install --no-cache-dir {packages}
COPY app /app
"""
UV = """FROM {base}
ENV ROUND="{round}"
COPY uv /bin/uv
RUN --mount=type=cache,target=/root/.cache/uv \\
    UV_LINK_MODE=copy uv venv /venv && uv pip install --python /venv/bin/python {packages}
COPY app /app
"""
KFP = """
from kfp import dsl


@dsl.component(base_image="{base}", target_image="{target}", packages_to_install={packages})
def total(n: int) -> int:
{indented}
    return {total} + {number}
"""
#: docker-py as KFP calls it, with the network that the engine's builds need here, and no more.
KFP_BUILD = """
import functools, docker
docker.APIClient.build = functools.partialmethod(docker.APIClient.build, network_mode="host")
from kfp.cli.__main__ import main
main()
"""
ZENML = """
from zenml import pipeline, step
from zenml.config import DockerSettings

docker = DockerSettings(
    parent_image="{base}",
    requirements={packages},
    install_stack_requirements=False,
    python_package_installer_args={{"system": None}},
    allow_download_from_artifact_store=False,
    build_config={{"build_options": {{"network_mode": "host"}}}},
)


@step
def total(n: int) -> int:
{indented}
    return {total} + {number}


@pipeline(settings={{"docker": docker}})
def sums(n: int = 10):
    total(n)
"""
ZENML_STACK = """
init
image-builder register local-docker --flavor local
container-registry register here --flavor default --uri={registry}
orchestrator register containers --flavor local_docker
stack register images -a default -o containers -c here -i local-docker
stack set images
"""


@dataclass(frozen=True)
class Change:
    """What the step is at one point: a number in its code, and the packages that it imports."""

    number: int
    packages: tuple[str, ...]

    def words(self) -> dict[str, object]:
        more = "".join(f"import {name}\n" for name in self.packages[2:])
        head = HEAD.format(more=more)
        indented = "".join(f"    {line}\n" for line in head.splitlines())
        return {"head": head, "indented": indented, "total": TOTAL, "number": self.number}


#: Prepares a folder for a change, and gives the command that is timed.
Prepare = Callable[[Change], None]


class Build:
    """One tool's way. ``prepare`` writes what a user would have changed, ``command`` is timed."""

    name = ""

    def __init__(self, docker: Docker, work: Path, base: str, number: int) -> None:
        self.docker, self.base, self.number = docker, base, number
        self.work = work / f"{type(self).__name__.lower()}-{number}"
        self.work.mkdir(parents=True)
        self.target = f"{docker.registry}/{type(self).__name__.lower()}-{number}"
        self.environment = {
            **os.environ,
            "DOCKER_HOST": docker.host,
            "DOCKER_CONFIG": str(self.work / "docker"),
            "HOME": str(self.work),
        }

    def warm_up(self, change: Change) -> None:
        """Let the tool have in its caches what the aim says it has."""

    def prepare(self, change: Change) -> None:
        raise NotImplementedError

    def commands(self) -> list[list[str]]:
        raise NotImplementedError

    def run(self) -> None:
        for command in self.commands():
            self.call(command)

    def call(self, command: list[str]) -> None:
        done = subprocess.run(
            command, cwd=self.work, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {(done.stdout + done.stderr)[-2000:]}")


class Levada(Build):
    """`levada build --push`, cold with the wheels on disk."""

    name = "`levada build --push`"

    def __init__(self, docker: Docker, work: Path, base: str, number: int) -> None:
        super().__init__(docker, work, base, number)
        self.cache = self.work / "cache"
        self.environment["XDG_CACHE_HOME"] = str(self.cache)

    def warm_up(self, change: Change) -> None:
        more = Change(change.number, (*change.packages, "click"))
        self.prepare(more)
        registry, self.target = self.target, f"{self.target}-warm"
        self.run()
        self.target = registry
        for folder in ("layers", "compile"):
            shutil.rmtree(self.cache / "levada" / folder, ignore_errors=True)
        (self.work / "levada.lock").unlink()

    def prepare(self, change: Change) -> None:
        (self.work / "pipeline.py").write_text(LEVADA.format(**change.words()))
        packages = ", ".join(f'"{name}"' for name in change.packages)
        text = PROJECT.format(packages=packages, base=self.base, python=PYTHON)
        (self.work / "pyproject.toml").write_text(text)

    def commands(self) -> list[list[str]]:
        command = [sys.executable, "-m", "levada_cli.main", "build", "pipeline.py"]
        return [[*command, "--push", self.target]]


class Pip(Build):
    """A Dockerfile with pip, built by the classic builder."""

    name = "`docker build`, pip"
    template, buildkit = PIP, "0"

    def __init__(self, docker: Docker, work: Path, base: str, number: int) -> None:
        super().__init__(docker, work, base, number)
        self.environment["DOCKER_BUILDKIT"] = self.buildkit
        self.round = f"{number}"

    def prepare(self, change: Change) -> None:
        (self.work / "app").mkdir(exist_ok=True)
        (self.work / "app" / "pipeline.py").write_text(PLAIN.format(**change.words()))
        packages = " ".join(change.packages)
        text = self.template.format(base=self.base, packages=packages, round=self.round)
        (self.work / "Dockerfile").write_text(text)

    def commands(self) -> list[list[str]]:
        docker = ["/usr/bin/docker", "--host", self.docker.host]
        build = ["build", "--network", "host", "--quiet", "--tag", f"{self.target}:1", "."]
        return [[*docker, *build], [*docker, "push", "--quiet", f"{self.target}:1"]]


class Uv(Pip):
    """A Dockerfile with uv and a cache mount, built by BuildKit; cold with the wheels in it."""

    name = "`docker build`, uv, BuildKit"
    template, buildkit = UV, "1"

    def warm_up(self, change: Change) -> None:
        uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
        shutil.copy(uv, self.work / "uv")
        self.round = f"{self.number} warm"
        self.prepare(Change(change.number, (*change.packages, "click")))
        build, _ = self.commands()
        subprocess.run(build, cwd=self.work, env=self.environment, check=True, capture_output=True)
        self.round = f"{self.number}"


class Kfp(Build):
    """`kfp component build` of a containerized component."""

    name = "`kfp component build`"

    def prepare(self, change: Change) -> None:
        (self.work / "src").mkdir(exist_ok=True)
        words = change.words() | {"packages": list(change.packages)}
        text = KFP.format(base=self.base, target=f"{self.target}:1", **words)
        (self.work / "src" / "component.py").write_text(text)

    def commands(self) -> list[list[str]]:
        python = str(engines.ensure("kfp-images") / "python")
        options = ["--overwrite-dockerfile", "--push-image"]
        return [[python, "-c", KFP_BUILD, "component", "build", "src", *options]]


class Zenml(Build):
    """`zenml pipeline build` on a stack with the local image builder."""

    name = "`zenml pipeline build`"

    def __init__(self, docker: Docker, work: Path, base: str, number: int) -> None:
        super().__init__(docker, work, base, number)
        self.zenml = str(engines.ensure("zenml") / "zenml")
        self.environment |= {
            "ZENML_CONFIG_PATH": str(self.work / "config"),
            "ZENML_LOCAL_STORES_PATH": str(self.work / "stores"),
            "ZENML_ANALYTICS_OPT_IN": "false",
            "AUTO_OPEN_DASHBOARD": "false",
            "PATH": f"{Path(self.zenml).parent}:{os.environ['PATH']}",
        }

    def warm_up(self, change: Change) -> None:
        """Make the stack; what an image needs is not in any cache."""
        self.prepare(change)
        for line in ZENML_STACK.format(registry=self.docker.registry).split("\n"):
            if line:
                self.call([self.zenml, *line.split()])

    def prepare(self, change: Change) -> None:
        words = change.words() | {"packages": list(change.packages)}
        (self.work / "sums.py").write_text(ZENML.format(base=self.base, **words))

    def commands(self) -> list[list[str]]:
        return [[self.zenml, "pipeline", "build", "sums.sums"]]


BUILDS: tuple[type[Build], ...] = (Levada, Uv, Pip, Kfp, Zenml)
