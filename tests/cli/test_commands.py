"""``cases/commands/*.md``: files, commands, and what they print.

In a ``console`` block a line that starts with ``$`` is a command; below it stands its stdout, then
its stderr with ``2|`` before each line, then ``[exit N]`` if N is not 0. ``…`` stands for any
text within a line. ``cat`` and ``ls`` are there to show what was written, ``edit FILE OLD NEW`` to
change a file.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from .markdown import Case, cases

CASES = cases(Path(__file__).parent / "cases" / "commands")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_commands(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(case, tmp_path, monkeypatch)


def play(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the files of a case, run its commands, and compare what they print."""
    monkeypatch.setenv("LEVADA_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("NO_COLOR", "FORCE_COLOR", "LEVADA_STORE", "LEVADA_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for file, text in case.files().items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    blocks = [text for info, text in case.blocks if info == "console"]
    assert blocks
    for block in blocks:
        for command, expected in transcript(block):
            given = run(command)
            assert re.fullmatch(pattern(expected), given), f"$ {command}\n{given}"


def transcript(block: str) -> list[tuple[str, str]]:
    """The commands of a block with what is expected of each."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(command, text) for command, _, text in (part.partition("\n") for part in parts)]


def pattern(expected: str) -> str:
    return re.escape(expected).replace("…", "[^\n]*")


def run(command: str) -> str:
    """What a command prints, in the form of a transcript."""
    variables = dict(re.findall(r"^(\w+)=(\S*) ", command))
    words = shlex.split(re.sub(r"^\w+=\S* ", "", command))
    if words[0] == "edit":
        path = Path(words[1])
        path.write_text(path.read_text().replace(words[2], words[3]))
        return ""
    if words[0] == "levada":
        words = [sys.executable, "-W", "error", "-m", "levada_cli.main", *words[1:]]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env=os.environ | variables
    )
    errors = "".join(f"2| {line}\n".replace("| \n", "|\n") for line in done.stderr.splitlines())
    return done.stdout + errors + (f"[exit {done.returncode}]\n" if done.returncode else "")
