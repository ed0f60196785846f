"""Attempts are forked with distributions loaded only where a step cannot tell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from levada.code import Code
from levada.project import Project

SCRIPT = """\
import sys
sys.path.append(sys.argv[1])
from levada.engine.preloading import preload, renew_randomness
print(preload([["m", None]], [sys.argv[2]]))
"""
DRAWS = (
    SCRIPT
    + """\
import m, os
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
    """Run the script with ``m`` as a module of a distribution, beside a project."""
    installed, project = folder / "installed", folder / "project"
    installed.mkdir()
    project.mkdir()
    (installed / "m.py").write_text(source + "\n")
    (project / "taken.py").write_text("A = 1\n")
    command = [sys.executable, "-c", script, str(installed), str(project)]
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
        ("import random; generator = random.Random()", "False"),
        ("import uuid; session = uuid.uuid4()", "False"),
        ("import joblib", "True"),
        ("import tempfile; folder = tempfile.mkdtemp()", "False"),
        ("import tempfile; file = tempfile.TemporaryFile(); file.close()", "False"),
        ("open('/tmp/written', 'w').close()", "False"),
        ("import sys; sys.path.insert(0, '/tmp')", "False"),
        ("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)", "False"),
        ("import taken", "False"),
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
def test_preload(tmp_path: Path, source: str, expected: str) -> None:
    assert said(tmp_path, source) == [expected]


@pytest.mark.parametrize(
    "source",
    [
        "import numpy\ndef draw(): return numpy.random.random()",
        "import random\ndef draw(): return random.random()",
    ],
)
def test_forks_draw_different_numbers(tmp_path: Path, source: str) -> None:
    forks, one, other = said(tmp_path, source, DRAWS)
    assert forks == "True"
    assert one != other


PRELOADS = {
    "imports": ("import numpy\nfrom pandas.io import sql", ["numpy", "pandas.io:sql"]),
    "Python's own, Levada and the project's": (
        "from __future__ import annotations\nimport os\nimport numpy\n"
        "from levada import step\nimport other",
        ["numpy", "polars"],
    ),
    "definitions and constants": (
        '"""Text."""\nA = [1, 2]\ndef f(): return A\nclass C: pass\nimport numpy',
        ["numpy"],
    ),
    "a variable of the environment": (
        "import os\nos.environ['OMP_NUM_THREADS'] = '1'\nimport numpy",
        [],
    ),
    "a call": ("import yaml\nyaml.add_constructor('!x', 1)\nimport numpy", ["yaml"]),
    "what another module does": ("import acts\nimport numpy", ["polars"]),
    "a package's own": ("import package.inner\nimport numpy", ["polars", "yaml", "numpy"]),
    "the body of a class": ("import os\nclass K:\n    os.environ['A'] = '1'\nimport numpy", []),
    "a plain class": (
        "from dataclasses import dataclass\n@dataclass\nclass K:\n    a: int = 1\n"
        "    def f(self): return open('x')\nimport numpy",
        ["numpy"],
    ),
    "a decorator": ("import yaml\n@yaml.note\ndef f(): pass\nimport numpy", ["yaml"]),
    "a default": ("import os\ndef f(a=os.putenv('A', '1')): pass\nimport numpy", []),
    "a metaclass": ("class K(metaclass=M): pass\nimport numpy", []),
    "an assignment to what is there": ("import os\nE = os.environ\nE |= {}\nimport numpy", []),
    "a choice": ("try:\n    import cudf\nexcept ImportError:\n    import pandas", []),
    "an import in a function": ("def f():\n    import numpy", []),
    "for type checkers": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas\nimport numpy",
        ["numpy"],
    ),
    "a circle": ("import circle\nimport numpy", ["yaml", "numpy"]),
}


@pytest.mark.parametrize("name", PRELOADS)
def test_what_a_module_imports_first(tmp_path: Path, name: str) -> None:
    source, expected = PRELOADS[name]
    others = {
        "other.py": "import polars",
        "acts.py": "import polars\nprint('here')",
        "package/__init__.py": "import polars",
        "package/inner.py": "import yaml",
        "circle.py": "import m\nimport yaml",
    }
    for file, text in {**others, "m.py": source}.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text + "\n")
    found = Code(Project(str(tmp_path), [str(tmp_path)])).preloads(str(tmp_path / "m.py"))
    assert [f"{module}:{each}" if each else module for module, each in found] == expected
