"""Docstrings are read as Python's own tools read them."""

from __future__ import annotations

import inspect
import subprocess
import sys
from ast import FunctionDef, parse

from hypothesis import given
from hypothesis import strategies as st
from levada_compiler.front import docstrings


@given(st.text(alphabet="ab \t\n.", max_size=40))
def test_the_text_is_what_inspect_gives(text: str) -> None:
    function = parse(f"def f():\n    {text!r}").body[0]
    assert isinstance(function, FunctionDef)
    assert docstrings.read(function).description == inspect.cleandoc(text).strip()


def test_reading_one_does_not_import_inspect() -> None:
    code = (
        "import ast, sys; from levada_compiler.front import docstrings;"
        'docstrings.read(ast.parse(\'def f():\\n  """Text."""\').body[0]);'
        "print('inspect' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
