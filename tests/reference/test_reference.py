"""What the docs and the type stub say of settings, options and functions is as they are defined.

A part of a file between `NAME: begin` and `NAME: end` is compared with what follows from the
definitions. `LEVADA_UPDATE_REFERENCE=1 pytest tests/reference` writes it; read the diff.
"""

from __future__ import annotations

import doctest
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import levada.settings
import levada_compiler.options
import pytest

from tests.examples.test_churn import ROOT

from . import blocks

PARTS: list[tuple[str, str, Callable[[], str]]] = [
    ("runtime/levada/declarations.pyi", "settings", blocks.stub),
    ("docs/language.md", "functions", blocks.functions_table),
    ("docs/language.md", "methods", blocks.methods_table),
    ("docs/settings.md", "settings", blocks.settings_table),
    ("docs/settings.md", "targets", blocks.answers_table),
    (
        "compiler/levada_compiler/diagnostics/rules/invalid-setting.md",
        "settings",
        blocks.settings_list,
    ),
    *(
        (f"docs/{name}.md", "options", partial(blocks.options_table, name))
        for name in blocks.TARGETS
    ),
]


def between(name: str) -> re.Pattern[str]:
    """What is between the marks of a part, which are comments of Markdown or of Python."""
    return re.compile(
        rf"((?:<!--|#) {name}: begin(?: -->)?\n\n?)(.*?)(\n\n?(?:<!--|#) {name}: end)", re.DOTALL
    )


def part_id(part: object) -> str:
    """Its text; nothing for what has an address in it, which differs by process."""
    return part if isinstance(part, str) else ""


@pytest.mark.parametrize(("file", "name", "write"), PARTS, ids=part_id)
def test_it_follows_from_the_definitions(file: str, name: str, write: Callable[[], str]) -> None:
    path = Path(ROOT, file)
    text = path.read_text()
    found = between(name).search(text)
    assert found is not None, f"{file} has no part `{name}`"
    expected = write()
    if os.environ.get("LEVADA_UPDATE_REFERENCE"):
        path.write_text(text[: found.start(2)] + expected + text[found.end(2) :])
        return
    message = f"{file} is not what the definitions say: run `make reference`"
    assert found[2] == expected, message


@pytest.mark.parametrize("module", [levada.settings, levada_compiler.options])
def test_the_examples_of_the_docstrings_are_true(module: ModuleType) -> None:
    failures, count = doctest.testmod(module)
    assert (failures, count > 0) == (0, True)
