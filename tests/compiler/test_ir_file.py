"""A program that comes back from its JSON is compiled as the source is, or refused: never a fault.

LEVADA_IR_EDITS says how many random edits are made.
"""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from levada_compiler import targets
from levada_compiler.compilation import compile_file
from levada_compiler.diagnostics.diagnostic import Severity
from levada_compiler.program import ir_json
from levada_compiler.target_checks import check

EDITS = int(os.environ.get("LEVADA_IR_EDITS", "150"))
OPTIONS = {"compiler": "0.1.0", "image": "registry.example.com/steps:1", "project": ".."}
OWN = [name for name in targets.available() if targets.is_own(targets.load(name))]
CASES = sorted(
    case
    for target in ("airflow", "kubeflow")
    for case in (Path(__file__).parents[1] / "targets" / target / "cases").glob("*.py")
)


def emitted(path: Path) -> dict[str, str] | None:
    """All files of all targets; None if there is an error."""
    program = compile_file(str(path)).program
    if program is None:
        return None
    files: dict[str, str] = {}
    for name in OWN:
        target = targets.load(name)
        found = check(target, program, OPTIONS)
        if any(one.severity is Severity.ERROR for one in found):
            files[name] = json.dumps([one.message for one in found])
        else:
            files |= target.emit(program, OPTIONS)
    return files


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parts[-3]} {case.stem}")
def test_a_program_from_its_json_is_the_same(case: Path, tmp_path: Path) -> None:
    program = compile_file(str(case)).program
    assert program is not None
    path = tmp_path / "flow.ir.json"
    path.write_text(ir_json.dump(program))
    assert emitted(path) == emitted(case)


REFUSED = [
    ("", "this is not JSON"),
    ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "this is not JSON"),
    ("[" * 100_000, "this is nested too deeply"),
    ('{"schema": "levada.ir/0"}', "schema: expected 'levada.ir/2'"),
    ('{"schema": "levada.ir/2"}', "name: this is missing"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=lambda text: str(text)[:12])
def test_what_is_no_program_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "flow.json"
    path.write_text(text)
    (found,) = compile_file(str(path)).diagnostics
    assert found.id == "invalid-program"
    assert message in found.message


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in a document."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))


def edited(document: Any, draw: random.Random) -> Any:
    """A copy of the document with one value replaced, removed or doubled."""
    changed = copy.deepcopy(document)
    every = [path for path in places(changed) if path]
    *path, last = draw.choice(every)
    holder = changed
    for key in path:
        holder = holder[key]
    other = changed
    for key in draw.choice(every):
        other = other[key]
    junk = ["", "x", "../x", "a b", "é", "{{ x }}", 0, -1, None, True, [], {}, copy.deepcopy(other)]
    if draw.random() < 0.1:
        del holder[last]
    elif draw.random() < 0.1 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[last]))
    else:
        holder[last] = draw.choice(junk)
    return changed


@pytest.mark.parametrize("seed", range(EDITS))
def test_an_edited_program_is_compiled_or_refused(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    program = compile_file(str(draw.choice(CASES))).program
    assert program is not None
    path = tmp_path / "flow.ir.json"
    path.write_text(json.dumps(edited(json.loads(ir_json.dump(program)), draw)))
    files = emitted(path)
    for name in files or ():
        assert ".." not in name.split("/")
        assert not name.startswith("/")
