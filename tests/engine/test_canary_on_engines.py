"""The canary of `test_canary.py` on real engines: their logs, databases and objects lack it too."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.driver.deployment import Deployment, build_image, manifests
from tests.engine.test_canary import CANARY, LINES, PIPELINE, VARIABLES, check
from tests.engine.test_canary import project as project
from tests.engines import airflow as engine
from tests.engines.airflow import Airflow
from tests.engines.required import require_engine

if TYPE_CHECKING:
    from tests.cluster.cluster import Cluster, Namespace

pytestmark = pytest.mark.engine

#: What `kept` returns, as the store has it.
KEPT = {json.dumps(CANARY, ensure_ascii=False).encode()}
#: Prints all rows of all tables of Airflow's database.
DUMP = """
import os, sys
from sqlalchemy import MetaData, create_engine
database = create_engine(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
tables = MetaData()
tables.reflect(database)
with database.connect() as connection:
    for table in tables.tables.values():
        for row in connection.execute(table.select()):
            for value in row:
                if isinstance(value, (bytes, memoryview)):
                    sys.stdout.buffer.write(bytes(value) + b"\\n")
                elif value is not None:
                    sys.stdout.buffer.write(f"{table.name}: {value}\\n".encode())
"""


@pytest.fixture(params=engine.VERSIONS, ids=lambda version: f"airflow-{version}")
def airflow_with_secrets(request: pytest.FixtureRequest) -> Iterator[Airflow]:
    """An Airflow of its own, whose workers have the secrets."""
    require_engine(
        f"Airflow {request.param}",
        is_installed=engine.is_installed(request.param),
        install=f"python -m tests.engines.airflow install {request.param}",
    )
    with engine.start(request.param, VARIABLES) as server:
        yield server


def test_nothing_of_airflow(airflow_with_secrets: Airflow, project: Path, tmp_path: Path) -> None:
    server, out = airflow_with_secrets, tmp_path / "out"
    words = ["compile", "canary.py:flow", "-t", "airflow", "-o", str(server.dags_folder)]
    subprocess.run([sys.executable, "-m", "levada_cli.main", *words], cwd=project, check=True)
    server.deploy({"flow.py": (server.dags_folder / "flow.py").read_text()})
    run = server.run("flow", timeout=300)
    states = run.states()
    assert (states["loud"], states["fails"], states["returns"]) == ("success", "failed", "failed")
    assert "***" in run.log("loud")
    ignored = shutil.ignore_patterns("environment.json")  # of this test: what the workers have
    shutil.copytree(server.home, out, ignore=ignored)
    (out / "database").write_bytes(_dump(server))
    assert b"task_instance: " in (out / "database").read_bytes()
    check(out, KEPT)


def _dump(server: Airflow) -> bytes:
    environment = json.loads((server.home / "environment.json").read_text())
    command = [str(engine.python(server.version)), "-W", "ignore", "-c", DUMP]
    return subprocess.run(command, env=environment, capture_output=True, check=True).stdout


@pytest.fixture
def space(cluster: Cluster) -> Iterator[Namespace]:
    with cluster.namespace() as space:
        space.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "a"},
                "stringData": {"token": CANARY, "key": LINES, "schema": VARIABLES["SCHEMA"]},
            }
        )
        yield space


def test_nothing_of_kubernetes(cluster: Cluster, space: Namespace, tmp_path: Path) -> None:
    root, out = tmp_path / "project", tmp_path / "out"
    root.mkdir()
    shutil.copy(PIPELINE, root)
    made = manifests(root / "canary.py", "in_pods", build_image(root, cluster.registry))
    run = Deployment.apply(space, made).submit("canary")
    assert run.wait(200) == "failed"
    error = run.outcome()["error"]
    assert (error["node"], error["type"]) == ("returns", "SecretOutputError"), error
    shutil.copytree(space.store, out / "store")
    for kind in _kinds(space):
        (out / f"{kind}.json").write_text(json.dumps(space.get(kind)))
    logs = 0
    for pod in space.get("pods")["items"]:
        name = pod["metadata"]["name"]
        shown = space.kubectl("logs", name, "--all-containers").stdout
        (out / f"{name}.log").write_text(shown)
        logs += "***" in shown
    assert logs >= 4, "the pods of loud, fails, made and the driver"
    check(out, KEPT)


def _kinds(space: Namespace) -> list[str]:
    """All kinds of objects of a namespace but Secrets."""
    words = ("api-resources", "--verbs=list", "--namespaced", "--output=name")
    return [each for each in space.kubectl(*words).stdout.split() if each != "secrets"]
