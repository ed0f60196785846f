"""The examples of docs/python.md are true: each is run, and prints what is shown."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from levada_records import interface

from tests.examples.test_churn import ROOT

BLOCK = re.compile(r"^```(python title=(\S+)|python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    folder, path = Path.cwd(), sys.path[:]
    yield
    os.chdir(folder)
    sys.path[:] = path
    interface.runs._place = None
    sys.modules.pop("churn", None)


def test_each_example_does_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVADA_INDEX_CACHE", str(tmp_path / "index"))
    monkeypatch.delenv("LEVADA_STORE", raising=False)
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    count = 0
    for kind, file, text in BLOCK.findall((ROOT / "docs" / "python.md").read_text()):
        if file:
            (tmp_path / file).write_text(text)
        elif kind == "console":
            for line in re.findall(r"^\$ levada (.*)$", text, re.MULTILINE):
                command = [sys.executable, "-m", "levada_cli.main", *line.split()]
                subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
        else:
            example = doctest.DocTestParser().get_doctest(text, names, "python.md", None, 0)
            said: list[str] = []
            flags = doctest.NORMALIZE_WHITESPACE
            runner = doctest.DocTestRunner(optionflags=flags)
            failed, tried = runner.run(example, out=said.append, clear_globs=False)
            assert not failed, "".join(said)
            names.update(example.globs)
            count += tried
    assert count > 15
