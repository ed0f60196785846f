"""What a process prints, in its log and where it went before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import levada
import pytest

SCRIPT = """
import os, subprocess, sys
from levada.output_capture import OutputCapture
capture = OutputCapture({log!r}, echo={echo}, secrets={secrets})
print("before")
capture.start()
print("one")
print("two", file=sys.stderr, flush=True)
subprocess.run(["echo", "three hunter2"])
os.write(1, b"hunt")
os.write(1, b"er2 four")
capture.stop()
print("after", capture.unfinished_line)
"""


@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize("secrets", [[], ["hunter2"]])
def test_everything_is_in_the_log_and_seen_only_with_echo(tmp_path, echo, secrets):
    log = tmp_path / "log"
    script = SCRIPT.format(log=str(log), echo=echo, secrets=secrets)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(Path(levada.__file__).parents[1]), "PATH": "/bin:/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    word = "***" if secrets else "hunter2"
    # The streams are two pipes: on a busy machine one may be read to its end before the other.
    logged = log.read_text().replace("fourtwo", "four\ntwo")
    assert sorted(logged.splitlines()) == sorted(["one", "two", f"three {word}", f"{word} four"])
    printed = ["one", f"three {word}", f"{word} four"] if echo else []
    seen = done.stdout.replace("fourafter", "four\nafter").splitlines()
    assert seen == ["before", *printed, f"after {echo}"]
    assert done.stderr == ("two\n" if echo else "")
