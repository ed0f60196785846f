"""The registry client: with a real registry, and with servers that are not well."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import socket
import ssl
import stat
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

import pytest
from levada_backends.images import credentials, oci
from levada_backends.images.connections import RegistryError
from levada_backends.images.credentials import Credentials
from levada_backends.images.image import ImageError
from levada_backends.images.reference import parse_reference
from levada_backends.images.registry import Registry

from ..engines.docker import PASSWORD, USER
from .servers import answer, cutting_proxy, http_server, tunnelling_proxy

if TYPE_CHECKING:
    from pathlib import Path

    from ..engines.docker import Docker

Connect = Callable[..., Registry]

DATA = hashlib.shake_256(b"levada").digest(5_000_000)
DIGEST = oci.digest_of(DATA)


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder for Docker's configuration."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    (tmp_path / "docker").mkdir()
    return tmp_path / "docker"


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Give clients of registries; their connections are closed when the test is over."""
    with contextlib.ExitStack() as stack:

        def open_registry(host: str, **options: float) -> Registry:
            registry = Registry(host, **options)  # type: ignore[arg-type]
            stack.callback(registry.close)
            return registry

        yield open_registry


# ------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python", "docker.io/library/python:latest"),
        ("python:3.11-slim", "docker.io/library/python:3.11-slim"),
        ("me/image", "docker.io/me/image:latest"),
        ("docker.io/me/image:1", "docker.io/me/image:1"),
        ("localhost/a", "localhost/a:latest"),
        ("127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c"),
        (f"ghcr.io/a/b:1@{DIGEST}", f"ghcr.io/a/b:1@{DIGEST}"),
        (f"ghcr.io/a/b@{DIGEST}", f"ghcr.io/a/b@{DIGEST}"),
    ],
)
def test_names_of_images(text: str, expected: str) -> None:
    assert str(parse_reference(text)) == expected


@pytest.mark.parametrize(
    "text", ["", "A/b", "a b", "a:b:c", "a@sha256:1", "http://a/b", "a/", "-a", "a/../b", "ä"]
)
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(ImageError, match="does not name an image"):
        parse_reference(text)


# ------------------------------------------------------------------------- a real registry


@pytest.mark.engine
def test_in_and_out(connect: Connect, docker: Docker, tmp_path: Path) -> None:
    registry = connect(docker.registry)
    assert not registry.has_blob("in/out", DIGEST, len(DATA))
    file = tmp_path / "blob"
    file.write_bytes(DATA)
    sent: list[int] = []
    registry.put_blob("in/out", DIGEST, file, on_sent=sent.append)
    assert (sent[-1], sorted(sent)) == (len(DATA), sent)
    assert registry.has_blob("in/out", DIGEST, len(DATA))
    assert b"".join(registry.blob("in/out", DIGEST)) == DATA
    config = oci.encode({"architecture": "amd64", "os": "linux"})
    registry.put_blob("in/out", oci.digest_of(config), config)
    layer = oci.Descriptor(oci.LAYER_GZIP, DIGEST, len(DATA))
    manifest = oci.Manifest(oci.describe(oci.CONFIG, config), (layer,)).encode()
    digest = oci.digest_of(manifest)
    assert not registry.has_manifest("in/out", digest, len(manifest))
    registry.put_manifest("in/out", "v1", manifest, oci.MANIFEST)
    assert registry.has_manifest("in/out", digest, len(manifest))
    assert registry.manifest("in/out", "v1") == (oci.MANIFEST, digest, manifest)
    assert registry.manifest("in/out", digest) == (oci.MANIFEST, digest, manifest)
    assert registry.manifest("in/out", "v2") is None


@pytest.mark.engine
def test_a_blob_is_mounted_from_another_repository(connect: Connect, docker: Docker) -> None:
    registry = connect(docker.registry)
    registry.put_blob("mount/from", DIGEST, DATA)
    sent: list[int] = []
    registry.put_blob("mount/to", DIGEST, DATA, mount_from="mount/from", on_sent=sent.append)
    assert registry.has_blob("mount/to", DIGEST, len(DATA))
    assert sent == []
    # Where it is not, it is uploaded.
    other = b"other" * 1000
    registry.put_blob("mount/to", oci.digest_of(other), other, mount_from="mount/from")
    assert registry.has_blob("mount/to", oci.digest_of(other), len(other))


