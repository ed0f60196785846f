"""Registries that are not well: real servers on real sockets, in front of a real one or alone."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: What a server does with a request: it gets the handler, which has the method and the path.
Behaviour = Callable[[BaseHTTPRequestHandler], None]


@contextlib.contextmanager
def http_server(behave: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve HTTP by one function, with TLS if wanted; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            behave(self)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = handle_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    """Answer a request. An underscore in a header's name stands for a dash."""
    length = int(handler.headers.get("Content-Length") or 0)
    handler.rfile.read(length)
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


@contextlib.contextmanager
def cutting_proxy(server: str, *, after: int, cuts: int, from_server: bool) -> Iterator[str]:
    """Pass connections on to a server, and cut the first few that carry many bytes.

    A connection is cut after so many bytes in one direction, until ``cuts`` of them were.
    """
    left = [cuts]
    guard = threading.Lock()

    def is_cut(count: int, is_from_server: bool) -> bool:
        with guard:
            cut = is_from_server == from_server and count > after and left[0] > 0
            left[0] -= cut
        return cut

    with _relay(lambda _: _connected(server), is_cut) as address:
        yield address


@contextlib.contextmanager
def tunnelling_proxy() -> Iterator[tuple[str, list[str]]]:
    """Be a proxy for TLS (RFC 9110, CONNECT); gives its address and the heads of requests."""
    heads: list[str] = []

    def choose(client: socket.socket) -> socket.socket:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        heads.append(head.decode())
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return _connected(heads[-1].split()[1])

    with _relay(choose, lambda *_: False) as address:
        yield address, heads


@contextlib.contextmanager
def _relay(
    choose: Callable[[socket.socket], socket.socket], is_cut: Callable[[int, bool], bool]
) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []
    ends: list[socket.socket] = []

    def pump(source: socket.socket, sink: socket.socket, is_from_server: bool) -> None:
        count = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                count += len(data)
                if is_cut(count, is_from_server):
                    break
                sink.sendall(data)
        _close(source, sink)  # what still arrives is answered by a reset

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client = listener.accept()[0]
                ends.append(client)
                ends.append(choose(client))
                for pair in ((*ends[-2:], False), (*ends[:-3:-1], True)):
                    threads.append(threading.Thread(target=pump, args=pair, daemon=True))
                    threads[-1].start()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        _close(listener)
        thread.join()
        _close(*ends)
        for one in threads:
            one.join()


def _connected(server: str) -> socket.socket:
    host, _, port = server.partition(":")
    return socket.create_connection((host, int(port)))


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
