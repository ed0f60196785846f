"""Airflow's REST interface: `/api/v2` of 3.x and `/api/v1` of 2.x, as plain JSON.

Not through `apache-airflow-client`: one version of it reads one minor version of the server (3.3
refuses answers of 3.0), 2.x and 3.x cannot be installed side by side, and importing it takes
0.9 s of processor time.

https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
https://airflow.apache.org/docs/apache-airflow/2.11.2/stable-rest-api-ref.html
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, Final, NoReturn

from levada_compiler.client import ClientError, secret_option, text_option

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message

#: Seconds that one answer may take.
_TIMEOUT = 60
#: Seconds before asking again, where a server that has answered before does not.
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0, 30.0)
_BUSY = frozenset((429, 502, 503, 504))
_UNKNOWN_AUTHORITY = "name the file of its certificate authority as `ca_file`, or in SSL_CERT_FILE"
_ANOTHER_NAME = "give as `url` the name that its certificate is for"
#: By OpenSSL's codes (X509_V_ERR_…, x509_vfy.h) what to do about a certificate.
_UNTRUSTED = {
    9: "it is not valid yet: is the clock of this machine right?",
    10: "its certificate has to be renewed",
    62: _ANOTHER_NAME,
    64: _ANOTHER_NAME,
}
#: As many entries of a list as are asked for at once; a server may give fewer.
_PAGE = 500


class RefusedError(ClientError):
    """Airflow's answer is an error; ``status`` is that of HTTP, ``detail`` its own words."""

    def __init__(self, status: int, detail: str, message: str, way_out: str = "") -> None:
        super().__init__(message, way_out)
        self.status: Final = status
        self.detail: Final = detail


