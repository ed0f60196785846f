"""Locked files from where they are, into a cache by content: ``$XDG_CACHE_HOME/levada/wheels``.

A file has its place in the cache only once it is complete and has the locked digest. Of a wheel
that is not there yet, what is in it can be told from its last kilobytes (a zip file has its table
of contents at the end), so that a package that no step uses is never downloaded.

Credentials come from where uv has them (:mod:`.logins`).
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, url2pathname, urlopen

from . import logins, places, repository_wheel
from .image import Event, ImageError

if TYPE_CHECKING:
    from .image import OnEvent, Wheel

_CHUNK = 1 << 20
#: Holds the table of contents of most wheels, and the metadata before it.
_TAIL = 1 << 16
_ATTEMPTS = 3
_TIMEOUT = 60


def cached(wheel: Wheel) -> Path | None:
    """The file of a wheel if it is in the cache, and still what was locked."""
    place = _place(wheel)
    with suppress(OSError), place.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() == wheel.sha256:
            return place
    return None


def keep(wheel: Wheel, data: bytes) -> None:
    """Put a file that was made on this machine into the cache."""
    place = _place(wheel)
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=places.unfinished(places.cache_folder("wheels")))
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    Path(temporary).replace(place)


def fetch(wheel: Wheel, on_event: OnEvent | None = None, image: str = "") -> Path:
    """Give the verified file of a wheel, downloaded where it is not in the cache.

    ``on_event`` is told of each megabyte, in the name of ``image``. Raises ImageError if it cannot
    be had or is not what was locked, and OSError if it cannot be written.
    """
    if (known := cached(wheel)) is not None:
        return known
    if wheel.url.startswith(repository_wheel.SCHEME):
        return _make(wheel)
    place = _place(wheel)
    place.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(_ATTEMPTS):
        try:
            _download(wheel, place, on_event, image)
        except (URLError, TimeoutError, ConnectionError) as error:
            if attempt + 1 == _ATTEMPTS or not _is_passing(error):
                raise _unreachable(wheel.url, error) from error
            time.sleep(0.5 * 2**attempt)
        else:
            break
    return place


def _make(wheel: Wheel) -> Path:
    """Make the wheel of a commit again, which has to be what was locked."""
    _, data = repository_wheel.make(wheel.name, wheel.url, places.project())
    if hashlib.sha256(data).hexdigest() != wheel.sha256:
        raise ImageError(
            f"`{wheel.name}` is built from {wheel.url} otherwise than when it was locked",
            "its build backend may be a newer one: run `levada build --upgrade`",
        )
    keep(wheel, data)
    return _place(wheel)


def open_remote(wheel: Wheel) -> IO[bytes]:
    """Open a wheel to read parts of it: its file in the cache, else ranges of it over HTTP.

    What comes in ranges cannot be verified against the locked digest: it may decide what is
    taken into an image, but nothing of it goes there. A server that has no ranges gives all.
    """
    place = cached(wheel)
    if place is not None:
        return place.open("rb")
    if urlsplit(wheel.url).scheme not in ("http", "https") or not wheel.size:
        return fetch(wheel).open("rb")
    if wheel.size <= _CHUNK:
        return fetch(wheel).open("rb")
    try:
        tail = _range(wheel.url, wheel.size - _TAIL, wheel.size)
    except (URLError, TimeoutError, ConnectionError):
        tail = None
    if tail is None:
        return fetch(wheel).open("rb")
    return io.BufferedReader(_Ranges(wheel.url, wheel.size, tail), 1 << 15)


class _Ranges(io.RawIOBase):
    """A file at a URL whose end is known already."""

    def __init__(self, url: str, size: int, tail: bytes) -> None:
        self._url = url
        self._size = size
        self._tail = tail
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        end = min(self._at + len(buffer), self._size)
        first = self._size - len(self._tail)
        if self._at >= first:
            data = self._tail[self._at - first : end - first]
        else:
            found = _range(self._url, self._at, end)
            if found is None:
                raise OSError(f"{self._url} no longer gives ranges")
            data = found
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _place(wheel: Wheel) -> Path:
    return (
        places.cache_folder("wheels") / wheel.sha256[:2] / wheel.sha256 / Path(wheel.filename).name
    )


def _download(wheel: Wheel, place: Path, on_event: OnEvent | None, image: str) -> None:
    """Download beside its place, verify, and only then give it its name."""
    handle, temporary = tempfile.mkstemp(dir=places.unfinished(places.cache_folder("wheels")))
    digest = hashlib.sha256()
    try:
        with os.fdopen(handle, "wb") as file, _open(wheel.url) as stream:
            done = 0
            while chunk := stream.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                if on_event:
                    on_event(Event("fetch", image, wheel.filename, done, wheel.size or 0))
        _verify(wheel, digest.hexdigest())
        Path(temporary).replace(place)
    except BaseException:  # Ctrl-C too leaves nothing behind
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def _verify(wheel: Wheel, digest: str) -> None:
    if digest != wheel.sha256:
        raise ImageError(
            f"`{wheel.filename}` from {_host(wheel.url)} is not the file that was locked",
            "its sha256 differs; if the index replaced it, run `levada build --upgrade`",
        )


def _open(url: str) -> IO[bytes]:
    parts = urlsplit(url)
    if parts.scheme == "file":
        try:
            return Path(url2pathname(parts.path)).open("rb")
        except FileNotFoundError as error:
            raise ImageError(f"there is no file {url} any more", "lock again") from error
    return _request(url, {})


def _range(url: str, start: int, end: int) -> bytes | None:
    """Give the bytes of a range, None if the server does not give ranges."""
    with _request(url, {"Range": f"bytes={max(start, 0)}-{end - 1}"}) as answer:
        if getattr(answer, "status", 0) != 206:
            return None
        data: bytes = answer.read()
    return data


def _request(url: str, headers: dict[str, str]) -> IO[bytes]:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ImageError(f"{url} is neither http, https nor a file")
    address = logins.with_parameters(url)
    request = Request(address, headers={"User-Agent": "levada", **headers})  # noqa: S310
    login = logins.find(url)
    if login:
        words = base64.b64encode(":".join(login).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {words}")
    answer: IO[bytes] = urlopen(request, timeout=_TIMEOUT)  # noqa: S310
    return answer


def _is_passing(error: Exception) -> bool:
    return not isinstance(error, HTTPError) or error.code in (429, 500, 502, 503, 504)


def _unreachable(url: str, error: Exception) -> ImageError:
    reason = f"HTTP {error.code}" if isinstance(error, HTTPError) else str(error)
    refused = isinstance(error, HTTPError) and error.code in (401, 403)
    return ImageError(
        f"cannot download {url}: {reason}",
        "give the credentials of the index as uv takes them (UV_INDEX_<NAME>_USERNAME, netrc)"
        if refused
        else "check the network",
    )


def _host(url: str) -> str:
    return urlsplit(url).hostname or url
