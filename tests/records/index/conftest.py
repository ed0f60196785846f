"""Stores and indexes: of SQLite, and the same rows in a real PostgreSQL where there is one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from levada.store import Store, open_store
from levada_records.index import Index, open_index

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _own_index_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVADA_INDEX_CACHE", str(tmp_path / "index-cache"))
    monkeypatch.setenv("LEVADA_BLOB_CACHE", str(tmp_path / "blob-cache"))
    monkeypatch.delenv("LEVADA_INDEX", raising=False)


@pytest.fixture(params=["directory", "memory", pytest.param("s3", marks=pytest.mark.engine)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store of each kind; the bucket of `s3` is on a real server."""
    if request.param == "directory":
        url = str(tmp_path / "store")
    elif request.param == "memory":
        url = f"memory://index-{next(_numbers)}"
    else:
        url = request.getfixturevalue("s3").url
    opened = open_store(url)
    opened.prepare()
    return opened


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    opened = open_store(str(tmp_path / "store"))
    opened.prepare()
    return opened


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.engine)])
def opened(request: pytest.FixtureRequest) -> Iterator[Callable[[Store], Index]]:
    """A function that opens the index of a store, in each of the databases in turn."""
    url = None if request.param == "sqlite" else request.getfixturevalue("postgresql")
    indexes = []

    def open_one(store: Store) -> Index:
        indexes.append(open_index(store, database=url))
        return indexes[-1]

    yield open_one
    for index in indexes:
        index.close()
