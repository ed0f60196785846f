"""A step runs again when something that it read changed: see the cases in ``observations.md``."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .project import HEADER, Project

CASES = Path(__file__).with_name("observations.md")
BLOCK = re.compile(r"^```\w+ file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def cases() -> Iterator[object]:
    for section in re.split(r"^## ", CASES.read_text(), flags=re.MULTILINE)[1:]:
        title = section.splitlines()[0]
        files = dict(BLOCK.findall(section))
        rows = re.findall(r"^\| (.+?) \| (.+?) \|$", BLOCK.sub("", section), re.MULTILINE)
        for change, expected in rows:
            if change != "change":
                yield pytest.param(files, change, expected, id=f"{title}: {change}")


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("localhost", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(("files", "change", "expected"), list(cases()))
def test_second_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    port: int,
    files: dict[str, str],
    change: str,
    expected: str,
) -> None:
    for name, text in files.items():
        write(tmp_path / name, text.replace("<PORT>", str(port)))
    (tmp_path / "pyproject.toml").touch()
    write(tmp_path / "pipeline.py", HEADER + (tmp_path / "pipeline.py").read_text())
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path)
    if change.startswith("feed"):
        feed(tmp_path / "pipe")
    assert project.run().status == "succeeded"
    apply(change, tmp_path, monkeypatch)
    second = project.run()
    assert reason(project, second) == expected.replace("<PORT>", str(port))
    assert all(step.cached for step in second.steps if step.label == "trusting")


def reason(project: Project, outcome) -> str:
    cache = project.record(outcome, "work")["cache"]
    said = [each["text"] for each in cache["reasons"]]
    if not said and not cache["hit"]:
        from levada.cache import explain
        from levada.store import open_store

        explained = explain(project.record(outcome, "work"), open_store(project.store))
        said = [each["text"] for each in explained]
    return re.sub(r"is [\d.]+ \w+ old", "is … old", "; ".join(said)) or "cached"


def apply(change: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    word, _, rest = change.partition(" ")
    name, _, content = rest.partition(": ")
    content = content.replace("\\n", "\n")
    path = folder / name
    if word == "write":
        write(path, content + "\n")
    elif word == "append":
        write(path, path.read_text() + content + "\n")
    elif word == "replace":
        old, _, new = content.partition(" -> ")
        assert old in path.read_text()
        write(path, path.read_text().replace(old, new))
    elif word == "remove":
        path.unlink()
    elif word == "touch":
        os.utime(path)
    elif word == "set":
        monkeypatch.setenv(name, content)
    elif word == "wait":
        time.sleep(float(name))
    elif word == "feed":
        feed(path)
    else:
        assert word == "nothing"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def feed(pipe: Path) -> None:
    if not pipe.exists():
        os.mkfifo(pipe)
    threading.Thread(target=lambda: pipe.write_text("sent"), daemon=True).start()