@pytest.mark.engine
def test_bytes_that_are_not_those_of_the_digest(connect: Connect, docker: Docker) -> None:
    registry = connect(docker.registry)
    with pytest.raises(RegistryError, match="digest did not match") as caught:
        registry.put_blob("wrong", DIGEST, DATA[:-1])
    assert caught.value.status == 400


@pytest.mark.engine
@pytest.mark.parametrize("cuts", [1, 3])
def test_an_upload_that_breaks_goes_on(connect: Connect, docker: Docker, cuts: int) -> None:
    with cutting_proxy(docker.registry, after=1_000_000, cuts=cuts, from_server=False) as address:
        registry = connect(address)
        registry.put_blob(f"cut/up{cuts}", DIGEST, DATA)
    registry = connect(docker.registry)
    assert b"".join(registry.blob(f"cut/up{cuts}", DIGEST)) == DATA


@pytest.mark.engine
def test_an_upload_that_keeps_breaking(connect: Connect, docker: Docker) -> None:
    with cutting_proxy(docker.registry, after=1_000_000, cuts=99, from_server=False) as address:
        registry = connect(address, attempts=2)
        with pytest.raises(RegistryError, match="the connection breaks"):
            registry.put_blob("cut/never", DIGEST, DATA)


@pytest.mark.engine
def test_a_download_that_breaks_goes_on(connect: Connect, docker: Docker) -> None:
    connect(docker.registry).put_blob("cut/down", DIGEST, DATA)
    with cutting_proxy(docker.registry, after=1_000_000, cuts=2, from_server=True) as address:
        registry = connect(address)
        assert b"".join(registry.blob("cut/down", DIGEST)) == DATA


# ------------------------------------------------------------------------- who we are


def log_in(folder: Path, host: str, **entry: str) -> None:
    (folder / "config.json").write_text(json.dumps({"auths": {host: entry}}))


