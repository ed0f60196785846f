"""Packages from an index that wants a login, which leaves no trace."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from levada_backends.images import logins

from tests.engines.docker import Docker
from tests.images.test_plan_commands import PYTHON, Folder, folder

__all__ = ["folder"]
SECRET = "s3cret-of-the-index"
LOGIN = base64.b64encode(f"user:{SECRET}".encode()).decode()


@pytest.fixture
def address(index: Path) -> Iterator[str]:
    """An index with the simple API of PEP 503, as `host:port`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") != f"Basic {LOGIN}":
                self.answer(401, b"", "WWW-Authenticate", "Basic realm=index")
            elif self.path.startswith("/simple/"):
                self.answer(200, page(index, self.path.split("/")[2]), "Content-Type", "text/html")
            else:
                content = (index / Path(self.path.partition("?")[0]).name).read_bytes()
                self.answer(200, content, "Content-Type", "application/octet-stream")

        do_HEAD = do_GET  # noqa: N815

        def answer(self, status: int, body: bytes, header: str, value: str) -> None:
            self.send_response(status)
            self.send_header(header, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def page(index: Path, name: str) -> bytes:
    files = [path for path in sorted(index.iterdir()) if path.name.startswith(f"{name}-")]
    links = [
        f'<a href="/files/{path.name}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}">'
        f"{path.name}</a>"
        for path in files
    ]
    return f"<html><body>{''.join(links)}</body></html>".encode()


def use(folder: Folder, address: str) -> None:
    """Let the project take its packages from this index, by a name."""
    settings = (folder.path / "pyproject.toml").read_text().partition("[tool.uv]")[0]
    named = f'name = "our-own"\nurl = "http://{address}/simple"\ndefault = true\n'
    (folder.path / "pyproject.toml").write_text(f"{settings}[[tool.uv.index]]\n{named}")
    folder.variables |= {"UV_NO_CACHE": "1", "UV_HTTP_RETRIES": "0"}


WAYS = ["by name", "in the URL", "netrc", "uv.toml", "requirements.txt", "keyring"]
KEYRING = f'#!/bin/sh\n[ "$1 $3" = "get user" ] && echo {SECRET}\n'


def log_in(way: str, folder: Folder, address: str, elsewhere: Path) -> None:
    """Give the login in one of uv's ways; files with it are elsewhere, but for the user's own."""
    url = f"http://user:{SECRET}@{address}/simple"
    if way == "by name":
        folder.variables["UV_INDEX_OUR_OWN_USERNAME"] = "user"
        folder.variables["UV_INDEX_OUR_OWN_PASSWORD"] = SECRET
    elif way == "in the URL":
        folder.variables["UV_DEFAULT_INDEX"] = url
    elif way == "netrc":
        host = address.partition(":")[0]
        (elsewhere / "logins").write_text(f"machine {host} login user password {SECRET}\n")
        folder.variables["NETRC"] = str(elsewhere / "logins")
    elif way == "uv.toml":
        (elsewhere / "uv.toml").write_text(f'index-url = "{url}"\n')
        folder.variables["UV_CONFIG_FILE"] = str(elsewhere / "uv.toml")
    elif way == "requirements.txt":
        (elsewhere / "more.txt").write_text(f"--index-url {url}\n")
        (folder.path / "requirements.txt").write_text(f"-r {elsewhere}/more.txt\nbeta\n")
        folder.settings("[]")
        use(folder, address)
    else:
        (elsewhere / "keyring").write_text(KEYRING)
        (elsewhere / "keyring").chmod(0o755)
        folder.variables["PATH"] = f"{elsewhere}:{os.environ['PATH']}"
        folder.variables["UV_KEYRING_PROVIDER"] = "subprocess"
        folder.variables["UV_DEFAULT_INDEX"] = f"http://user@{address}/simple"


@pytest.mark.parametrize("way", WAYS)
def test_no_trace_of_the_login(
    way: str, folder: Folder, address: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    use(folder, address)
    log_in(way, folder, address, tmp_path_factory.mktemp("elsewhere"))
    found = folder.build()
    assert [each["name"] for each in found["images"][0]["packages"]] == ["beta"]
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_nlink == 1]
    assert any(path.name == "levada.lock" for path in written)
    for path in written:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        assert SECRET.encode() not in content
        assert LOGIN.encode() not in content


def test_a_requirement_by_url_is_locked_without_its_login(folder: Folder, address: str) -> None:
    place = f"user:{SECRET}@{address}/files/beta-2.0-py3-none-any.whl?token={SECRET}&v=1"
    folder.settings(f'["beta @ http://{place}"]')
    found = folder.build()
    assert [each["name"] for each in found["images"][0]["packages"]] == ["beta"]
    lock = (folder.path / "levada.lock").read_text()
    assert SECRET not in lock
    assert f'"beta @ http://{address}/files/beta-2.0-py3-none-any.whl?v=1"' in lock


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://token@host/a.whl", "https://host/a.whl"),
        (
            "git+https://u:p@host/a.git@1f2e#subdirectory=b",
            "git+https://host/a.git@1f2e#subdirectory=b",
        ),
        ("git+ssh://git:p@host/a.git", "git+ssh://git@host/a.git"),
        (
            "a[b] @ https://h/a.whl?X-Amz-Signature=x&sig=y&file=z ; c",
            "a[b] @ https://h/a.whl?file=z ; c",
        ),
        ("see `https://u:p@h/simple/` (https://v:q@i)", "see `https://h/simple/` (https://i)"),
        ("pandas>=2,<3", "pandas>=2,<3"),
    ],
)
def test_urls_are_shown_without_credentials(text: str, shown: str) -> None:
    assert logins.without_credentials(text) == shown


def test_a_secret_parameter_of_an_index_is_sent_to_its_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UV_INDEX", "own=https://host/simple?token=a&v=1 https://other/?key=b")
    assert logins.with_parameters("https://host/a.whl?w=2") == "https://host/a.whl?w=2&token=a"
    assert logins.with_parameters("https://third/a.whl") == "https://third/a.whl"


@pytest.mark.engine
def test_a_source_archive_is_built_with_the_login(
    folder: Folder, address: str, docker: Docker
) -> None:
    """What it needs to be built comes from the same index, and no trace of the login stays."""
    folder.settings('["beta", "sigma"]', python=f'{PYTHON}"\nnetwork = "host')
    use(folder, address)
    folder.replace("pipeline.py", "return 2", "import sigma; return sigma.value")
    folder.variables |= {"UV_INDEX_OUR_OWN_USERNAME": "user", "UV_INDEX_OUR_OWN_PASSWORD": SECRET}
    folder.variables["DOCKER_HOST"] = docker.host
    done = folder.levada("run", "pipeline.py", "--executor", "docker")
    assert "output: 12" in done.stderr, done.stderr
    images = docker.run("images", "--all", "--quiet", "--no-trunc").stdout.split()
    said = [docker.run(word, image).stdout for image in images for word in ("inspect", "history")]
    command = ["/usr/bin/docker", "--host", docker.host, "save", "flow/two"]
    content = subprocess.run(command, check=True, capture_output=True).stdout
    for word in (SECRET, LOGIN):
        assert word not in "".join(said)
        assert word.encode() not in content


def test_a_login_that_is_missing(folder: Folder, address: str) -> None:
    use(folder, address)
    done = folder.levada("build", "pipeline.py")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "401" in done.stderr or "credentials" in done.stderr
