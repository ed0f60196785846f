"""A proxy in front of a server of an object store, which fails as tests tell it.

    with fault_proxy(bucket.port) as proxy:
        there = bucket.through(proxy.port)
        proxy.rules.append(Rule(SLOW_DOWN, method="PUT", path="/record.json", times=2))
        ...
        assert proxy.count("PUT") == 3

It passes requests on byte for byte, `Host` included: clients sign for the host that they ask, so
that a signature holds behind the proxy. Each request has a connection of its own to the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

_HOST = "127.0.0.1"
_CHUNK = 1 << 16
_LIMIT = 1 << 20  # of a line or of all headers


@dataclass(frozen=True)
class Answer:
    """The server is not asked: this is the answer. S3's errors are the constants below."""

    status: int
    code: str
    message: str = "said by the proxy"

    def encoded(self, *, is_head: bool) -> bytes:
        """Return the whole answer, as S3 writes it."""
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{self.code}</Code><Message>{self.message}</Message>"
            "<RequestId>proxy</RequestId></Error>"
        )
        lines = (
            f"HTTP/1.1 {self.status} {self.code}",
            "Content-Type: application/xml",
            f"Content-Length: {len(text)}",
        )
        head = "".join(f"{line}\r\n" for line in lines) + "\r\n"
        return (head if is_head else head + text).encode()


INTERNAL_ERROR = Answer(500, "InternalError")
SLOW_DOWN = Answer(503, "SlowDown", "Please reduce your request rate.")
CONFLICT = Answer(409, "ConditionalRequestConflict", "Another request on this key won.")
ACCESS_DENIED = Answer(403, "AccessDenied", "Access Denied")
EXPIRED_TOKEN = Answer(400, "ExpiredToken", "The provided token has expired.")
NO_SUCH_BUCKET = Answer(404, "NoSuchBucket", "The specified bucket does not exist")


@dataclass(frozen=True)
class CutRequest:
    """The connection ends after so many bytes of the request's body, which the server has got."""

    after: int


@dataclass(frozen=True)
class CutAnswer:
    """The connection ends after so many bytes of the answer's body."""

    after: int


@dataclass(frozen=True)
class LoseAnswer:
    """The server does what it is asked, and the connection ends before the client hears of it."""


@dataclass(frozen=True)
class Delay:
    """The server is asked after some seconds."""

    seconds: float


@dataclass(frozen=True)
class DropHeaders:
    """The server does not see these headers of the request, such as conditions.

    obstore signs them for S3 and Azure, so that a server that checks signatures answers 403: to
    have a server that ignores conditions, put this before moto or fake-gcs-server.
    """

    names: tuple[str, ...] = ("if-none-match", "if-match", "x-goog-if-generation-match")


Fault: TypeAlias = Answer | CutRequest | CutAnswer | LoseAnswer | Delay | DropHeaders


@dataclass
class Rule:
    """Which requests get a fault: those of a method whose path and query have a text in them.

    Of those that match, counted from when the rule was added, it is the `first` (1 is the first)
    and those after it, `times` in all or, without it, every one. Of the rules that say something
    of a request, the first in the list decides; each counts what matches it.
    """

    fault: Fault
    method: str = ""
    path: str = ""
    first: int = 1
    times: int | None = None
    matched: int = field(default=0, init=False)

    def applies(self, request: Request) -> bool:
        """Count the request if it matches; return whether it gets the fault."""
        if self.method not in {"", request.method} or self.path not in request.target:
            return False
        self.matched += 1
        done = self.matched - self.first
        return done >= 0 and (self.times is None or done < self.times)


@dataclass(frozen=True)
class Request:
    """A request that the proxy got: `target` is the path with its query, as it was sent."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str:
        """Return the value of a header whatever its case, or an empty text."""
        return next((value for key, value in self.headers if key.lower() == name), "")


class FaultProxy:
    """A running proxy. A test may change `rules` at any time, and reads `requests`."""

    def __init__(self, upstream: int) -> None:
        self.port = 0
        self.rules: list[Rule] = []
        self.requests: list[Request] = []
        self._upstream = upstream
        self._connections: set[asyncio.Task[None]] = set()

    def count(self, method: str = "", path: str = "") -> int:
        """Return how many requests of a method came for paths that have a text in them."""
        return sum(
            method in {"", request.method} and path in request.target for request in self.requests
        )

    async def serve(self, is_ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Serve on a free port until `stop`, then end all connections."""
        server = await asyncio.start_server(self._connected, _HOST, 0, limit=_LIMIT)
        self.port = server.sockets[0].getsockname()[1]
        is_ready()
        await stop.wait()
        server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            # Also what a peer that is gone raises: the other side sees its connection end.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while await self._pass_on(_Side(reader, writer)):
                    pass
        except asyncio.CancelledError:
            pass  # the end of the proxy; the streams' own callback would report it as an error
        finally:
            self._connections.discard(task)
            writer.close()

    async def _pass_on(self, client: _Side) -> bool:
        """Pass one request on; return whether the connection may have another."""
        head = await _read_head(client.reader)
        method, target, _ = head.first.split(" ", 2)
        request = Request(method, target, tuple(head.headers))
        self.requests.append(request)
        # Not `any`: every rule counts what matches it.
        faults = [rule.fault for rule in list(self.rules) if rule.applies(request)]
        fault = faults[0] if faults else None
        if isinstance(fault, Answer):
            return await _answer(client, head, fault, is_head=method == "HEAD")
        if isinstance(fault, Delay):
            await asyncio.sleep(fault.seconds)
        if isinstance(fault, DropHeaders):
            head = head.without(fault.names)
        server = _Side(*await asyncio.open_connection(_HOST, self._upstream, limit=_LIMIT))
        try:
            return await _exchange(client, server, head, fault)
        finally:
            server.writer.close()


