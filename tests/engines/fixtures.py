"""Fixtures: one running Airflow of each version for the whole session, started when first used."""

from __future__ import annotations

import os
from contextlib import ExitStack
from inspect import signature
from typing import TYPE_CHECKING

import pytest

from . import airflow as engine
from . import airflow_tool
from . import docker as docker_engine
from . import kubeflow as kubeflow_engine
from . import postgres as postgres_engine
from .required import require_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .airflow import Airflow
    from .docker import Docker
    from .kubeflow import Kubeflow
    from .kubeflow_server import Server as KubeflowServer


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    config.addinivalue_line("markers", "engine: needs a real orchestrator, which is started for it")
    config.addinivalue_line("markers", "airflow: needs Airflow, and no cluster")


#: The fixtures that start an engine or need one to be installed.
ENGINES = {
    *("docker", "kubeflow", "kubeflow_server", "api_server", "cluster"),
    *("airflow", "airflow_2", "airflow_3"),
    *("versitygw", "moto", "fake_gcs", "azurite", "bucket", "s3"),
    "postgresql",
}
_AIRFLOWS = {"airflow", "airflow_2", "airflow_3"}
#: In this order their tests run.
_BUSIEST = ("cluster", "airflow_3", "airflow_2")
_AIRFLOW_2 = len(_BUSIEST)
#: The Airflows that were started here, by version.
_started = {version: ExitStack() for version in engine.VERSIONS}


_ON_REQUEST = pytest.mark.skipif(
    not os.environ.get("LEVADA_KUBEFLOW_SERVER"),
    reason="it takes long: `make conformance-kubeflow-server`",
)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark each test that needs an engine: `make test-alone` leaves these out.

    `make test-engines` has two processes. One has the tests of Airflow here and in containers: it
    mostly waits for a scheduler, while the other one builds images and starts pods.
    """
    names = set(getattr(item, "fixturenames", ()))
    if ENGINES & names:
        item.add_marker(pytest.mark.engine)
    if "kubeflow_server" in names:
        item.add_marker(_ON_REQUEST)
    others = ENGINES - _AIRFLOWS - {"docker"}
    if names & _AIRFLOWS and not names & others and not _may_ask(item):
        item.add_marker(pytest.mark.airflow)


def _may_ask(item: pytest.Item) -> bool:
    """Whether a test may ask for another engine by `request`, which no name of a fixture says."""
    return isinstance(item, pytest.Function) and "request" in signature(item.function).parameters


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what needs the busiest engines last: once started, they take processor time unused."""
    items.sort(key=_busiest_engine)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop Airflow 3 before the tests of Airflow 2: no test after these needs it."""
    if nextitem is not None and _busiest_engine(item) < _busiest_engine(nextitem) == _AIRFLOW_2:
        _started["3"].close()


def _busiest_engine(item: pytest.Item) -> int:
    names = set(getattr(item, "fixturenames", ()))
    callspec = getattr(item, "callspec", None)
    if callspec is not None:
        names.add(f"airflow_{callspec.params.get('airflow')}")
    return max((n for n, name in enumerate(_BUSIEST, 1) if name in names), default=0)


@pytest.fixture(scope="session")
def airflow_3() -> Iterator[Airflow]:
    """A running Airflow 3."""
    yield from _running("3")


@pytest.fixture(scope="session")
def airflow_2() -> Iterator[Airflow]:
    """A running Airflow 2."""
    yield from _running("2")


@pytest.fixture(scope="session", params=engine.VERSIONS, ids=lambda version: f"airflow-{version}")
def airflow(request: pytest.FixtureRequest) -> Airflow:
    """Each of them in turn."""
    running: Airflow = request.getfixturevalue(f"airflow_{request.param}")
    return running


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """A running Docker engine and a registry."""
    require_engine(
        "the Docker engine",
        is_installed=docker_engine.is_installed(),
        install=docker_engine.INSTALL,
    )
    with docker_engine.start() as running:
        yield running


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a running PostgreSQL with an empty database."""
    require_engine(
        "PostgreSQL", is_installed=postgres_engine.is_installed(), install=postgres_engine.INSTALL
    )
    with postgres_engine.start() as server:
        yield server.psycopg_url


@pytest.fixture(scope="session")
def kubeflow() -> Kubeflow:
    """Kubeflow's SDK, its local runner and a CEL."""
    require_engine(
        "Kubeflow's SDK",
        is_installed=kubeflow_engine.is_installed(),
        install=kubeflow_engine.INSTALL,
    )
    return kubeflow_engine.attach()


@pytest.fixture(scope="session")
def kubeflow_server() -> Iterator[KubeflowServer]:
    """A running Kubeflow Pipelines."""
    from . import kubeflow_server as engine

    require_engine("Kubeflow's server", is_installed=engine.is_installed(), install=engine.INSTALL)
    if (started := engine.attach()) is not None:
        yield started
        return
    with engine.start() as server:
        yield server


def require_airflow(version: str) -> None:
    """Skip or fail the test where this Airflow is not installed."""
    require_engine(
        f"Airflow {version}",
        is_installed=engine.is_installed(version),
        install=f"python -m tests.engines.airflow install {version}",
    )


def _running(version: str) -> Iterator[Airflow]:
    require_airflow(version)
    if (started := airflow_tool.attach(version)) is not None:
        yield started
        return
    with _started[version] as started:
        yield started.enter_context(engine.start(version))
