"""A bucket whose service fails, is slow, or refuses: nothing is lost, nothing wrong, and words."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from levada.store import DamagedBlob, Store, StoreError, blob_name, digest_of, open_store
from levada.stores import bucket as bucket_module
from levada.stores import transfer

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
    Fault,
    FaultProxy,
    LoseAnswer,
    Rule,
    fault_proxy,
)
from tests.engines.object_stores.fixtures import fresh, use
from tests.engines.object_stores.servers import Bucket

pytestmark = pytest.mark.engine

SMALL, LARGE = os.urandom(10_000), os.urandom(20 << 20)


@pytest.fixture
def proxy(s3: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FaultProxy]:
    """A proxy before VersityGW; blobs are kept in a folder of this test alone."""
    monkeypatch.setenv("LEVADA_BLOB_CACHE", str(tmp_path / "blob-cache"))
    monkeypatch.setattr(bucket_module, "_PAUSES", (0.01,) * 6)
    with fault_proxy(s3.port) as proxy:
        use(s3.through(proxy.port), monkeypatch)
        yield proxy


@pytest.fixture
def store(s3: Bucket, proxy: FaultProxy) -> Store:  # noqa: ARG001  its environment
    """A store that is reached through the proxy, with what the actions below read in it."""
    store = open_store(s3.url)
    store.write_once("a/read", b"text")
    store.write_once("a/swap", b"old")
    _put_elsewhere(store, SMALL)
    return store


def _put_elsewhere(store: Store, data: bytes) -> None:
    """Store a blob as another machine does, so that this one has to read it from the bucket."""
    digest = store.put_blob(data)
    cache = getattr(store, "_cache")  # noqa: B009
    cache.remove(digest)


def _swap(store: Store) -> bool:
    return store.compare_and_swap("a/swap", store.read_tagged("a/swap")[1], b"new")


#: What a store does, with the method and the path of the request that a fault is for.
ACTIONS: dict[str, tuple[Callable[[Store], object], object, str, str]] = {
    "create": (lambda s: (s.write_once("a/new", b"1"), s.read("a/new")), (True, b"1"), "PUT", "a/"),
    "exists": (lambda s: s.write_once("a/read", b"2"), False, "PUT", "a/"),
    "swap": (_swap, True, "PUT", "a/swap"),
    "read": (lambda s: s.read("a/read"), b"text", "GET", "a/read"),
    "list": (lambda s: s.list("a"), ["read", "swap"], "GET", "list-type"),
    "delete": (lambda s: (s.delete("a/read"), s.list("a")), (None, ["swap"]), "POST", "delete"),
    "small put": (lambda s: s.put_blob(b"xyz"), digest_of(b"xyz"), "PUT", "blobs"),
    "large put": (lambda s: s.put_blob(LARGE), digest_of(LARGE), "PUT", "partNumber=2"),
    "small get": (lambda s: s.read_blob(digest_of(SMALL)), SMALL, "GET", "blobs"),
    "large get": (lambda s: s.read_blob(digest_of(LARGE)), LARGE, "GET", "blobs"),
}


PASSING: tuple[Fault, ...] = (INTERNAL_ERROR, SLOW_DOWN, LoseAnswer())


@pytest.mark.parametrize(
    ("action", "fault"),
    [
        pytest.param(name, fault, id=f"{name}-{getattr(fault, 'code', type(fault).__name__)}")
        for name, (_, _, method, _) in ACTIONS.items()
        for fault in (*PASSING, CutAnswer(after=3) if method == "GET" else CutRequest(after=0))
    ],
)
def test_what_passes_is_not_noticed(
    store: Store, proxy: FaultProxy, action: str, fault: Fault
) -> None:
    act, expected, method, path = ACTIONS[action]
    if action == "large get":
        _put_elsewhere(store, LARGE)
    rule = Rule(fault, method=method, path=path, times=2)
    proxy.rules.append(rule)
    assert act(store) == expected
    assert rule.matched >= 2


def test_an_answer_that_breaks_off_in_a_large_blob(store: Store, proxy: FaultProxy) -> None:
    _put_elsewhere(store, LARGE)
    proxy.rules.append(Rule(CutAnswer(after=9 << 20), method="GET", path="blobs", times=2))
    assert store.read_blob(digest_of(LARGE)) == LARGE


def test_a_race_that_the_service_could_not_decide(store: Store, proxy: FaultProxy) -> None:
    """409: nothing was written. It is sent again, and only then somebody else may be first."""
    proxy.rules.append(Rule(CONFLICT, method="PUT", path="a/new", times=2))
    assert store.write_once("a/new", b"1")
    proxy.rules[:] = [Rule(CONFLICT, method="PUT", path="a/read", times=2)]
    assert not store.write_once("a/read", b"text")


def test_an_unknown_outcome_is_looked_up(store: Store, proxy: FaultProxy) -> None:
    """The answer is lost, then the document is there: ours if it is what we wrote."""
    proxy.rules.append(Rule(LoseAnswer(), method="PUT", path="a/new", times=1))
    assert store.write_once("a/new", b"ours")
    proxy.rules[:] = [Rule(CutRequest(after=0), method="PUT", path="a/read", times=1)]
    assert not store.write_once("a/read", b"other")


def test_a_slow_answer_is_waited_for(store: Store, proxy: FaultProxy) -> None:
    proxy.rules.append(Rule(Delay(10), method="GET", path="a/read", times=1))
    assert store.read("a/read") == b"text"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (ACCESS_DENIED, "give the identity that was used the right to"),
        (EXPIRED_TOKEN, "the credentials have expired"),
        (NO_SUCH_BUCKET, "or correct the store's URL"),
        (Answer(400, "AuthorizationHeaderMalformed", "the region 'a' is wrong; expecting 'eu-1'"),
         "set AWS_REGION to eu-1"),
        (Answer(403, "RequestTimeTooSkewed", "The difference is too large."), "set the clock"),
        (Answer(403, "InvalidAccessKeyId", "no such key"), "does not know these credentials"),
        (SLOW_DOWN, "asks for fewer requests"),
    ],
    ids=lambda value: getattr(value, "code", ""),
)  # fmt: skip
def test_what_stays_is_said(store: Store, proxy: FaultProxy, answer: Answer, words: str) -> None:
    """What was tried, the service's words, and a way out; for each kind of request."""
    proxy.rules.append(Rule(answer))
    actions: list[tuple[str, Callable[[], object]]] = [
        ("write a/new", lambda: store.write_once("a/new", b"1")),
        ("read a/read", lambda: store.read("a/read")),
        ("list a", lambda: store.list("a")),
        ("write blobs/", lambda: store.put_blob(b"abc")),
        ("read blobs/", lambda: store.open_blob(digest_of(SMALL))),
    ]
    for tried, action in actions:
        with pytest.raises(StoreError) as raised:
            action()
        said = str(raised.value)
        assert f"cannot {tried}" in said
        assert f"{answer.code}: {answer.message}" in said
        assert words in said


