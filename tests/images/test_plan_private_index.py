"""Packages from an index that wants a login, which leaves no trace."""

from __future__ import annotations

import base64
import gzip
import hashlib
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

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
                content = (index / Path(self.path).name).read_bytes()
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


@pytest.mark.parametrize("way", ["by name", "in the URL"])
def test_no_trace_of_the_login(way: str, folder: Folder, address: str, tmp_path: Path) -> None:
    use(folder, address)
    if way == "by name":
        folder.variables["UV_INDEX_OUR_OWN_USERNAME"] = "user"
        folder.variables["UV_INDEX_OUR_OWN_PASSWORD"] = SECRET
    else:
        folder.variables["UV_DEFAULT_INDEX"] = f"http://user:{SECRET}@{address}/simple"
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
