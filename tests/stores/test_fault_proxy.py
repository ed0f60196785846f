"""The fault proxy fails as it is told, in front of real servers, and otherwise is not noticed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from obstore.exceptions import AlreadyExistsError, GenericError, PermissionDeniedError
from obstore.store import from_url

from tests.engines.fault_proxy import (
    ACCESS_DENIED,
    CONFLICT,
    EXPIRED_TOKEN,
    INTERNAL_ERROR,
    NO_SUCH_BUCKET,
    SLOW_DOWN,
    Answer,
    CutAnswer,
    CutRequest,
    Delay,
    DropHeaders,
    FaultProxy,
    LoseAnswer,
    Rule,
    fault_proxy,
)
from tests.engines.object_stores.fixtures import fresh, use
from tests.engines.object_stores.servers import Bucket

from .test_servers import MIB, CloudStore

if TYPE_CHECKING:
    from obstore.store import RetryConfig  # there for type checkers only

#: obstore's own is ten times within three minutes.
RETRIES: RetryConfig = {
    "max_retries": 2,
    "backoff": {
        "init_backoff": timedelta(milliseconds=5),
        "max_backoff": timedelta(milliseconds=20),
        "base": 2,
    },
    "retry_timeout": timedelta(seconds=20),
}


@pytest.fixture
def proxy(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A proxy before VersityGW, which checks signatures; this process's environment leads there."""
    with fault_proxy(s3.port) as proxy:
        use(s3.through(proxy.port), monkeypatch)
        yield proxy


@pytest.fixture
def store(s3: Bucket, proxy: FaultProxy) -> CloudStore:  # noqa: ARG001 # its environment
    """A store that is reached through the proxy."""
    return opened(s3)


def opened(bucket: Bucket) -> CloudStore:
    store = from_url(bucket.url, retry_config=RETRIES)
    assert isinstance(store, CloudStore)
    return store


def test_a_proxy_without_rules_is_not_noticed(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(12 * MIB)
    with fault_proxy(bucket.port) as proxy:
        use(bucket.through(proxy.port), monkeypatch)
        store = opened(bucket)
        store.put("large", data, use_multipart=True, chunk_size=5 * MIB)
        assert bytes(store.get("large").bytes()) == data
        assert store.head("large")["size"] == len(data)
        assert [found["path"] for found in store.list().collect()] == ["large"]
        # Small: VersityGW refuses a large one before it has read it and resets the connection, so
        # that clients often never see the answer, with and without a proxy.
        with pytest.raises(AlreadyExistsError):
            store.put("large", b"small", mode="create")
        store.delete("large")
        assert proxy.count("HEAD") == 1
        assert proxy.count("PUT") >= 4


@pytest.mark.parametrize("answer", [INTERNAL_ERROR, SLOW_DOWN], ids=lambda answer: answer.code)
def test_a_server_that_fails_twice_is_asked_three_times(
    store: CloudStore, proxy: FaultProxy, answer: Answer
) -> None:
    proxy.rules.append(Rule(answer, method="PUT", path="/name", times=2))
    store.put("name", b"text", mode="create")
    assert proxy.count("PUT") == 3
    assert bytes(store.get("name").bytes()) == b"text"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (INTERNAL_ERROR, GenericError),
        (CONFLICT, AlreadyExistsError),  # obstore reads each 409 as this, and does not send again
        (ACCESS_DENIED, PermissionDeniedError),
        (EXPIRED_TOKEN, GenericError),
        (NO_SUCH_BUCKET, FileNotFoundError),
    ],
    ids=lambda value: getattr(value, "code", None),
)
def test_an_error_has_the_services_words(
    store: CloudStore, proxy: FaultProxy, answer: Answer, error: type[Exception]
) -> None:
    proxy.rules.append(Rule(answer))
    with pytest.raises(error, match=answer.code):
        store.put("name", b"text")
    proxy.rules.clear()
    store.put("name", b"text", mode="create")  # the server was not asked before


def test_the_second_of_three_requests_fails(store: CloudStore, proxy: FaultProxy) -> None:
    store.put("name", b"text")
    proxy.rules.append(Rule(ACCESS_DENIED, method="GET", first=2, times=1))
    store.get("name")
    with pytest.raises(PermissionDeniedError):
        store.get("name")
    store.get("name")


def test_a_request_that_is_cut_leaves_nothing(store: CloudStore, proxy: FaultProxy) -> None:
    proxy.rules.append(Rule(CutRequest(after=1000), method="PUT", times=3))
    with pytest.raises(GenericError, match="error sending request"):
        store.put("name", b"1" * 100_000)
    assert proxy.count("PUT") == 3
    with pytest.raises(FileNotFoundError):
        store.head("name")


def test_a_part_that_is_cut_is_sent_again(store: CloudStore, proxy: FaultProxy) -> None:
    data = os.urandom(12 * MIB)
    proxy.rules.append(Rule(CutRequest(after=MIB), path="partNumber=2", times=1))
    store.put("name", data, use_multipart=True, chunk_size=5 * MIB)
    assert proxy.count("PUT", "partNumber=2") == 2
    assert bytes(store.get("name").bytes()) == data


def test_an_answer_that_is_cut_is_asked_for_again(store: CloudStore, proxy: FaultProxy) -> None:
    data = os.urandom(4 * MIB)
    store.put("name", data)
    proxy.rules.append(Rule(CutAnswer(after=MIB), method="GET", times=1))
    assert bytes(store.get("name").bytes()) == data
    ranges = [request.header("range") for request in proxy.requests if request.method == "GET"]
    assert ranges == ["", f"bytes={MIB}-{4 * MIB - 1}"]


def test_a_write_whose_answer_is_lost_was_made(store: CloudStore, proxy: FaultProxy) -> None:
    # obstore sends it again, and takes its own first write for another's.
    proxy.rules.append(Rule(LoseAnswer(), method="PUT", times=1))
    with pytest.raises(AlreadyExistsError):
        store.put("name", b"mine", mode="create")
    assert bytes(store.get("name").bytes()) == b"mine"


def test_a_server_is_slow(store: CloudStore, proxy: FaultProxy) -> None:
    proxy.rules.append(Rule(Delay(0.3), times=1))
    started = time.monotonic()
    store.put("name", b"text")
    assert time.monotonic() - started >= 0.3


def test_a_server_ignores_conditions(moto: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = fresh(moto, monkeypatch)
    with fault_proxy(bucket.port) as proxy:
        use(bucket.through(proxy.port), monkeypatch)
        store = opened(bucket)
        proxy.rules.append(Rule(DropHeaders()))
        store.put("name", b"first", mode="create")
        store.put("name", b"second", mode="create")
        assert bytes(store.get("name").bytes()) == b"second"


def test_a_server_that_is_gone_is_a_connection_that_ends(
    s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fault_proxy(upstream=9) as proxy:  # nothing listens on the port of `discard`
        use(s3.through(proxy.port), monkeypatch)
        with pytest.raises(GenericError, match="error sending request"):
            opened(s3).put("name", b"text")
