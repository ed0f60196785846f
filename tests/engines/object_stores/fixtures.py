"""Fixtures: a running server of each kind of object store, and a place in each for one test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.engines.object_stores import programs, servers
from tests.engines.object_stores.servers import Bucket
from tests.engines.required import require_engine

SERVERS = ("versitygw", "moto", "fake_gcs", "azurite")

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """An empty bucket of VersityGW."""
    folder = tmp_path_factory.mktemp("versitygw")
    yield from _started("versitygw", lambda: servers.versitygw(folder))


@pytest.fixture(scope="session")
def moto() -> Iterator[Bucket]:
    """An empty bucket of moto's S3."""
    yield from _started("moto", servers.moto)


@pytest.fixture(scope="session")
def fake_gcs() -> Iterator[Bucket]:
    """An empty bucket of fake-gcs-server."""
    yield from _started("fake_gcs", servers.fake_gcs)


@pytest.fixture(scope="session")
def azurite() -> Iterator[Bucket]:
    """An empty container of Azurite."""
    yield from _started("azurite", servers.azurite)


@pytest.fixture(params=SERVERS)
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A fresh prefix on each server in turn; this process has the environment that it wants."""
    return fresh(request.getfixturevalue(request.param), monkeypatch)


@pytest.fixture
def s3(versitygw: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A fresh prefix on VersityGW alone, for what need not be tried on every server."""
    return fresh(versitygw, monkeypatch)


def fresh(server: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Return a prefix that no test has used, and give this process its environment."""
    use(server, monkeypatch)
    return server.at(f"test-{next(_numbers)}")


def use(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process the bucket's environment, and no credentials of the machine."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "STORAGE_")):
            monkeypatch.delenv(name)
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)


def _started(name: str, start: Callable[[], AbstractContextManager[Bucket]]) -> Iterator[Bucket]:
    require_engine(name, is_installed=programs.is_installed(name), install=programs.INSTALL)
    with start() as bucket:
        yield bucket
