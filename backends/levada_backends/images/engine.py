"""The Docker engine's own HTTP interface, as far as it is needed to hand it a finished image.

Source: docs.docker.com/reference/api/engine (version 1.41; images: list, inspect, load). The SDK
would cost 150 ms to import, more than all the rest of loading an image of which little is new.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from levada_compiler.slotted import dataclass

from . import credentials
from .image import ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

_DEFAULT = "unix:///var/run/docker.sock"
_TIMEOUT = 300.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image that the engine has: its id (a digest) and the digests of its layers' tar files.

    ``in_registries``: references with digests, of the registries that it came from or went to.
    """

    id: str
    diff_ids: tuple[str, ...]
    in_registries: tuple[str, ...]


def address() -> str:
    """Give the engine's address: ``DOCKER_HOST``, else of Docker's current context."""
    if given := os.environ.get("DOCKER_HOST"):
        return given
    folder = credentials.config_file().parent
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        context = os.environ.get("DOCKER_CONTEXT") or config.get("currentContext") or "default"
        name = hashlib.sha256(context.encode()).hexdigest()
        meta = json.loads((folder / "contexts" / "meta" / name / "meta.json").read_text())
        return str(meta["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return _DEFAULT


class Engine:
    """An engine at an address, ``unix://…`` or ``tcp://…`` without TLS."""

    def __init__(self, host: str) -> None:
        self.host = host

    def is_there(self) -> bool:
        """Whether an engine answers."""
        try:
            return self._ask("GET", "/_ping")[0] == 200
        except ImageError:
            return False

    def image(self, name: str) -> Loaded | None:
        """Give an image by its tag or id. Raises ImageError."""
        status, body = self._ask("GET", f"/images/{quote(name)}/json")
        if status != 200:
            return None
        document = json.loads(body)
        layers = tuple(document.get("RootFS", {}).get("Layers") or ())
        return Loaded(document["Id"], layers, tuple(document.get("RepoDigests") or ()))

    def images(self, name: str) -> list[Loaded]:
        """Give the images of a repository, whatever their tags."""
        filters = quote(json.dumps({"reference": [name]}))
        status, body = self._ask("GET", f"/images/json?filters={filters}")
        found = json.loads(body) if status == 200 else []
        images = (self.image(str(entry["Id"])) for entry in found)
        return [image for image in images if image is not None]

    def load(self, archive: BinaryIO, size: int) -> None:
        """Load an archive of so many bytes. Raises ImageError with the engine's words."""
        headers = {"Content-Type": "application/x-tar", "Content-Length": str(size)}
        status, body = self._ask("POST", "/images/load?quiet=1", archive, headers)
        errors = [line["error"] for line in _lines(body) if "error" in line]
        if status != 200 or errors:
            said = "; ".join(errors) or _message(body)
            raise ImageError(f"the Docker engine does not take the image: {said}")

    def _ask(
        self,
        method: str,
        path: str,
        body: BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        connection = self._connect()
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ImageError(
                f"no Docker engine answers at {self.host}: {error}",
                "start one, name it in DOCKER_HOST, or push to a registry (which needs none)",
            ) from error
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.host)
        if parts.scheme == "unix":
            return _UnixConnection(parts.path)
        if parts.scheme in ("tcp", "http") and not os.environ.get("DOCKER_TLS_VERIFY"):
            return http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT)
        raise ImageError(
            f"an image cannot be loaded into the engine at {self.host}",
            "name a unix:// or tcp:// address in DOCKER_HOST, or push to a registry",
        )


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(self._path)


def is_local() -> bool:
    """Whether there may be an engine on this machine (a look at the file only)."""
    parts = urlsplit(address())
    return parts.scheme != "unix" or Path(parts.path).exists()


def _lines(body: bytes) -> list[dict[str, Any]]:
    found = []
    for line in body.splitlines():
        try:
            document = json.loads(line)
        except ValueError:
            continue
        if isinstance(document, dict):
            found.append(document)
    return found


def _message(body: bytes) -> str:
    documents = _lines(body)
    return (
        str(documents[0].get("message", "")) if documents else body[:200].decode(errors="replace")
    )
