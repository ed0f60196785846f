"""The servers that tests of stores use do what tests of stores take for granted."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import AzureStore, GCSStore, S3Store, from_url

from tests.engines.object_stores.servers import Bucket

CloudStore = S3Store | GCSStore | AzureStore
MIB = 1 << 20


def opened(bucket: Bucket) -> CloudStore:
    store = from_url(bucket.url)
    assert isinstance(store, CloudStore)
    return store


def test_a_blob_is_written_read_and_deleted(bucket: Bucket) -> None:
    store = opened(bucket)
    store.put("a/b", b"0123456789")
    assert bytes(store.get("a/b").bytes()) == b"0123456789"
    assert bytes(store.get_range("a/b", start=2, length=3)) == b"234"
    assert store.head("a/b")["size"] == 10
    store.delete("a/b")
    with pytest.raises(FileNotFoundError):
        store.get("a/b")


def test_names_are_listed_in_order_and_after_an_offset(bucket: Bucket) -> None:
    store = opened(bucket)
    names = [f"list/{number:02}" for number in range(12)]
    for name in reversed(names):
        store.put(name, b"")
    assert [found["path"] for found in store.list("list").collect()] == names
    after = store.list("list", offset=names[4]).collect()
    assert [found["path"] for found in after] == names[5:]
    assert store.list_with_delimiter()["common_prefixes"] == ["list"]


def test_names_may_have_any_letters(bucket: Bucket) -> None:
    store = opened(bucket)
    names = ["a b", "a%41", "a+b", "a=é", "a?x=1&y", "日本"]
    for name in names:
        store.put(name, name.encode())
        assert bytes(store.get(name).bytes()) == name.encode()
    assert sorted(found["path"] for found in store.list().collect()) == names


def test_a_blob_is_created_once(bucket: Bucket) -> None:
    store = opened(bucket)
    store.put("once", b"first", mode="create")
    with pytest.raises(AlreadyExistsError):
        store.put("once", b"second", mode="create")
    assert bytes(store.get("once").bytes()) == b"first"


def test_one_of_many_at_once_creates_a_blob(bucket: Bucket) -> None:
    store = opened(bucket)

    def create(number: int) -> str:
        try:
            store.put("raced", str(number).encode() * MIB, mode="create")
        except AlreadyExistsError:
            return "exists"
        return "created"

    with ThreadPoolExecutor(8) as threads:
        assert Counter(threads.map(create, range(16))) == {"created": 1, "exists": 15}


def test_a_blob_is_replaced_if_it_is_what_was_read(bucket: Bucket) -> None:
    store = opened(bucket)
    first = store.put("swapped", b"first")
    version = {name: value for name, value in first.items() if value is not None}
    store.put("swapped", b"second", mode=version)  # type: ignore[arg-type] # str to str
    with pytest.raises(PreconditionError):
        store.put("swapped", b"third", mode=version)  # type: ignore[arg-type]
    assert bytes(store.get("swapped").bytes()) == b"second"


def test_a_large_blob_is_uploaded_in_parts(bucket: Bucket) -> None:
    store = opened(bucket)
    data = os.urandom(20 * MIB)
    store.put("large", data, use_multipart=True, chunk_size=5 * MIB)
    assert bytes(store.get("large").bytes()) == data
    assert bytes(store.get_range("large", start=6 * MIB, length=9)) == data[6 * MIB :][:9]