def packed(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture(scope="module")
def closed_registry(docker: Docker) -> str:
    """A registry that wants a login."""
    return docker.start_registry(wants_login=True)


@pytest.mark.engine
def test_login(connect: Connect, closed_registry: str, no_credentials: Path) -> None:
    with pytest.raises(RegistryError) as caught:
        connect(closed_registry).put_blob("a", DIGEST, DATA)
    assert caught.value.message == (f"cannot use {closed_registry}/a: the registry wants a login")
    assert f"docker login {closed_registry}" in caught.value.way_out

    log_in(no_credentials, closed_registry, auth=packed(USER, "wrong"))
    with pytest.raises(RegistryError, match=f"does not let us in as {USER}") as caught:
        connect(closed_registry).put_blob("a", DIGEST, DATA)
    assert "wrong" not in str(caught.value)

    log_in(no_credentials, f"https://{closed_registry}/v1/", auth=packed(USER, PASSWORD))
    registry = connect(closed_registry)
    registry.put_blob("a", DIGEST, DATA)
    assert b"".join(registry.blob("a", DIGEST)) == DATA


@pytest.mark.engine
def test_credential_helper(
    connect: Connect, closed_registry: str, no_credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = no_credentials / "docker-credential-test"
    helper.write_text(
        f"""#!/bin/sh
read server
if [ "$server" = "{closed_registry}" ]; then
  echo '{{"ServerURL": "x", "Username": "{USER}", "Secret": "{PASSWORD}"}}'
else
  echo 'credentials not found in native keychain'; exit 1
fi
"""
    )
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{no_credentials}:{os.environ['PATH']}")
    (no_credentials / "config.json").write_text(json.dumps({"credsStore": "test"}))
    registry = connect(closed_registry)
    registry.put_blob("helped", DIGEST, DATA)
    assert credentials.find("elsewhere.example") is None


def test_forms_of_credentials(no_credentials: Path) -> None:
    entries = {
        "plain.example": {"auth": packed("a", "b:c")},
        "https://index.docker.io/v1/": {"auth": packed("hub", "x")},
        "token.example": {"identitytoken": "t"},
        "named.example": {"username": "u", "password": "p"},
        "empty.example": {},
        "bad.example": {"auth": "%%%"},
    }
    (no_credentials / "config.json").write_text(json.dumps({"auths": entries}))
    assert credentials.find("plain.example") == Credentials("a", "b:c")
    assert credentials.find("docker.io") == Credentials("hub", "x")
    assert credentials.find("token.example") == Credentials("", "t")
    assert credentials.find("named.example") == Credentials("u", "p")
    assert credentials.find("empty.example") is None
    assert credentials.find("none.example") is None
    assert "b:c" not in repr(credentials.find("plain.example"))
    with pytest.raises(ImageError, match=r"the credentials for bad\.example"):
        credentials.find("bad.example")


def test_broken_configuration(no_credentials: Path) -> None:
    (no_credentials / "config.json").write_text("{")
    with pytest.raises(ImageError, match="cannot be read"):
        credentials.find("a.example")
    (no_credentials / "config.json").write_text('{"credsStore": "nowhere-to-be-found"}')
    with pytest.raises(ImageError, match="docker-credential-nowhere-to-be-found does not work"):
        credentials.find("a.example")


@pytest.mark.parametrize("kind", ["password", "identity token", "anonymous"])
def test_bearer_token(connect: Connect, no_credentials: Path, kind: str) -> None:
    """The registry sends us to another server for a token, for what we want to do."""
    asked: list[str] = []
    addresses: list[str] = []

    def behave(handler: BaseHTTPRequestHandler) -> None:
        if handler.path.startswith("/token"):
            asked.append(f"{handler.command} {handler.path}")
            given = handler.headers.get("Authorization", "")
            expected = {"password": f"Basic {packed('u', 'p')}"}.get(kind, "")
            is_right = given == expected
            token = json.dumps({"access_token" if kind == "identity token" else "token": "T"})
            answer(handler, 200 if is_right else 401, token.encode())
        elif handler.headers.get("Authorization") != "Bearer T":
            challenge = f'Bearer realm="http://{addresses[0]}/token",service="reg"'
            answer(handler, 401, WWW_Authenticate=challenge)
        else:
            answer(handler, 200, DATA)

    with http_server(behave) as address:
        addresses.append(address)
        if kind == "password":
            log_in(no_credentials, address, auth=packed("u", "p"))
        elif kind == "identity token":
            log_in(no_credentials, address, identitytoken="I")
        registry = connect(address)
        assert registry.has_blob("a/b", DIGEST, len(DATA))
        assert registry.has_blob("a/b", DIGEST, len(DATA))
    query = "?service=reg&scope=repository%3Aa%2Fb%3Apull%2Cpush"
    expected = "POST /token" if kind == "identity token" else f"GET /token{query}"
    assert asked == [expected]


def test_a_token_does_not_go_to_where_a_registry_sends_us(connect: Connect) -> None:
    seen: list[str | None] = []

    def storage(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers.get("Authorization"))
        answer(handler, 200, DATA)

    with http_server(storage) as elsewhere:

        def behave(handler: BaseHTTPRequestHandler) -> None:
            if handler.path.startswith("/token"):
                answer(handler, 200, b'{"token": "T"}')
            elif handler.headers.get("Authorization") != "Bearer T":
                host = handler.headers["Host"]
                answer(handler, 401, WWW_Authenticate=f'Bearer realm="http://{host}/token"')
            else:
                answer(handler, 307, Location=f"http://{elsewhere}/blob?signed=1")

        with http_server(behave) as address:
            registry = connect(address)
            assert b"".join(registry.blob("a", DIGEST)) == DATA
    assert seen == [None]


# ------------------------------------------------------------- servers that are not well


def refused(connect: Connect, address: str, **options: float) -> RegistryError:
    registry = connect(address, attempts=2, **options)
    with pytest.raises(RegistryError) as caught:
        registry.has_blob("a", DIGEST, len(DATA))
    return caught.value


def test_nobody_listens(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    error = refused(connect, address)
    assert error.message == f"cannot reach {address}: nothing listens at {address}"
    assert error.way_out == "start the registry, or check its address"


def test_a_name_that_nobody_knows(connect: Connect) -> None:
    error = refused(connect, "registry.invalid")
    assert error.message.startswith("cannot reach registry.invalid: its name is not known")


def test_a_server_without_tls(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_server(lambda handler: answer(handler, 200)) as address:
        # The machine's own name is not the loopback, although it may well lead there.
        monkeypatch.setattr("levada_backends.images.registry.is_loopback", lambda _: False)
        error = refused(connect, address)
    assert "TLS" in error.message


@pytest.fixture
def tls_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, bytes]]:
    """A server with TLS that has everything: its address, and the certificate that it uses."""
    certificate, key = tmp_path / "ca.crt", tmp_path / "ca.key"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setattr("levada_backends.images.registry.is_loopback", lambda _: False)
    with http_server(lambda handler: answer(handler, 200, DATA), context) as address:
        yield address, certificate.read_bytes()


def trust(folder: Path, address: str, certificate: bytes) -> None:
    (folder / "certs.d" / address).mkdir(parents=True)
    (folder / "certs.d" / address / "ca.crt").write_bytes(certificate)


def test_a_certificate_that_is_not_trusted(
    connect: Connect, tls_server: tuple[str, bytes], no_credentials: Path
) -> None:
    address, certificate = tls_server
    error = refused(connect, address)
    assert "self-signed certificate" in error.message
    assert f"/etc/docker/certs.d/{address}/ca.crt" in error.way_out
    trust(no_credentials, address, certificate)
    assert connect(address).has_blob("a", DIGEST, len(DATA))


def test_through_a_proxy_that_wants_a_password(
    connect: Connect,
    tls_server: tuple[str, bytes],
    no_credentials: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, certificate = tls_server
    trust(no_credentials, address, certificate)
    with tunnelling_proxy() as (proxy, heads):
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:pass%20word@{proxy}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        registry = connect(address)
        assert registry.has_blob("a", DIGEST, len(DATA))
        registry.close()
        assert heads[0].startswith(f"CONNECT {address} HTTP/1.")
        assert f"Proxy-Authorization: Basic {packed('me', 'pass word')}" in heads[0]
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert connect(address).has_blob("a", DIGEST, len(DATA))
        assert len(heads) == 1


def test_a_server_that_is_overloaded_is_asked_again(connect: Connect) -> None:
    statuses = [503, 429, 200]

    def behave(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, statuses.pop(0), Retry_After="0", Docker_Content_Digest=DIGEST)

    with http_server(behave) as address:
        registry = connect(address)
        assert registry.has_blob("a", DIGEST, len(DATA))
    assert statuses == []


def test_a_server_that_stays_overloaded(connect: Connect) -> None:
    with http_server(lambda handler: answer(handler, 503)) as address:
        error = refused(connect, address)
    assert error.status == 503
    assert "the registry answers 503" in error.message


def test_a_server_that_says_nothing(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refused(connect, f"127.0.0.1:{silent.getsockname()[1]}", timeout=0.2)
    assert error.message.endswith("does not answer")


def test_a_page_of_a_web_server_is_no_layer(connect: Connect) -> None:
    """A portal to log in at answers whatever it is asked: nothing may count as pushed."""
    with http_server(lambda handler: answer(handler, 200, b"<html>Welcome</html>")) as address:
        registry = connect(address)
        assert not registry.has_blob("a", DIGEST, len(DATA))
        assert not registry.has_manifest("a", DIGEST, 500)
        with pytest.raises(RegistryError, match="the registry answers 200") as caught:
            registry.put_blob("a", DIGEST, DATA)
    assert f"is {address} a registry" in caught.value.way_out


def test_a_layer_that_is_kept_elsewhere_is_there(connect: Connect) -> None:
    with http_server(lambda handler: answer(handler, 200, DATA)) as elsewhere:
        location = f"http://{elsewhere}/blob"
        with http_server(lambda each: answer(each, 307, Location=location)) as address:
            assert connect(address).has_blob("a", DIGEST, len(DATA))
            assert not connect(address).has_blob("a", DIGEST, 1)


def test_a_server_that_hangs_up(connect: Connect) -> None:
    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True

    with http_server(behave) as address:
        assert "the connection breaks" in refused(connect, address).message


def test_the_words_of_the_registry_are_shown(connect: Connect) -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": "quota exceeded"}]}).encode()
    with http_server(lambda handler: answer(handler, 413, body)) as address:
        registry = connect(address)
        with pytest.raises(RegistryError) as caught:
            registry.put_blob("a", DIGEST, b"x")
    assert caught.value.message == (
        f"cannot push to {address}/a: the registry answers 413 (quota exceeded)"
    )


def test_another_manifest_than_that_of_the_digest(connect: Connect) -> None:
    with http_server(lambda handler: answer(handler, 200, b"{}")) as address:
        registry = connect(address)
        with pytest.raises(ImageError, match="sent another manifest"):
            registry.manifest("a", DIGEST)
