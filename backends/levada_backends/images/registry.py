"""A client of registries: images in and out over HTTP.

Source: the OCI distribution specification 1.1 (github.com/opencontainers/distribution-spec,
``spec.md``) and, for tokens, distribution.github.io/distribution/spec/auth. Standard library
only. A connection a thread is kept open; what fails on its way is tried again.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urljoin, urlsplit

from levada_compiler.slotted import dataclass

from . import credentials
from .connections import BROKEN, CHUNK, Body, Connections, RegistryError, is_loopback
from .image import ImageError
from .oci import INDEXES, MANIFESTS, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from .credentials import Credentials

_ATTEMPTS = 5
_ATTEMPTS_IF_SILENT = 2  # where nobody listens, or says nothing
_FIRST_DELAY = 0.2  # seconds; doubled each time
_LONGEST_DELAY = 30.0
_TIMEOUT = 60.0  # seconds without a byte
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_ELSEWHERE = frozenset({301, 302, 303, 307, 308})
_MOST_HOPS = 5
_CHALLENGE = re.compile(r'([a-z_]+)="([^"]*)"', re.IGNORECASE)
_NAME = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A registry's answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """Give a header, empty if it is not there."""
        return self.headers.get(name.lower(), "")


class _LostUploadError(Exception):
    """A registry does not go on with an upload that broke; it has to be started anew."""


class Registry:
    """One registry. Safe to use from several threads; ``close`` ends their connections.

    ``insecure`` names hosts that are spoken to without TLS; the loopback always is.
    """

    def __init__(
        self,
        host: str,
        *,
        insecure: Collection[str] = (),
        attempts: int = _ATTEMPTS,
        timeout: float = _TIMEOUT,
    ) -> None:
        self.host = host
        is_plain = host in insecure or is_loopback(host)
        self._connections = Connections(host, is_plain=is_plain, timeout=timeout)
        self._attempts = attempts
        self._tokens: dict[str, str] = {}

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def manifest(self, repository: str, reference: str) -> tuple[str, str, bytes] | None:
        """Give a manifest or an index: its media type, digest and bytes; None if there is none.

        ``reference`` is a tag or a digest. Raises RegistryError; ImageError for a manifest whose
        bytes are not those of its digest.
        """
        accept = ", ".join((*INDEXES, *MANIFESTS))
        path = f"/v2/{repository}/manifests/{reference}"
        answer = self._ask("GET", path, repository, headers={"Accept": accept})
        if answer.status == 404:
            return None
        self._expect(answer, (200,), f"read {self.host}/{repository}:{reference}")
        digest = digest_of(answer.body)
        if reference.startswith("sha256:") and digest != reference:
            raise ImageError(f"{self.host} sent another manifest than {reference}: {digest}")
        return answer.header("content-type").partition(";")[0], digest, answer.body

    def has_manifest(self, repository: str, digest: str, size: int) -> bool:
        """Whether a manifest of so many bytes is there."""
        path = f"/v2/{repository}/manifests/{digest}"
        headers = {"Accept": ", ".join(MANIFESTS)}
        answer = self._look(path, repository, headers)
        return self._is_there(answer, digest, size, f"look for {self.host}/{repository}@{digest}")

    def put_manifest(self, repository: str, tag: str, data: bytes, media_type: str) -> None:
        """Put a manifest under a tag (and its digest). Raises RegistryError."""
        path = f"/v2/{repository}/manifests/{tag}"
        headers = {"Content-Type": media_type}
        answer = self._ask("PUT", path, repository, push=True, headers=headers, body=data)
        self._expect(answer, (200, 201, 202), f"push {self.host}/{repository}:{tag}")
        kept = answer.header("docker-content-digest")
        if kept not in ("", digest_of(data)):
            raise RegistryError(f"{self.host} has made another manifest of ours: {kept}")

    def has_blob(self, repository: str, digest: str, size: int) -> bool:
        """Whether a blob of so many bytes is there."""
        answer = self._look(f"/v2/{repository}/blobs/{digest}", repository, {})
        purpose = f"look for a layer of {self.host}/{repository}"
        return self._is_there(answer, digest, size, purpose)

    def _look(self, path: str, repository: str, headers: Mapping[str, str]) -> Answer:
        """Ask for the head of something, also where it is kept elsewhere."""
        answer = self._ask("HEAD", path, repository, push=True, headers=headers)
        for _ in range(_MOST_HOPS):
            if answer.status not in _ELSEWHERE:
                break
            path = urljoin(self._connections.url(path), answer.header("location"))
            answer = self._ask("HEAD", path, repository, push=True, headers=headers)
        return answer

    def blob(self, repository: str, digest: str) -> Iterator[bytes]:
        """Give a blob in pieces; go on where it stopped when the connection breaks.

        The digest is for the caller to check. Raises RegistryError.
        """
        path = f"/v2/{repository}/blobs/{digest}"
        done = 0
        failures = 0
        while True:
            try:
                for piece in self._stream(path, repository, done):
                    done += len(piece)
                    failures = 0
                    yield piece
                return  # noqa: TRY300  the loop is the try's body
            except BROKEN as error:
                failures += 1
                if self._gives_up(error, failures):
                    raise self._lost(error, f"read a layer of {self.host}/{repository}") from error
                _wait(failures)

    def put_blob(
        self,
        repository: str,
        digest: str,
        data: bytes | Path,
        *,
        mount_from: str = "",
        on_sent: Callable[[int], None] | None = None,
    ) -> None:
        """Upload a blob, or mount it from another repository of the registry that has it.

        An upload that breaks is continued where the registry says that it stopped. Raises
        RegistryError; its ``status`` is 400 where the bytes are not those of the digest.
        """
        purpose = f"push to {self.host}/{repository}"
        query = f"?mount={digest}&from={quote(mount_from, safe='')}" if mount_from else ""
        path = f"/v2/{repository}/blobs/uploads/{query}"
        for attempt in range(1, self._attempts + 1):
            start = self._ask("POST", path, repository, push=True, mount_from=mount_from)
            if start.status == 201:  # mounted
                return
            self._expect(start, (202,), purpose)
            try:
                location = self._send(
                    repository, self._location(start, path), data, on_sent, purpose
                )
                break
            except _LostUploadError as error:
                if attempt == self._attempts:
                    raise self._lost(error, purpose) from error
        joint = "&" if "?" in location else "?"
        end = self._ask("PUT", f"{location}{joint}digest={quote(digest)}", repository, push=True)
        self._expect(end, (201, 202, 204), purpose)

    def _send(
        self,
        repository: str,
        location: str,
        data: bytes | Path,
        on_sent: Callable[[int], None] | None,
        purpose: str,
    ) -> str:
        """Send the bytes of an upload; give where it goes on."""
        size = len(data) if isinstance(data, bytes) else data.stat().st_size
        offset = failures = 0
        while True:
            headers = {"Content-Type": "application/octet-stream"}
            if offset:  # the first attempt is one stream, as Docker does it: all registries take it
                headers["Content-Range"] = f"{offset}-{size - 1}"
            answer: Answer | None = None
            try:
                with Body(data, offset, size, on_sent) as body:
                    answer = self._once("PATCH", location, repository, True, headers, body)
            except BROKEN as error:
                if self._gives_up(error, failures + 1):
                    raise self._lost(error, purpose) from error
            if answer is not None and failures and answer.status in (400, 404, 416):
                raise _LostUploadError(f"it answers {answer.status} to the rest of an upload")
            if answer is not None and answer.status not in _AGAIN:
                self._expect(answer, (202, 204), purpose)
                return self._location(answer, location)
            failures += 1
            if answer is not None and failures >= self._attempts:
                self._expect(answer, (202,), purpose)
            _wait(failures, answer)
            location, offset = self._progress(repository, location, purpose)

    def _progress(self, repository: str, location: str, purpose: str) -> tuple[str, int]:
        """Ask how much of an upload has arrived."""
        answer = self._ask("GET", location, repository, push=True)
        if answer.status in (400, 404):
            raise _LostUploadError("it has forgotten an upload")
        self._expect(answer, (204, 202, 200), purpose)
        last = answer.header("range").rpartition("-")[2]
        # "0-0" is said of one byte and of none; to send that byte again would be refused.
        offset = int(last) + 1 if last.isdigit() and int(last) else 0
        return self._location(answer, location), offset

    def _location(self, answer: Answer, path: str) -> str:
        given = urljoin(self._connections.url(path), answer.header("location"))
        if not self._connections.is_own(given):
            return given
        parts = urlsplit(given)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def _ask(
        self,
        method: str,
        path: str,
        repository: str,
        *,
        push: bool = False,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        mount_from: str = "",
    ) -> Answer:
        """Ask until there is an answer worth having."""
        failures = 0
        while True:
            try:
                answer = self._once(method, path, repository, push, headers or {}, body, mount_from)
                if answer.status not in _AGAIN or failures + 1 >= self._attempts:
                    return answer
                failures += 1
                _wait(failures, answer)
            except BROKEN as error:
                failures += 1
                if self._gives_up(error, failures):
                    raise self._lost(error, f"reach {self.host}") from error
                _wait(failures)

    def _once(
        self,
        method: str,
        path: str,
        repository: str,
        push: bool,
        headers: Mapping[str, str],
        body: bytes | Body,
        mount_from: str = "",
    ) -> Answer:
        scope = _scope(repository, push, mount_from)
        answer = self._exchange(method, path, {**headers, **self._authorization(path, scope)}, body)
        if answer.status == 401 and self._connections.is_own(path):
            self._log_in(answer.header("www-authenticate"), scope, repository)
            if isinstance(body, Body):
                body.rewind()
            answer = self._exchange(
                method, path, {**headers, **self._authorization(path, scope)}, body
            )
        return answer

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | Body
    ) -> Answer:
        response = self._connections.request(method, path, headers, body)
        data = response.read()
        given = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, given, data)

    def _stream(self, path: str, repository: str, offset: int) -> Iterator[bytes]:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        answer = self._follow(path, repository, headers)
        if answer.status not in (200, 206):
            whole = Answer(answer.status, {}, answer.read())
            self._expect(whole, (200,), f"read a layer of {self.host}/{repository}")
        skip = offset if answer.status == 200 else 0
        expected = answer.length
        while piece := answer.read(CHUNK):
            if expected is not None:
                expected -= len(piece)
            if skip >= len(piece):
                skip -= len(piece)
                continue
            yield piece[skip:]
            skip = 0
        if expected:
            raise http.client.IncompleteRead(b"", expected)

    def _follow(
        self, path: str, repository: str, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        """Ask for a blob; registries send to a storage elsewhere, where our token must not go."""
        scope = _scope(repository, False)
        response = self._connections.request(
            "GET", path, {**headers, **self._authorization(path, scope)}, b""
        )
        if response.status == 401:
            challenge = response.getheader("www-authenticate") or ""
            response.read()
            self._log_in(challenge, scope, repository)
            response = self._connections.request(
                "GET", path, {**headers, **self._authorization(path, scope)}, b""
            )
        hops = 0
        while response.status in _ELSEWHERE and hops < _MOST_HOPS:
            location = response.getheader("location") or ""
            path = urljoin(self._connections.url(path), location)
            response.read()
            hops += 1
            own = self._authorization(path, scope)
            response = self._connections.request("GET", path, {**headers, **own}, b"")
        return response

    def _authorization(self, path: str, scope: str) -> dict[str, str]:
        token = self._tokens.get(scope) or self._tokens.get("")
        return {"Authorization": token} if token and self._connections.is_own(path) else {}

    def _log_in(self, challenge: str, scope: str, repository: str) -> None:
        found = credentials.find(self.host)
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic":
            if found is None or found.is_token:
                raise self._refused(401, f"use {self.host}/{repository}", "")
            self._tokens[""] = found.basic()
            return
        if kind.lower() != "bearer":
            raise RegistryError(
                f"{self.host} asks to log in in a way not known here: {challenge!r}"
            )
        fields = {name.lower(): value for name, value in _CHALLENGE.findall(rest)}
        self._tokens[scope] = "Bearer " + self._fetch_token(fields, scope, found, repository)

    def _fetch_token(
        self, fields: Mapping[str, str], scope: str, found: Credentials | None, repository: str
    ) -> str:
        realm = fields.get("realm", "")
        scopes = (fields.get("scope") or scope).split(" ")
        query: dict[str, object] = {"service": fields.get("service", ""), "scope": scopes}
        if urlsplit(realm).scheme == "http" and not self._connections.is_plain:
            raise RegistryError(f"{self.host} wants our password sent to {realm} without TLS")
        if found is not None and found.is_token:
            form = {**query, "grant_type": "refresh_token", "client_id": "levada"}
            form["scope"] = " ".join(scopes)
            body = urlencode({**form, "refresh_token": found.secret}).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self._exchange("POST", realm, headers, body)
        else:
            own = {"Authorization": found.basic()} if found else {}
            joint = "&" if "?" in realm else "?"
            answer = self._exchange(
                "GET", f"{realm}{joint}{urlencode(query, doseq=True)}", own, b""
            )
        if answer.status in (400, 401, 403):
            raise self._refused(answer.status, f"use {self.host}/{repository}", _said(answer))
        self._expect(answer, (200,), f"log in to {self.host}")
        try:
            document = json.loads(answer.body)
            return str(document.get("token") or document["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise RegistryError(f"{realm} gives no token for {self.host}") from error

    def _is_there(self, answer: Answer, digest: str, size: int, purpose: str) -> bool:
        """Whether the answer is about this content: a page of a web server is not."""
        if answer.status == 404:
            return False
        self._expect(answer, (200,), purpose)
        if said := answer.header("docker-content-digest"):
            return said == digest
        return answer.header("content-length") == str(size)

    def _expect(self, answer: Answer, statuses: Collection[int], purpose: str) -> None:
        if answer.status in statuses:
            return
        said = _said(answer)
        if answer.status in (401, 403):
            raise self._refused(answer.status, purpose, said)
        hint = ""
        if answer.status < 400 or answer.status in (404, 405):
            hint = f"is {self.host} a registry, and may it have this repository?"
        elif answer.status in _AGAIN:
            hint = "it was tried several times; try again later, or ask who runs the registry"
        raise RegistryError(
            f"cannot {purpose}: the registry answers {answer.status}{said and f' ({said})'}",
            hint,
            answer.status,
        )

    def _refused(self, status: int, purpose: str, said: str) -> RegistryError:
        known = credentials.find(self.host)
        who = f"as {known.user}" if known and known.user else "with the token that is stored"
        reason = f"the registry does not let us in {who}" if known else "the registry wants a login"
        more = "log in anew" if known else "log in"
        return RegistryError(
            f"cannot {purpose}: {reason}{said and f' ({said})'}",
            f"{more} with `docker login {self.host}` ({credentials.config_file()} is read)",
            status,
        )

    def _gives_up(self, error: Exception, failures: int) -> bool:
        """Whether to ask once more would only keep the user waiting."""
        silent = isinstance(error, ConnectionRefusedError | TimeoutError)
        return failures >= self._attempts or (silent and failures >= _ATTEMPTS_IF_SILENT)

    def _lost(self, error: Exception, purpose: str) -> RegistryError:
        if isinstance(error, ConnectionRefusedError):
            return RegistryError(
                f"cannot {purpose}: nothing listens at {self._connections.server}",
                "start the registry, or check its address",
            )
        if isinstance(error, TimeoutError):
            return RegistryError(
                f"cannot {purpose}: {self._connections.server} does not answer",
                "check the network and the registry, then try again",
            )
        text = str(error) or type(error).__name__
        return RegistryError(
            f"cannot {purpose}: the connection breaks ({text})", "check the network, then try again"
        )


def _scope(repository: str, push: bool, mount_from: str = "") -> str:
    scope = f"repository:{repository}:{'pull,push' if push else 'pull'}"
    return f"{scope} repository:{mount_from}:pull" if mount_from else scope


def _said(answer: Answer) -> str:
    """Give the registry's own words."""
    try:
        errors = json.loads(answer.body)["errors"]
        words = [str(error.get("message") or error.get("code") or "") for error in errors]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return "; ".join(word for word in words if word)[:300]


def _wait(failures: int, answer: Answer | None = None) -> None:
    delay = _FIRST_DELAY * 2 ** (failures - 1)
    if answer is not None and answer.header("retry-after").isdigit():
        delay = max(delay, float(answer.header("retry-after")))
    time.sleep(min(delay, _LONGEST_DELAY))
