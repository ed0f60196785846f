"""Every kind of store does what `levada.testing` asks of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from levada.store import StoreError, open_store, url_problem
from levada.stores import directory
from levada.testing import StoreFault, check_store

from tests.engines.object_stores.servers import Bucket


@pytest.fixture(autouse=True)
def _own_blob_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVADA_BLOB_CACHE", str(tmp_path / "blob-cache"))


def test_a_folder(tmp_path: Path) -> None:
    check_store(str(tmp_path / "store"))


def test_memory() -> None:
    check_store("memory://tests/conformance")


@pytest.mark.engine
def test_a_bucket(bucket: Bucket) -> None:
    check_store(bucket.url)


def test_what_a_store_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite itself fails for a store that overwrites, and names what is wrong."""

    def overwrite(store: directory.DirectoryStore, path: str, data: bytes) -> bool:
        target = Path(store.root) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return True

    monkeypatch.setattr(directory.DirectoryStore, "write_once", overwrite)
    with pytest.raises(StoreFault, match=r"documents_are_written_once: a second write succeeds"):
        check_store(str(tmp_path / "store"))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (None, "pip install 'levada[gcs]'"),
        ("team/steps:1", "write the store's URL into pyproject.toml"),
    ],
)
def test_a_bucket_without_its_client(
    image: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said when the store is opened: what comes first may be any request."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.delenv("LEVADA_IMAGE", raising=False)
    if image:
        monkeypatch.setenv("LEVADA_IMAGE", image)
    with pytest.raises(StoreError) as raised:
        open_store("gs://bucket/prefix")
    assert f"needs the package obstore, which is not installed: {said}" in str(raised.value)
    assert url_problem("gs://bucket/prefix") == ""  # as where it is only compiled


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "names no place in a bucket"),
        ("s3:///prefix", "names no place in a bucket"),
        ("s3://bucket/../other", "names no place in a bucket"),
        ("s3://bucket//other", "names no place in a bucket"),
        ("s3://key:secret@bucket/prefix", "has more than a bucket and a prefix"),
        ("gs://bucket/prefix?key=1", "has more than a bucket and a prefix"),
        ("hdfs://bucket/prefix", "no store for hdfs:// is installed"),
    ],
)
def test_urls_that_name_no_store(url: str, said: str) -> None:
    with pytest.raises(StoreError) as raised:
        open_store(url)
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)


_FORK = """
import os, sys
from levada.store import StoreError, open_store
store = open_store(sys.argv[1])
{before}
child = os.fork()
if child == 0:
    try:
        store.prepare()
        open_store(sys.argv[1] + "/other").write_once("a", b"1")
    except StoreError as error:
        print("refused:", error)
    else:
        print("written")
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
{after}
"""


def _forked(url: str, before: str, after: str = "") -> str:
    """What a forked child says that uses the store; after 20 s it counts as one that hangs."""
    program = _FORK.format(before=before, after=after)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, url]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=20
    ).stdout.strip()


@pytest.mark.engine
def test_a_store_that_was_used_is_refused_after_a_fork(s3: Bucket) -> None:
    said = _forked(s3.url, "store.prepare()")
    assert said.startswith("refused:")
    assert "start workers by spawn" in said


@pytest.mark.engine
def test_a_store_that_was_only_preloaded_works_after_a_fork(s3: Bucket) -> None:
    """As in the local engine: its server makes the clients, and no request."""
    assert _forked(s3.url, "store.preload()", "store.prepare(); print('here too')") == (
        "written\nhere too"
    )
