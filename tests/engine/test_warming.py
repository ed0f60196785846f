"""Attempts are forked with the pipeline's modules loaded only where that makes no difference."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """\
import os, sys
from levada.engine.warming import renew_randomness, warm
print(warm(["m"], [sys.argv[1]]))
"""
DRAWS = (
    SCRIPT
    + """\
import m
for _ in range(2):
    sys.stdout.flush()
    if os.fork() == 0:
        renew_randomness()
        print(m.draw())
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""
)


def said(folder: Path, source: str, script: str = SCRIPT) -> list[str]:
    (folder / "m.py").write_text(source + "\n")
    command = [sys.executable, "-c", script, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", "True"),
        ("import numpy, json, decimal", "True"),
        ("import pandas, sklearn.ensemble", "True"),
        ("import random; random.random()", "True"),
        ("from random import random", "True"),
        ("import os; os.environ['A_NEW_ONE'] = '1'", "True"),
        ("print('hello')", "False"),
        ("import warnings; warnings.warn('old')", "False"),
        ("import os; os.system('echo from a subprocess')", "False"),
        ("import os; file = open(os.devnull)", "False"),
        ("import socket; connection = socket.socket()", "False"),
        ("import random; random.seed(1)", "False"),
        ("import random; generator = random.Random(1)", "False"),
        ("import numpy; numpy.random.seed(1)", "False"),
        ("import numpy; rng = numpy.random.default_rng()", "False"),
        ("import os; os.chdir('/')", "False"),
        ("import polars", "False"),
        ("raise ValueError", "False"),
        ("raise SystemExit", "False"),
        ("import no_such_module_anywhere", "False"),
        (
            "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True)"
            ".start()",
            "False",
        ),
    ],
)
def test_warm(tmp_path: Path, source: str, expected: str) -> None:
    assert said(tmp_path, source) == [expected]


@pytest.mark.parametrize(
    "source",
    [
        "import numpy\ndef draw(): return numpy.random.random()",
        "import random\ndef draw(): return random.random()",
    ],
)
def test_forks_draw_different_numbers(tmp_path: Path, source: str) -> None:
    warm, one, other = said(tmp_path, source, DRAWS)
    assert warm == "True"
    assert one != other
