"""What stands before an Airflow may redirect, be busy, forget a login or repeat it.

A real one does none of that when asked, so here a server plays it.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from levada_backends.airflow import rest
from levada_compiler.client import ClientError

SECRET = "s3cret-t0ken"
VERSION = (200, {"version": "3.3.2"}, {})
Answer = tuple[int, Any, dict[str, str]]


class Server:
    """Answers by a function of method and path, and keeps what it was asked."""

    def __init__(
        self, answer: Callable[[str, str], Answer], tls: ssl.SSLContext | None = None
    ) -> None:
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
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"
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


@pytest.mark.parametrize("refusal", [(401, "Token expired"), (403, "Invalid JWT token")])
def test_a_token_that_has_run_out_is_taken_anew(
    start: Start, monkeypatch: pytest.MonkeyPatch, refusal: tuple[int, str]
) -> None:
    """The second is said after a restart with another secret."""
    tokens = ["second", "first"]

    def answer(method: str, path: str) -> Answer:
        if path == "/auth/token":
            return 201, {"access_token": tokens.pop()}, {}
        if path.endswith("version"):
            return VERSION
        old = server.asked[-1][2] == "Bearer first"
        return (refusal[0], {"detail": refusal[1]}, {}) if old else (200, {"is": method}, {})

    server = start(answer)
    found = api(server, monkeypatch, username="me", password_env="PASSWORD")
    assert found.get("/dags/x") == {"is": "GET"}
    assert found.get("/dags/y") == {"is": "GET"}
    assert tokens == []
    # A ready token cannot be had anew.
    monkeypatch.setenv("TOKEN", "first")
    ready = rest.Api({"url": server.url, "token_env": "TOKEN"}, ".")
    with pytest.raises(ClientError, match=f"does not let us in: {refusal[1]}"):
        ready.get("/dags/x")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """That of a server at 127.0.0.1 that signs itself, with its key in the file, too."""
    file = tmp_path / "server.pem"
    subject = ["-subj", "/CN=airflow", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    files = ["-keyout", str(tmp_path / "key"), "-out", str(file)]
    subprocess.run([*command, *files], check=True, capture_output=True)
    file.write_text(file.read_text() + (tmp_path / "key").read_text())
    return file


def test_the_certificate_authority_of_a_server(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Server(lambda *_: VERSION, context)

    def said(**options: str) -> str:
        try:
            return rest.Api({"url": server.url, **options}, str(certificate.parent)).version
        except ClientError as error:
            return f"{error}: {error.way_out}"

    try:
        assert said(ca_file="server.pem") == "3.3.2"
        assert "is not trusted: self-signed certificate: name the file of its" in said()
        assert said(ca_file="key").startswith("cannot use the `ca_file` key: ")
        other = server.url.replace("127.0.0.1", "localhost")
        assert "give as `url` the name that its" in said(url=other, ca_file="server.pem")
        plain = server.url.replace("https", "http")
        assert "It may want https://" in said(url=plain)
    finally:
        server.close()


def test_a_server_without_tls(start: Start) -> None:
    address = start(lambda *_: VERSION).url.replace("http", "https")
    with pytest.raises(ClientError, match="cannot be reached: it does not speak TLS"):
        _ = rest.Api({"url": address}, ".").version