class Api:
    """Requests to one Airflow. Its version is found out, and the login done, when first needed."""

    def __init__(self, options: Mapping[str, object], root: str) -> None:
        self.url: Final = _address(options)
        self._login = _Login(options)
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=_tls(options, root)), _NoRedirects()
        )
        self._version: str | None = None
        self._headers: dict[str, str] = {}

    @property
    def version(self) -> str:
        """Of the server: ``3.3.2``."""
        if self._version is None:
            self._version = self._find_version()
            self._headers = self._login.headers(self)
        return self._version

    @property
    def is_2(self) -> bool:
        """Whether it is an Airflow 2."""
        return self.version.startswith("2.")

    def get(self, path: str, **query: object) -> Any:
        """The JSON at this path."""
        words = urllib.parse.urlencode(query, doseq=True)
        return self._json("GET", path + (f"?{words}" if words else ""))

    def get_all(self, path: str, key: str, **query: object) -> list[Any]:
        """All of a paged list."""
        found: list[Any] = []
        while True:
            page = self.get(path, limit=_PAGE, offset=len(found), **query)
            found += page[key]
            if not page[key] or len(found) >= page["total_entries"]:
                return found

    def get_text(self, path: str, **query: object) -> str:
        """The plain text at this path."""
        words = urllib.parse.urlencode(query)
        return self._send("GET", f"{path}?{words}", accept="text/plain")

    def post(self, path: str, body: object) -> Any:
        """Send JSON to be acted on."""
        return self._json("POST", path, body)

    def patch(self, path: str, body: object) -> Any:
        """Send JSON that changes what is there."""
        return self._json("PATCH", path, body)

    def new_token(self, username: str, password: str) -> str:
        """The token that Airflow 3 gives for a name and a password."""
        body = {"username": username, "password": password}
        answer = _decoded(self._exchange("POST", "/auth/token", {}, body), self.url)
        return str(answer["access_token"])

    # ------------------------------------------------------------------------ requests

    def _json(self, method: str, path: str, body: object = None) -> Any:
        return _decoded(self._send(method, path, body), self.url)

    def _send(
        self, method: str, path: str, body: object = None, accept: str = "application/json"
    ) -> str:
        prefix = "/api/v1" if self.is_2 else "/api/v2"
        pauses = iter(_PAUSES if method == "GET" else ())
        renewed = False
        while True:
            try:
                headers = {**self._headers, "Accept": accept}
                return self._exchange(method, prefix + path, headers, body)
            except RefusedError as error:
                if not renewed and self._login.has_run_out(error):
                    renewed, self._headers = True, self._login.headers(self)
                elif error.status not in _BUSY or not _wait(pauses):
                    raise
            except _NoAnswerError:
                if not _wait(pauses):
                    raise

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: object = None
    ) -> str:
        data = None if body is None else _encoded(body)
        own = {"Accept": "application/json", "Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.url + path, data, own, method=method)  # noqa: S310
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as answer:
                return str(answer.read().decode("utf-8", "replace"))
        except urllib.error.HTTPError as error:
            with error:
                self._refuse(error.code, error.read().decode("utf-8", "replace"), error.headers)
        except (OSError, http.client.HTTPException) as error:
            raise _no_answer(self.url, error) from None

    def _refuse(self, status: int, text: str, headers: Message) -> NoReturn:
        detail = self._login.hidden(_detail(text)) or f"HTTP {status}"
        if 300 <= status < 400:
            to = headers.get("Location", "elsewhere")
            raise RefusedError(
                status,
                detail,
                f"{self.url} sends on to {to}",
                "give the address that answers as `url`; there may be a login page before it",
            )
        if status in (401, 403):
            raise self._no_entry(status, detail)
        way_out = "the log of its API server says more" if status >= 500 else ""
        raise RefusedError(status, detail, f"{self.url} answers: {detail}", way_out)

    def _no_entry(self, status: int, detail: str) -> RefusedError:
        login = self._login
        if status == 401 or login.is_refused(detail):
            words, way_out = "does not let us in", login.way_out
        elif self._version and self.is_2:  # it answers the same to a stranger
            words, way_out = "does not let us in, or do that", login.way_out
        else:
            words, way_out = "does not allow that", "the user there needs the right to it"
        return RefusedError(status, detail, f"{self.url} {words}: {detail}", way_out)

    def _find_version(self) -> str:
        """Which version answers; without a login, which is another one for each."""
        for prefix in ("/api/v2", "/api/v1"):
            try:
                text = self._exchange("GET", f"{prefix}/version", {})
                return str(_decoded(text, self.url)["version"])
            except RefusedError as error:
                if error.status == 404:
                    continue
                if error.status in (401, 403) and prefix == "/api/v1":
                    return "2."  # behind something that wants a login for this, too
                raise
        raise _not_airflow(self.url)


class _Login:
    """Who we are: a ready token, or a name and a password. Secrets stay in here."""

    def __init__(self, options: Mapping[str, object]) -> None:
        self._token = secret_option(options, "token_env")
        self._username = text_option(options, "username")
        self._password = secret_option(options, "password_env")
        if self._password and not self._username:
            raise ClientError("`password_env` needs a `username`")
        if self._username and not self._password and not self._token:
            raise ClientError("`username` needs a `password_env`: the variable with the password")

    def has_run_out(self, error: RefusedError) -> bool:
        """Whether a new token may help, and can be had; 3.x says 403 to one of another secret."""
        old = error.status == 401 or (error.status == 403 and "token" in error.detail.lower())
        return old and bool(self._password) and not self._token

    @property
    def way_out(self) -> str:
        """What to do when it is refused."""
        if self._token:
            return "the token in the variable of `token_env` is wrong, or has run out"
        if self._password:
            return "is the `username` right, and the password in the variable of `password_env`?"
        return "set `username` and `password_env`, or `token_env`, of the target"

    def headers(self, api: Api) -> dict[str, str]:
        """What each request carries."""
        if self._token:
            return {"Authorization": f"Bearer {self._token}"}
        if not self._password:
            return {}
        if api.is_2:
            pair = f"{self._username}:{self._password}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return {"Authorization": f"Bearer {api.new_token(self._username, self._password)}"}

    def is_refused(self, detail: str) -> bool:
        """Whether a 403 is about who we are: what 3.x says of a token that is none."""
        return not (self._token or self._password) or "token" in detail.lower()

    def hidden(self, text: str) -> str:
        """A text of the server without our secrets."""
        for secret in (self._token, self._password):
            text = text.replace(secret, "***") if secret else text
        return text


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows none: a login must not be carried to another place."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


class _NoAnswerError(ClientError):
    """Nothing answers, or not in time."""


def quoted(part: str) -> str:
    """An id as a part of a path."""
    return urllib.parse.quote(part, safe="")


def _address(options: Mapping[str, object]) -> str:
    url = text_option(options, "url").rstrip("/")
    if not url:
        raise ClientError(
            "the target has no `url`: the address of Airflow",
            'set it in [tool.levada.targets.airflow], or give --set url="https://…"',
        )
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ClientError(f"the `url` of the target is no http address: `{url}`")
    if parts.username or parts.password:
        raise ClientError(
            "the `url` of the target has a login in it",
            "give `username`, and the name of a variable as `password_env`",
        )
    return url


def _tls(options: Mapping[str, object], root: str) -> ssl.SSLContext:
    file = text_option(options, "ca_file")
    context = ssl.create_default_context()
    if file:
        from pathlib import Path

        try:
            context.load_verify_locations(Path(root, file).expanduser())
        except (OSError, ssl.SSLError) as error:
            words = error.strerror or str(error)
            raise ClientError(f"cannot use the `ca_file` {file}: {words}") from error
    return context


def _encoded(body: object) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except ValueError:
        raise ClientError(
            "Airflow takes no NaN or infinite number as a parameter",
            "leave it out where it is the default, or let the pipeline take a text",
        ) from None


def _decoded(text: str, url: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise _not_airflow(url) from None


def _not_airflow(url: str) -> ClientError:
    return ClientError(
        f"{url} does not answer as Airflow does",
        "is the `url` of the target right, without /api? There may be a login page before it",
    )


def _no_answer(url: str, error: Exception) -> _NoAnswerError:
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, ssl.SSLCertVerificationError):
        way_out = _UNTRUSTED.get(reason.verify_code, _UNKNOWN_AUTHORITY)
        return _NoAnswerError(f"{url} is not trusted: {reason.verify_message}", way_out)
    words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    way_out = "is it running, and is `url` right?"
    if getattr(reason, "reason", "") == "WRONG_VERSION_NUMBER":
        words, way_out = "it does not speak TLS", "give its address as `url` with http://"
    elif isinstance(reason, ConnectionResetError) and url.startswith("http:"):
        way_out = "is it running? It may want https:// in the `url`"
    return _NoAnswerError(f"{url} cannot be reached: {words}", way_out)


def _wait(pauses: Any) -> bool:
    """Sleep before another try; False if there were enough."""
    pause = next(pauses, None)
    if pause is None:
        return False
    time.sleep(pause)
    return True


def _detail(text: str) -> str:
    """Airflow's own words for an error, in the forms of both versions; the text if it is short."""
    try:
        answer = json.loads(text)
    except ValueError:
        return text.strip() if len(text) < 200 and "<" not in text else ""
    detail = answer.get("detail", answer) if isinstance(answer, dict) else answer
    if isinstance(detail, list):  # one for each field
        return "; ".join(_field(one) for one in detail)
    if isinstance(detail, dict):
        detail = detail.get("message") or detail.get("reason") or json.dumps(detail)
    title = answer.get("title", "") if isinstance(answer, dict) else ""
    return str(detail or title)


def _field(problem: Any) -> str:
    if not isinstance(problem, dict):
        return str(problem)
    place = ".".join(str(part) for part in problem.get("loc", ()) if part != "body")
    return f"{place}: {problem.get('msg', problem)}" if place else str(problem.get("msg", problem))
