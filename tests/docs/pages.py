"""Pages whose files are written, whose commands run, and whose output is as shown.

A file is a block with ``title=PATH``; ``append`` after the path adds to the file. A block of
``console`` has commands, each after ``$ ``, with the output of the last one below it. `…` in an
output is anything within a line; a line of it alone is any number of lines.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.examples.test_churn import LEVADA, ROOT

_BLOCK = re.compile(r"(?ms)^```(\w+ title=(\S+)( append)?|console)\n(.*?)^```$")
_PROGRAMS = {"python": sys.executable, "levada": str(LEVADA)}


def follow(page: str, folder: Path, variables: Mapping[str, str] | None = None) -> int:
    """Do in a folder what a text says, and compare; gives how many commands were run.

    ``variables`` are for the commands, and what stands for ``$NAME`` in files.
    """
    count = 0
    given = dict(variables or {})
    for _, file, append, text in _BLOCK.findall(page):
        if file:
            for name, value in given.items():
                text = text.replace(f"${name}", value)
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            with (folder / file).open("a" if append else "w") as written:
                written.write(text)
            continue
        *before, last = text.removeprefix("$ ").split("\n$ ")
        for command in before:
            run(command, folder, given)
        command, _, shown = last.partition("\n")
        output = run(command.strip(), folder, given)
        assert _pattern(shown).fullmatch(output), f"{command}\n{output}"
        count += len(before) + 1
    return count


def run(command: str, folder: Path, variables: Mapping[str, str]) -> str:
    """Run a command that has to succeed, unless its output says `error`; gives what it wrote."""
    program, *arguments = shlex.split(command)
    done = subprocess.run(
        [_PROGRAMS.get(program, program), *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stderr + done.stdout if program == "levada" else done.stdout
    assert done.returncode == 0 or "error" in output or "failed" in output, (
        f"{command}\n{output}{done.stderr}"
    )
    return output


def _pattern(shown: str) -> re.Pattern[str]:
    """The outputs that an output on a page stands for."""
    lines = [
        r"(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + r" *\n"
        for line in shown.splitlines()
    ]
    return re.compile("".join(lines))


def page(name: str) -> str:
    """The text of a page of the documentation."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")