def test_a_token_that_expires_in_an_upload(store: Store, proxy: FaultProxy) -> None:
    """It is an error with words, and what is in the store afterwards is whole or not there."""
    data = os.urandom(20 << 20)
    proxy.rules.append(Rule(EXPIRED_TOKEN, method="PUT", path="partNumber=2"))
    with pytest.raises(StoreError, match="the credentials have expired"):
        store.put_blob(data)
    proxy.rules.clear()
    assert not store.verify_blob(digest_of(data))
    assert blob_name(digest_of(data)) not in dict(store.walk())
    assert store.put_blob(data) == digest_of(data)
    assert store.verify_blob(digest_of(data))


def test_no_bucket_no_rights_and_a_store_that_can_only_be_read(
    store: Store, proxy: FaultProxy
) -> None:
    proxy.rules.append(Rule(ACCESS_DENIED, method="PUT"))
    assert store.read("a/read") == b"text"
    with pytest.raises(StoreError, match="AccessDenied"):
        store.prepare()


def test_a_service_that_ignores_conditions(
    moto: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LEVADA_BLOB_CACHE", str(tmp_path / "blob-cache"))
    there = fresh(moto, monkeypatch)
    with fault_proxy(there.port) as proxy:
        use(there.through(proxy.port), monkeypatch)
        proxy.rules.append(Rule(DropHeaders()))
        with pytest.raises(StoreError, match="ignores conditions"):
            open_store(there.url).prepare()
        assert open_store(there.url).list("") == []


def test_a_damaged_copy_on_this_machine_is_read_again(store: Store, tmp_path: Path) -> None:
    digest = store.put_blob(LARGE)
    kept = tmp_path / "blob-cache" / blob_name(digest)
    kept.chmod(0o644)
    kept.write_bytes(b"damaged")
    assert store.read_blob(digest) == LARGE
    kept.chmod(0o644)
    kept.write_bytes(b"damaged")
    assert store.verify_blob(digest)


def test_a_damaged_blob_is_no_blob(store: Store, tmp_path: Path) -> None:
    digest = digest_of(LARGE)
    other = tmp_path / "other"
    other.write_bytes(LARGE[:-1])
    store.write_file(blob_name(digest), str(other))
    with pytest.raises(DamagedBlob):
        store.read_blob(digest)
    assert store.put_blob(LARGE) == digest
    assert store.read_blob(digest) == LARGE


def test_a_blob_that_is_only_on_this_machine_is_not_in_the_store(store: Store) -> None:
    digest = store.put_blob(SMALL)
    assert store.verify_blob(digest)
    store.delete(blob_name(digest))
    assert not store.verify_blob(digest)


def test_a_step_that_sets_variables_of_the_cloud(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For data of its own, elsewhere: the store stays where it is."""
    store.preload()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")
    assert store.read("a/read") == b"text"


def test_a_copy_takes_what_is_in_the_bucket(store: Store, tmp_path: Path) -> None:
    """A damaged copy on this machine says nothing of it, and odd objects stop nothing."""
    digest = store.put_blob(SMALL)
    kept = tmp_path / "blob-cache" / blob_name(digest)
    kept.chmod(0o644)
    kept.write_bytes(b"damaged")
    store.write_once(f"{blob_name(digest).rpartition('/')[0]}/.DS_Store", b"")
    target = open_store(str(tmp_path / "copy"))
    copied: list[str] = []
    faults = transfer.copy(store, target, lambda path, _, __: copied.append(path))
    assert [fault.partition(" is ")[2] for fault in faults] == ["no blob; it is not copied"]
    assert target.read_blob(digest) == SMALL
    assert target.read("a/read") == b"text"


def test_parts_are_removed_together(store: Store, proxy: FaultProxy) -> None:
    paths = [f"a/log.{number:06d}" for number in range(40)]
    for path in paths:
        store.write_once(path, b"")
    before = len(proxy.requests)
    store.delete_all([*paths, "a/none"])
    assert len(proxy.requests) - before == 1
    assert store.list("a") == ["read", "swap"]