@contextlib.contextmanager
def fault_proxy(upstream: int) -> Iterator[FaultProxy]:
    """Start a proxy in front of a port of 127.0.0.1, in a thread of this process."""
    proxy = FaultProxy(upstream)
    is_ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(proxy.serve(is_ready.set, stop))

    thread = threading.Thread(target=run, name="fault proxy", daemon=True)
    thread.start()
    if not is_ready.wait(30):
        raise TimeoutError("the fault proxy did not start")
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


class _CutError(Exception):
    """A fault ends the connection here."""


@dataclass(frozen=True)
class _Side:
    """A connection's two streams."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@dataclass(frozen=True)
class _Head:
    """The first line and the headers of a request or an answer."""

    first: str
    headers: Sequence[tuple[str, str]]

    def get(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "").lower()

    def without(self, names: Sequence[str]) -> _Head:
        return _Head(self.first, [pair for pair in self.headers if pair[0].lower() not in names])

    def encoded(self) -> bytes:
        lines = (self.first, *(f"{name}: {value}" for name, value in self.headers))
        return ("".join(f"{line}\r\n" for line in lines) + "\r\n").encode("latin-1")


async def _read_head(reader: asyncio.StreamReader) -> _Head:
    """Read up to the empty line; a connection that ends before raises IncompleteReadError."""
    text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = text.removesuffix("\r\n\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return _Head(first, [(name, value.strip()) for name, _, value in pairs])


async def _answer(client: _Side, head: _Head, answer: Answer, *, is_head: bool) -> bool:
    """Answer in the server's place."""
    # A client that waits for `100 Continue` sends no body if it gets this answer.
    waits = head.get("expect") == "100-continue"
    if not waits:
        async for _ in _framed_body(client.reader, head):
            pass
    client.writer.write(answer.encoded(is_head=is_head))
    await client.writer.drain()
    return not waits


async def _exchange(client: _Side, server: _Side, head: _Head, fault: Fault | None) -> bool:
    """Send the request to the server and its answer to the client, with the fault.

    Both at once: a server may refuse a large body before it has read it, and then end the
    connection, after which an answer that nobody waited for would be lost.
    """
    if head.get("expect") == "100-continue":
        client.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        head = head.without(("expect",))
    server.writer.write(head.encoded())
    limit = fault.after if isinstance(fault, CutRequest) else None
    body = _framed_body(client.reader, head)
    tasks = (
        asyncio.create_task(_copy(body, server.writer, limit)),
        asyncio.create_task(_return(server.reader, client.writer, head, fault)),
    )
    try:
        # Both have to end: a connection that is closed with bytes unread loses the answer, too.
        _, goes_on = await asyncio.gather(*tasks)
    except _CutError:
        return False
    finally:
        # Let the other task see the end of its connection: cancelled before, it would leave
        # an exception that asyncio reports as never retrieved.
        await asyncio.sleep(0)
        for left in tasks:
            left.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return goes_on and head.get("connection") != "close"


async def _return(
    server: asyncio.StreamReader, client: asyncio.StreamWriter, asked: _Head, fault: Fault | None
) -> bool:
    """Return the server's answer to the client; say whether the connection may have another."""
    answer = await _read_head(server)
    body = _answer_body(server, answer, is_head=asked.first.startswith("HEAD "))
    if isinstance(fault, LoseAnswer):
        async for _ in body:
            pass
        raise _CutError
    client.write(answer.encoded())
    await _copy(body, client, fault.after if isinstance(fault, CutAnswer) else None)
    return _has_end(answer)


async def _copy(
    body: AsyncIterator[bytes], writer: asyncio.StreamWriter, limit: int | None
) -> None:
    """Copy a body, or raise _CutError after so many bytes of it.

    What a peer no longer takes is dropped, so that the other side can finish.
    """
    left = limit
    async for data in body:
        if not writer.is_closing():
            writer.write(data if left is None else data[:left])
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        if left is not None and (left := left - len(data)) <= 0:
            break
    if limit is not None:
        raise _CutError


def _framed_body(reader: asyncio.StreamReader, head: _Head) -> AsyncIterator[bytes]:
    """Return the bytes of a body as they are on the wire."""
    if head.get("transfer-encoding") == "chunked":
        return _chunks(reader)
    return _bytes(reader, int(head.get("content-length") or 0))


def _answer_body(
    reader: asyncio.StreamReader, head: _Head, *, is_head: bool
) -> AsyncIterator[bytes]:
    if is_head or int(head.first.split(" ")[1]) in {204, 304}:
        return _bytes(reader, 0)
    if not _has_end(head):
        return _rest(reader)
    return _framed_body(reader, head)


def _has_end(head: _Head) -> bool:
    """Return whether an answer ends before its connection does."""
    if head.get("connection") == "close":
        return False
    return bool(head.get("transfer-encoding") or head.get("content-length"))


async def _rest(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while data := await reader.read(_CHUNK):
        yield data


async def _bytes(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size:
        data = await reader.read(min(size, _CHUNK))
        if not data:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(data)
        yield data


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Read a chunked body with its frames, up to the empty line after its trailers."""
    while True:
        line = await reader.readuntil(b"\r\n")
        yield line
        if (size := int(line.partition(b";")[0], 16)) == 0:
            break
        async for data in _bytes(reader, size + 2):
            yield data
    while line != b"\r\n":
        line = await reader.readuntil(b"\r\n")
        yield line
