"""The blobs of buckets that are kept on this machine: what is kept, where, and for how long."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from levada.store import StoreError, blob_name, digest_of
from levada.stores import blob_cache
from levada.stores.blob_cache import BlobCache


def _add(cache: BlobCache, number: int, age: float = 0.0) -> str:
    """Add a blob of 100 bytes that was used some seconds ago."""
    data = number.to_bytes(1, "big") * 100
    digest = digest_of(data)
    cache.add_small(digest, data)
    when = time.time() - age
    os.utime(f"{cache.root}/{blob_name(digest)}", (when, when))
    return digest


def test_what_was_used_least_lately_goes_first(tmp_path: Path) -> None:
    cache = BlobCache(str(tmp_path), size=300)
    old, used, recent = (_add(cache, number, 5000 - number) for number in range(3))
    found = cache.find(used)
    assert found is not None
    found.close()
    _add(cache, 9)
    assert [cache.blob_path(each) is not None for each in (old, used, recent)] == [
        False,
        True,
        True,
    ]


def test_what_is_in_use_stays_above_the_limit(tmp_path: Path) -> None:
    cache = BlobCache(str(tmp_path), size=100)
    found = [_add(cache, number) for number in range(4)]
    assert all(cache.blob_path(each) for each in found)


def test_another_process_need_not_look_at_all_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _add(BlobCache(str(tmp_path), size=10_000), 1)
    monkeypatch.setattr(BlobCache, "_blobs", lambda _: pytest.fail("it looked at all"))
    _add(BlobCache(str(tmp_path), size=10_000), 2)


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEVADA_BLOB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert BlobCache().root == str(tmp_path / "home/.cache/levada/blobs")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert BlobCache().root == str(tmp_path / "xdg/levada/blobs")
    monkeypatch.setenv("LEVADA_BLOB_CACHE", str(tmp_path / "own"))
    assert BlobCache().root == str(tmp_path / "own")


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container with a read-only root: the folder for temporary files serves."""
    file = tmp_path / "file"
    file.touch()
    for name, value in (("XDG_CACHE_HOME", file), ("TMPDIR", tmp_path)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("LEVADA_BLOB_CACHE", raising=False)
    own = tmp_path / f"levada-blobs-{os.geteuid()}"
    assert BlobCache().root == str(own)
    own.chmod(0o777)  # others may have put something in it
    assert BlobCache().root != str(own)


@pytest.mark.parametrize(
    ("given", "size"), [("1000", 1000), ("2KiB", 2048), ("3GiB", 3 << 30), ("", 10 << 30)]
)
def test_its_size(given: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVADA_BLOB_CACHE_SIZE", given)
    assert blob_cache._size() == size


@pytest.mark.parametrize("given", ["ten", "10GB", "-1", "1.5GiB", "GiB"])
def test_a_size_that_is_none(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVADA_BLOB_CACHE_SIZE", given)
    with pytest.raises(StoreError, match="LEVADA_BLOB_CACHE_SIZE is"):
        blob_cache._size()
