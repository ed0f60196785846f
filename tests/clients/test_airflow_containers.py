"""From the source to a run in containers, as a user goes: built, deployed, submitted, retried."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from levada_backends.images.make_base import make_base

from tests.cluster import images
from tests.cluster.cluster import CLAIM
from tests.conformance.engines.airflow_pods import connect
from tests.engines.airflow_settings import PASSWORD, USERNAME

if TYPE_CHECKING:
    from tests.engines.airflow import Airflow

pytestmark = pytest.mark.engine

PIPELINE = """
import os
from pathlib import Path
from levada import Resources, pipeline, step

@step(cache=False, resources=Resources(cpu=0.2, memory="200Mi"))
def shaky(x: int, flag: str) -> int:
    print("as", os.getuid(), "{{ x }} $(HOME)")
    if x == 1 and not Path(flag).exists():
        raise ValueError("no flag {{ x }} $(HOME)")
    return x

@step(cache=False)
def total(xs: list[int]) -> int:
    return sum(xs)

@pipeline
def contained_WHERE(flag: str, xs: list[int] = [0, 1]):
    return total([shaky(x, flag) for x in xs])
"""


@pytest.mark.parametrize(
    ("executor", "airflow"),
    [("docker", "3"), ("docker", "2"), ("kubernetes", "2")],
    indirect=["airflow"],
)
def test_a_run_in_containers_is_followed_and_retried(
    executor: str, airflow: Airflow, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    name = f"contained_{executor}_{airflow.version}_{os.getpid()}"
    with ExitStack() as stack:
        registry, store, options = placed(executor, airflow, request, tmp_path, stack)
        project = Project(tmp_path / "project", airflow, name, executor, store, options)
        project.levada("build", "pipeline.py", "--push", registry, "--insecure", registry)
        project.levada("deploy", "pipeline.py", "--wait", "120")
        parameters = ("--param", f"flag={store / 'flag'}", "--run-id", "r")
        watched = project.levada("submit", "pipeline.py", *parameters, "--watch", status=1)
        # Airflow names an item once it has run.
        assert re.search(r"\nshaky\[(x=)?0\] \| as 65532 {{ x }} \$\(HOME\)\n", watched.stderr)
        assert "\nfailed shaky[x=1]: ValueError: no flag {{ x }} $(HOME)\n" in watched.stderr
        log = project.levada("logs", f"airflow:{name}/r", "shaky[x=1]").stdout.splitlines()
        assert (log[0], log[-1]) == (
            "as 65532 {{ x }} $(HOME)",
            "ValueError: no flag {{ x }} $(HOME)",
        )
        (store / "flag").touch()
        retried = project.levada("retry", f"airflow:{name}/r", "--watch", "--json")
        found: dict[str, Any] = json.loads(retried.stdout)
        assert (found["status"], found["outputs"], found["error"]) == ("succeeded", 1, None)
        steps = [(s["node"], s["label"], s["attempts"]) for s in found["steps"] if not s["control"]]
        assert sorted(steps) == [
            ("shaky", "x=0", 1),
            ("shaky", "x=1", 2),
            ("total", None, 1),
        ]


def placed(
    executor: str,
    server: Airflow,
    request: pytest.FixtureRequest,
    folder: Path,
    stack: ExitStack,
) -> tuple[str, Path, dict[str, object]]:
    """A registry, the folder of the store, and the options of the target that are the place's."""
    if executor == "docker":
        docker = request.getfixturevalue("docker")
        store = folder / "store"
        store.mkdir()
        store.chmod(0o777)  # the user of the images is nobody that this machine knows
        options: dict[str, object] = {"docker_url": docker.host, "network_mode": "none"}
        return docker.registry, store, {**options, "claim": str(store)}
    cluster = request.getfixturevalue("cluster")
    space = stack.enter_context(cluster.namespace())
    images.write_shell(folder / "shell.tar")
    sidecar = cluster.containerd.import_image(folder / "shell.tar", "levada.local/shell")
    connection = connect(server, space, sidecar)
    options = {"kubernetes_conn_id": connection, "namespace": space.name}
    return cluster.registry, space.store, {**options, "claim": CLAIM}


class Project:
    """A project on disk, and the command in it."""

    def __init__(
        self,
        folder: Path,
        server: Airflow,
        name: str,
        executor: str,
        store: Path,
        options: dict[str, object],
    ) -> None:
        folder.mkdir()
        self.folder = folder
        (folder / "pipeline.py").write_text(PIPELINE.replace("contained_WHERE", name))
        digest = make_base(folder / "base.tar")
        volumes = (
            f"[{{claim = {json.dumps(options.pop('claim'))}, path = {json.dumps(str(store))}}}]"
        )
        target = {
            "url": server.api.url,
            "username": USERNAME,
            "password_env": "AIRFLOW_PASSWORD",
            "dags_folder": str(server.dags_folder),
            "executor": executor,
            "store": str(store),
            **options,
        }
        lines = [
            *("[project]", 'name = "contained"', 'version = "1"', "dependencies = []"),
            *("[tool.levada.images]", f'base = "oci:base.tar@{digest}"'),
            "[tool.levada.targets.airflow]",
            *(f"{key} = {json.dumps(value)}" for key, value in target.items()),
            f"volumes = {volumes}",
        ]
        (folder / "pyproject.toml").write_text("\n".join(lines))

    def levada(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "levada_cli.main", *arguments],
            cwd=self.folder,
            env={**os.environ, "AIRFLOW_PASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, f"levada {' '.join(arguments)}:\n{done.stderr}"
        return done
