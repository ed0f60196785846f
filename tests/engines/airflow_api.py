"""The REST interface of both Airflows: `/api/v1` of 2.x and `/api/v2` of 3.x, plain JSON."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Final

from .airflow_settings import PASSWORD, USERNAME


class ApiError(RuntimeError):
    """Airflow refused a request; `status` is that of HTTP."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status: Final = status


class Api:
    """Requests to one Airflow on this machine, as the user who may do everything."""

    def __init__(self, version: str, port: int) -> None:
        self.version: Final = version
        self.url: Final = f"http://127.0.0.1:{port}"
        self.token = ""
        self._prefix = "/api/v2" if version == "3" else "/api/v1"
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        # A proxy that the environment names is not for this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def log_in(self) -> None:
        """Take a token of 3.x; 2.x gets name and password each time. `OSError` until it answers."""
        if self.version == "3":
            body = {"username": USERNAME, "password": PASSWORD}
            self.token = self._request("POST", "/auth/token", body)["access_token"]
            self._headers["Authorization"] = f"Bearer {self.token}"
        else:
            pair = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
            self._headers["Authorization"] = f"Basic {pair}"
        self.get("/version")

    def get(self, path: str, **query: object) -> Any:
        """The JSON at this path; a list in the query gives its key several times."""
        words = urllib.parse.urlencode(query, doseq=True)
        return self._request("GET", f"{self._prefix}{path}" + (f"?{words}" if words else ""))

    def get_all(self, path: str, key: str, **query: object) -> list[Any]:
        """All of a paged list."""
        found: list[Any] = []
        while True:
            page = self.get(path, limit=500, offset=len(found), **query)
            found += page[key]
            if not page[key] or len(found) >= page["total_entries"]:
                return found

    def post(self, path: str, body: object) -> Any:
        """Send JSON, return the answer's."""
        return self._request("POST", self._prefix + path, body)

    def patch(self, path: str, body: object) -> Any:
        """Send JSON that changes what is there, return the answer's."""
        return self._request("PATCH", self._prefix + path, body)

    def _request(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, self._headers, method=method)
        try:
            with self._opener.open(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            raise ApiError(error.code, f"{method} {path}: {error.code} {text}") from None


def quote(part: str) -> str:
    """An id as a part of a path."""
    return urllib.parse.quote(part, safe="")
