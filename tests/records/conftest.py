"""An index of a store in a folder, and the same rows in a real PostgreSQL where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from levada.store import open_store
from levada_records.index import Index, open_index


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An empty index, in a file."""
    monkeypatch.setenv("LEVADA_INDEX_CACHE", str(tmp_path / "index"))
    store = open_store(str(tmp_path / "store"))
    store.prepare()
    with open_index(store, sync=False) as opened:
        yield opened
