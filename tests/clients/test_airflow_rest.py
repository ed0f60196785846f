"""What stands before an Airflow may redirect, be busy, forget a login or repeat it.

A real one does none of that when asked, so here a server plays it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from levada_backends.airflow import rest
from levada_backends.client import ClientError

SECRET = "s3cret-t0ken"
VERSION = (200, {"version": "3.3.2"}, {})
Answer = tuple[int, Any, dict[str, str]]


class Server:
    """Answers by a function of method and path, and keeps what it was asked."""

    def __init__(self, answer: Callable[[str, str], Answer]) -> None:
        asked = self.asked = []  # type: list[tuple[str, str, str | None]]

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.command, self.path, self.headers["Authorization"]))
                self.rfile.read(int(self.headers["Content-Length"] or 0))
                status, body, headers = answer(self.command, self.path)
                data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


Start = Callable[[Callable[[str, str], Answer]], Server]


@pytest.fixture
def start() -> Iterator[Start]:
    servers = []

    def make(answer: Callable[[str, str], Answer]) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def api(server: Server, monkeypatch: pytest.MonkeyPatch, **options: str) -> rest.Api:
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.setenv("PASSWORD", "pass w0rd")
    monkeypatch.setattr(rest, "_PAUSES", (0.01,) * 3)
    return rest.Api({"url": server.url, **(options or {"token_env": "TOKEN"})}, str(Path.cwd()))


def test_a_login_is_not_carried_elsewhere(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    other = start(lambda *_: VERSION)

    def answer(_: str, path: str) -> Answer:
        return (
            VERSION if path.endswith("version") else (302, "", {"Location": f"{other.url}/login"})
        )

    with pytest.raises(ClientError) as raised:
        api(start(answer), monkeypatch).get("/dags/x")
    assert str(raised.value).endswith(f" sends on to {other.url}/login")
    assert other.asked == []


def test_a_page_is_no_answer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start(lambda *_: (200, "<html>Sign in</html>", {}))
    with pytest.raises(ClientError, match="does not answer as Airflow does"):
        api(server, monkeypatch).get("/dags/x")


@pytest.mark.parametrize(("failures", "is_answered"), [(3, True), (4, False)])
def test_a_busy_server_is_asked_again(
    start: Start, monkeypatch: pytest.MonkeyPatch, failures: int, is_answered: bool
) -> None:
    left = [(503, "busy", {})] * failures

    def answer(method: str, path: str) -> Answer:
        if path.endswith("version"):
            return VERSION
        return left.pop() if left else (200, {"is": method}, {})

    found = api(start(answer), monkeypatch)
    if is_answered:
        assert found.get("/dags/x") == {"is": "GET"}
    else:
        with pytest.raises(ClientError, match="answers: busy"):
            found.get("/dags/x")


def test_a_run_is_not_asked_for_twice(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start(lambda _, path: VERSION if path.endswith("version") else (503, "busy", {}))
    with pytest.raises(ClientError, match="answers: busy"):
        api(server, monkeypatch).post("/dags/x/dagRuns", {})
    assert [path for method, path, _ in server.asked if method == "POST"] == [
        "/api/v2/dags/x/dagRuns"
    ]


def test_no_message_holds_a_secret(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_: str, path: str) -> Answer:
        return VERSION if path.endswith("version") else (400, {"detail": f"no {SECRET}!"}, {})

    with pytest.raises(ClientError) as raised:
        api(start(answer), monkeypatch).get("/dags/x")
    assert str(raised.value).endswith("answers: no ***!")


def test_a_token_that_has_run_out_is_taken_anew(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = ["second", "first"]

    def answer(method: str, path: str) -> Answer:
        if path == "/auth/token":
            return 201, {"access_token": tokens.pop()}, {}
        if path.endswith("version"):
            return VERSION
        old = server.asked[-1][2] == "Bearer first"
        return (401, {"detail": "Token expired"}, {}) if old else (200, {"is": method}, {})

    server = start(answer)
    found = api(server, monkeypatch, username="me", password_env="PASSWORD")
    assert found.get("/dags/x") == {"is": "GET"}
    assert found.get("/dags/y") == {"is": "GET"}
    assert tokens == []
    # A ready token cannot be had anew.
    monkeypatch.setenv("TOKEN", "first")
    ready = rest.Api({"url": server.url, "token_env": "TOKEN"}, ".")
    with pytest.raises(ClientError, match="does not let us in: Token expired"):
        ready.get("/dags/x")
