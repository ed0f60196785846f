"""A slice has what its step reaches, imports and runs alone, and has the digest of the source."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from levada import project, run_values
from levada.code import Code
from levada.project import Project
from levada_backends.images.distributions import Locked
from levada_backends.images.flow import producers
from levada_backends.images.needs import NeedsFinder
from levada_backends.images.slice import Slice
from levada_compiler.compilation import compile_file

from tests.conformance import records
from tests.conformance.case import Case, cases_for_engines
from tests.conformance.engines import local
from tests.runtime import test_code

BLOCK = re.compile(r"^```python (file|slice)=(\S+)(?: file=(\S+))?\n(.*?)^```$", re.M | re.S)
SECTIONS = re.split(
    r"^## ", (Path(__file__).parent / "cases" / "slices.md").read_text(), flags=re.M
)[1:]


def write(files: dict[str, bytes], folder: Path) -> None:
    for name, content in {"pyproject.toml": b"", **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def sliced(code: Code, path: str, step: str) -> dict[str, bytes]:
    found = Slice(code)
    found.add_step(path, step)
    return found.files()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.splitlines()[0])
def test_slices(section: str, tmp_path: Path) -> None:
    blocks = BLOCK.findall(section)
    write({name: text.encode() for kind, name, _, text in blocks if kind == "file"}, tmp_path)
    path = str(tmp_path / "pipeline.py")
    for kind, step, file, text in blocks:
        if kind == "slice":
            files = sliced(Code(project.find(path)), path, step)
            lines = files[file or "pipeline.py"].decode().splitlines()
            kept = [line for line in lines if line.strip()]
            assert kept == [line for line in text.splitlines() if line.strip()]
            check_lines(tmp_path / (file or "pipeline.py"), lines)


def check_lines(source: Path, lines: list[str]) -> None:
    """Whatever is in both is on the same line in both."""
    original = source.read_text().splitlines()
    for number, line in enumerate(lines):
        if line.strip() and original.count(line) == 1:
            assert original[number] == line


#: An image has its packages from the lock, and not the environment that is beside the project.
ALONE = [
    case
    for case in test_code.read_cases()
    if not any(file.startswith(".venv/") for file in case.files)
]


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case.id)
def test_digest_is_that_of_the_source(case: test_code.Case, tmp_path: Path) -> None:
    path = case.write(tmp_path / "source")
    for name, expected in test_code.steps_of(path).items():
        source = project.find(str(path))
        files = sliced(Code(source), str(path), name)
        folder = tmp_path / name
        write(files, folder)
        search = [str(folder / source.relative(each)) for each in source.used_search]
        own = str(folder / "pipeline.py")
        assert Code(Project(str(folder), search)).step(own, name).digest == expected.digest


# ---------------------------------------------------------------------------- running

#: One input of each case: what a step needs does not depend on the input.
CASES = [case for case in cases_for_engines("") if case.number == 0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_attempt_runs_alone_from_its_slice(case: Case, tmp_path: Path) -> None:
    """What a case's steps did, they do again in a folder with nothing but their slice."""
    local.run(case, tmp_path)
    store = str(tmp_path / "store")
    found = [json.loads(path.read_text()) for path in Path(store).rglob("record.json")]
    program = compile_file(str(case.module), case.pipeline).program
    assert program is not None
    own = project.find(str(case.module))
    finder = NeedsFinder(Code(own), program.steps)
    for step in program.steps:
        runs = [
            each
            for each in found
            if each["step"] == step.key and each["attempt"] == 1 and each["status"] == "succeeded"
        ]
        if runs and step.module != run_values.__name__:  # which have no file of the project
            needs = finder.find(step, producers(program)[step.key], (), Locked((), (), ()))
            folder = tmp_path / "alone" / step.function
            write(needs.slice.files(), folder)
            # What a step reads from a folder that others write to differs from run to run.
            check_again(
                step, runs, own, folder, store, is_repeatable="{tmp}" not in case.parameters
            )


def check_again(
    step: Any,
    runs: list[dict[str, Any]],
    own: Project,
    folder: Path,
    store: str,
    is_repeatable: bool,
) -> None:
    search = [own.relative(each) for each in own.search]
    requests = [request(each, step, search, store, folder) for each in runs]
    job = {
        "requests": requests,
        "search": search,
        "file": step.span.file,
        "function": step.function,
        "files": [],
    }
    environment = os.environ | {"PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    script = str(Path(__file__).parent / "again.py")
    done = subprocess.run(
        [sys.executable, script],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["code"] == step.code
    expected = [["succeeded", each["returns"]["digest"], None] for each in runs]
    if is_repeatable:
        assert said["attempts"] == expected
    assert [status for status, *_ in said["attempts"]] == ["succeeded"] * len(runs)


def request(
    record: dict[str, Any], step: Any, search: list[str], store: str, folder: Path
) -> dict[str, Any]:
    return {
        "pipeline": record["pipeline"],
        "run_id": "again",
        "node": record["node"],
        "map_index": record["map_index"],
        "step": {
            "module": step.module,
            "function": step.function,
            "source_roots": search,
            "code": step.code,
            "imports": list(step.imports),
            "outputs": [output.name for output in step.outputs],
            "settings": {"cache": False, "allow_pickle": bool(record["allow_pickle"])},
        },
        "inputs": {name: records.tree_of(given) for name, given in record["inputs"].items()},
        "parameters": record["parameters"],
        "store": store,
        "project": str(folder),
    }
