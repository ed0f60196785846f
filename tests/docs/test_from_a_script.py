"""The tutorial is true: its files are written, its commands run, and their output is as shown.

`…` in an output is anything within a line; a line of it alone is any number of lines.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.examples.test_churn import LEVADA, ROOT

BLOCK = re.compile(r"^```(python title=(\S+)|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = {"python": sys.executable, "levada": LEVADA}


def test_each_file_and_command_does_what_is_shown(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    count = 0
    for _, file, text in BLOCK.findall((ROOT / "docs" / "from-a-script.md").read_text()):
        if file:
            (tmp_path / file).write_text(text)
            continue
        command, _, shown = text.removeprefix("$ ").partition("\n")
        program, *arguments = shlex.split(command)
        run = [PROGRAMS[program], *arguments]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
        output = done.stderr + done.stdout if program == "levada" else done.stdout
        assert pattern(shown).fullmatch(output), f"{command}\n{output}"
        count += 1
    assert count > 8


def pattern(shown: str) -> re.Pattern[str]:
    """The outputs that an output in the tutorial stands for."""
    lines = [
        r"(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + r" *\n"
        for line in shown.splitlines()
    ]
    return re.compile("".join(lines))
