"""Connections to a registry and to where it sends us: TLS, proxies, what goes wrong on the way."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self
from urllib.parse import unquote, urlsplit

from . import credentials
from .image import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from urllib.parse import SplitResult

#: What is worth another attempt.
BROKEN = (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLEOFError)
CHUNK = 1 << 20


class RegistryError(ImageError):
    """A registry says no. ``status`` is its HTTP status, 0 where there was no answer."""

    def __init__(self, message: str, way_out: str = "", status: int = 0) -> None:
        super().__init__(message, way_out)
        self.status = status


class Connections:
    """The connections of one client, kept open, one a thread and server.

    A path is the registry's, a URL may be of a server elsewhere.
    """

    def __init__(self, host: str, *, is_plain: bool, timeout: float) -> None:
        self._host = host
        self._scheme = "http" if is_plain else "https"
        self._server = "registry-1.docker.io" if host == "docker.io" else host
        self._timeout = timeout
        self._open: dict[tuple[int, str], http.client.HTTPConnection] = {}
        self._guard = threading.Lock()
        self._tls: ssl.SSLContext | None = None

    def close(self) -> None:
        """Close all of them."""
        with self._guard:
            for connection in self._open.values():
                connection.close()
            self._open.clear()

    @property
    def server(self) -> str:
        """The registry's address, not always what its images are called by."""
        return self._server

    @property
    def is_plain(self) -> bool:
        """Whether the registry is spoken to without TLS."""
        return self._scheme == "http"

    def url(self, path: str) -> str:
        """Give the URL of a path of the registry; a URL stays what it is."""
        return path if "://" in path else f"{self._scheme}://{self._server}{path}"

    def is_own(self, path: str) -> bool:
        """Whether a path or URL is the registry's, which alone may see our credentials."""
        return urlsplit(self.url(path)).netloc.lower() == self._server.lower()

    def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | Body
    ) -> http.client.HTTPResponse:
        """Send a request; give the answer, not read yet.

        Raises RegistryError where no second attempt will help, else one of BROKEN.
        """
        connection, target = self._connection(path)
        is_fresh = connection.sock is None
        length = {"Content-Length": str(len(body))} if method not in ("GET", "HEAD") else {}
        sent = {"User-Agent": "levada", **headers, **length}
        try:
            connection.request(method, target, body=body or None, headers=sent)
            return connection.getresponse()
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            idle = (http.client.RemoteDisconnected, BrokenPipeError)
            if not is_fresh and isinstance(error, idle) and isinstance(body, bytes):
                # It was kept open and the other side had closed it: that is no failure.
                connection.request(method, target, body=body or None, headers=sent)
                return connection.getresponse()
            raise self._explain(error) from error

    def _connection(self, path: str) -> tuple[http.client.HTTPConnection, str]:
        """Give this thread's connection for a path of the registry or a URL elsewhere."""
        scheme, server, target = self._scheme, self._server, path
        if "://" in path:
            parts = urlsplit(path)
            scheme, server = parts.scheme, parts.netloc
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        key = (threading.get_ident(), f"{scheme}://{server}")
        with self._guard:
            if (connection := self._open.get(key)) is None:
                connection = self._connect(scheme, server)
                self._open[key] = connection
        return connection, target

    def _connect(self, scheme: str, server: str) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(server, timeout=self._timeout)
        if self._tls is None:
            self._tls = _tls_context(server)
        if (proxy := _proxy(server)) is None:
            return http.client.HTTPSConnection(server, timeout=self._timeout, context=self._tls)
        address = proxy.netloc.rpartition("@")[2]
        tunnel = http.client.HTTPSConnection(address, timeout=self._timeout, context=self._tls)
        headers = {}
        if proxy.username:
            who = credentials.Credentials(unquote(proxy.username), unquote(proxy.password or ""))
            headers["Proxy-Authorization"] = who.basic()
        tunnel.set_tunnel(server, headers=headers)
        return tunnel

    def _explain(self, error: Exception) -> Exception:
        """Make an error of ours of one that no second attempt will cure."""
        if isinstance(error, socket.gaierror):
            return RegistryError(
                f"cannot reach {self._host}: its name is not known ({error.strerror})",
                "check the registry's address and the network",
            )
        if isinstance(error, ssl.SSLCertVerificationError):
            return RegistryError(
                f"cannot reach {self._host}: {error.verify_message} (its certificate)",
                f"put its CA into /etc/docker/certs.d/{self._host}/ca.crt or name a bundle in "
                "SSL_CERT_FILE",
            )
        if isinstance(error, ssl.SSLError) and "WRONG_VERSION" in str(error):
            return RegistryError(
                f"cannot reach {self._host}: it does not speak TLS",
                "only registries on the loopback are spoken to without",
            )
        is_known = isinstance(error, BROKEN)
        return error if is_known else ConnectionError(str(error))


class Body:
    """What is uploaded, from an offset on; read in pieces by ``http.client``."""

    def __init__(
        self, data: bytes | Path, offset: int, size: int, on_sent: Callable[[int], None] | None
    ) -> None:
        self._data = data
        self._offset = offset
        self._left = size - offset
        self._on_sent = on_sent
        self._file: BinaryIO | None = None
        self._sent = offset

    def __enter__(self) -> Self:
        if isinstance(self._data, Path):
            self._file = self._data.open("rb")
        self.rewind()
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return self._left

    def rewind(self) -> None:
        """Go back to where it starts."""
        self._sent = self._offset
        if self._file is not None:
            self._file.seek(self._offset)

    def read(self, _: int = -1) -> bytes:
        """Give the next piece; nothing at the end."""
        if self._on_sent is not None and self._sent > self._offset:
            self._on_sent(self._sent)
        if self._file is not None:
            piece = self._file.read(CHUNK)
        elif isinstance(self._data, bytes):
            piece = self._data[self._sent : self._sent + CHUNK]
        else:
            piece = b""
        self._sent += len(piece)
        return piece


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(name).is_loopback
    return False


def _tls_context(server: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for root in (Path("/etc/docker/certs.d"), credentials.config_file().parent / "certs.d"):
        for file in sorted((root / server).glob("*.crt")):
            try:
                context.load_verify_locations(cafile=str(file))
            except (OSError, ssl.SSLError) as error:
                raise ImageError(f"{file} is no certificate: {error}") from error
    return context


def _proxy(server: str) -> SplitResult | None:
    """Give the URL of the proxy for a server over TLS, as the environment has it."""
    if "https_proxy" not in os.environ and "HTTPS_PROXY" not in os.environ:
        return None  # what follows takes 30 ms to import
    from urllib.request import getproxies, proxy_bypass

    proxy = getproxies().get("https")
    if not proxy or proxy_bypass(urlsplit(f"//{server}").hostname or server):
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")
