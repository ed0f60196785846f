"""An empty index, and runs that tests look at, in each kind of store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from levada.store import open_store
from levada_records.index import Index, open_index

from tests.engines.object_stores.servers import Bucket
from tests.records.recorded_project import Recorded, copied, record


@pytest.fixture(autouse=True)
def _own_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVADA_INDEX_CACHE", str(tmp_path / "index"))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.engine)])
def index(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Index]:
    """An empty index, in a file or in a real PostgreSQL."""
    url = None if request.param == "sqlite" else request.getfixturevalue("postgresql")
    monkeypatch.delenv("LEVADA_INDEX", raising=False)
    store = open_store(str(tmp_path / "store"))
    store.prepare()
    with open_index(store, database=url, sync=False) as opened:
        yield opened


@pytest.fixture(scope="session")
def in_folder(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Runs in a folder."""
    return record(tmp_path_factory.mktemp("recorded"))


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=pytest.mark.engine)])
def recorded(request: pytest.FixtureRequest, in_folder: Recorded) -> Recorded:
    """The same runs in each kind of store."""
    if request.param == "folder":
        return in_folder
    if request.param == "memory":
        return copied(in_folder, "memory://tests/recorded")
    bucket: Bucket = request.getfixturevalue("s3")
    return copied(in_folder, bucket.url)


@pytest.fixture
def mine(in_folder: Recorded, tmp_path: Path) -> Recorded:
    """A copy of the store that a test may damage."""
    shutil.copytree(in_folder.project.store, tmp_path / "store")
    return Recorded(in_folder.project, open_store(str(tmp_path / "store")))
