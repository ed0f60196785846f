"""Real servers of object stores, each on a free port of the loopback with an empty bucket.

    with servers.versitygw(folder) as bucket:
        os.environ.update(bucket.environment)
        obstore.store.from_url(bucket.url).put("name", b"text")

A server and its data are gone when its context is, however the tests end.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path

from tests.engines.keeper import Keeper

from . import programs

_HOST = "127.0.0.1"
_NAME = "levada"  # of each bucket and container
_SECONDS = 60

#: The account of Azurite that Microsoft documents; it is no secret.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@dataclass(frozen=True)
class Bucket:
    """A place in a bucket of a running server.

    `url` is what a user writes as the store (`s3://bucket/prefix`), `environment` has the variables
    that a standard client needs to reach the server, which listens on `port` of 127.0.0.1.
    """

    url: str
    environment: Mapping[str, str]
    port: int

    def at(self, prefix: str) -> Bucket:
        """Return the place below a prefix: `bucket.at("one")` has the URL `s3://levada/one`."""
        return replace(self, url=f"{self.url}/{prefix}")

    def through(self, port: int) -> Bucket:
        """Return the same place with clients sent to another port, such as a `fault_proxy`'s."""
        here, there = (f"{_HOST}:{number}" for number in (self.port, port))
        moved = {name: value.replace(here, there) for name, value in self.environment.items()}
        return replace(self, environment=moved, port=port)


@contextlib.contextmanager
def versitygw(folder: Path, host: str = _HOST) -> Iterator[Bucket]:
    """Start VersityGW on a folder: what is in the bucket is in files of that folder.

    It listens at ``host``, an address of this machine: that by which pods see it, for instance.

    It checks signatures and checksums. A name cannot be an object and a folder: `a/b` after `a` is
    409 ObjectParentIsFile, which obstore reads as AlreadyExistsError. A large PUT whose condition
    fails is answered before its body is read, and the connection reset.
    """
    # The gateway takes a folder below its root as a bucket of its root user.
    (folder / "data" / _NAME).mkdir(parents=True, exist_ok=True)
    with _running() as (keeper, port):
        access, secret = ("levada", "open-sesame")
        command = [str(programs.versitygw()), "--access", access, "--secret", secret]
        listen = ("--port", f"{host}:{port}", "--quiet")
        keeper.start(
            "versitygw",
            [*command, *listen, "posix", str(folder / "data")],
            env={},
            log=folder / "versitygw.log",
        )
        _wait(keeper, port, host)
        yield _s3_bucket(port, access, secret, host)


@contextlib.contextmanager
def moto() -> Iterator[Bucket]:
    """Start moto's server, which keeps its data in memory and takes any key.

    As it checks no signature, a proxy may drop a condition's header before it.
    """
    with _running() as (keeper, port), _scratch(keeper) as folder:
        command = [str(programs.moto()), "--host", _HOST, "--port", str(port)]
        keeper.start("moto", command, env={"HOME": str(folder)}, log=folder / "moto.log")
        _wait(keeper, port)
        _ask(port, "PUT", f"/{_NAME}")
        yield _s3_bucket(port, "levada", "open-sesame")


@contextlib.contextmanager
def fake_gcs() -> Iterator[Bucket]:
    """Start fake-gcs-server, which keeps its data in memory and asks for no credentials.

    Its XML API is ours in large part (`fake_gcs/xml_api`). A read ignores If-None-Match.
    """
    with _running() as (keeper, port), _scratch(keeper) as folder:
        command = [
            *(str(programs.fake_gcs()), "-backend", "memory", "-scheme", "http"),
            *("-host", _HOST, "-port", str(port), "-public-host", _HOST),
        ]
        keeper.start("fake-gcs-server", command, env={}, log=folder / "fake-gcs.log")
        _wait(keeper, port)
        _ask(port, "POST", "/storage/v1/b?project=levada", json.dumps({"name": _NAME}))
        # A key without a token service: clients that know `gcs_base_url` go there unsigned.
        account = {
            "gcs_base_url": f"http://{_HOST}:{port}",
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
        environment = {
            "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account),
            "GOOGLE_ALLOW_HTTP": "true",
            "STORAGE_EMULATOR_HOST": f"http://{_HOST}:{port}",  # what Google's own clients read
        }
        yield Bucket(f"gs://{_NAME}", environment, port)


@contextlib.contextmanager
def azurite() -> Iterator[Bucket]:
    """Start Azurite's blob service on a folder that is thrown away; it checks signatures."""
    with _running() as (keeper, port), _scratch(keeper) as folder:
        command = [
            *(str(programs.node()), str(programs.azurite()), "--silent"),
            *("--blobHost", _HOST, "--blobPort", str(port), "--location", str(folder)),
            # Clients of this year name versions of the API that it does not know yet.
            *("--skipApiVersionCheck", "--disableTelemetry"),
        ]
        keeper.start("azurite", command, env={"HOME": str(folder)}, log=folder / "azurite.log")
        _wait(keeper, port)
        _create_container(port)
        environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
            "AZURE_STORAGE_ENDPOINT": f"http://{_HOST}:{port}/{AZURE_ACCOUNT}",
            "AZURE_ALLOW_HTTP": "true",
        }
        yield Bucket(f"az://{_NAME}", environment, port)


@contextlib.contextmanager
def _running() -> Iterator[tuple[Keeper, int]]:
    with Keeper() as keeper:
        yield keeper, _free_port()


@contextlib.contextmanager
def _scratch(keeper: Keeper) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="levada-store-"))
    keeper.discard(folder)
    yield folder


def _s3_bucket(port: int, access: str, secret: str, host: str = _HOST) -> Bucket:
    environment = {
        "AWS_ACCESS_KEY_ID": access,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
        # Else a client that finds no key asks the metadata service of EC2, and waits for it.
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return Bucket(f"s3://{_NAME}", environment, port)


def _create_container(port: int) -> None:
    """Create the container by a request that is signed with the account's key."""
    path = f"/{AZURE_ACCOUNT}/{_NAME}"
    own = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    lines = [
        "PUT",
        *("",) * 11,  # the standard headers, none of which the request has
        *(f"{name}:{value}" for name, value in sorted(own.items())),
        # An account in the path is there twice: once as the account, once as the path.
        f"/{AZURE_ACCOUNT}{path}",
        "restype:container",
    ]
    digest = hmac.digest(base64.b64decode(AZURE_KEY), "\n".join(lines).encode(), hashlib.sha256)
    signature = f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}"
    _ask(port, "PUT", f"{path}?restype=container", headers={**own, "Authorization": signature})


def _ask(
    port: int, method: str, path: str, body: str = "", headers: Mapping[str, str] | None = None
) -> None:
    connection = http.client.HTTPConnection(_HOST, port, timeout=_SECONDS)
    with contextlib.closing(connection):
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        if answer.status not in {200, 201}:
            raise RuntimeError(f"{method} {path} was answered by {answer.status}: {text}")


def _wait(keeper: Keeper, port: int, host: str = _HOST) -> None:
    """Return when the server answers a request, whatever it says."""
    deadline = time.monotonic() + _SECONDS
    while not _answers(port, host):
        keeper.check()
        if time.monotonic() > deadline:
            raise TimeoutError("a server of an object store does not answer")
        time.sleep(0.05)


def _answers(port: int, host: str) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/")
        connection.getresponse().read()
        return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
