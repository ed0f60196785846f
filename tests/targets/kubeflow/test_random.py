"""Pipelines made at random: Kubeflow takes each file, and a few are run by its local runner."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from levada import values
from levada.store import open_store
from levada_backends.kubeflow import TARGET
from levada_backends.kubeflow.verify import Verifier
from levada_compiler.compilation import compile_file
from levada_compiler.diagnostics.diagnostic import Severity
from levada_compiler.program.ir import Program
from levada_compiler.target_checks import check

from tests.conformance.case import Case
from tests.conformance.engines import kubeflow as engine
from tests.conformance.random_pipelines import PARAMETERS, indented, module
from tests.conformance.trace import digest
from tests.conformance.traced import load
from tests.engines.docker import Docker
from tests.engines.kubeflow import Kubeflow
from tests.targets.kubeflow.emission import OPTIONS
from tests.targets.kubeflow.test_goldens import required_parameters

QUIETLY = settings(
    max_examples=120,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
RUN, LARGEST = 3, 16  # so many are run, of so many tasks at most


HEADER = """
from levada import pipeline, step


@step
def add(x: int, y: int = 0) -> int:
    return x + y


@step
def both(x: int, y: int) -> tuple[int, list[int]]:
    return x - y, [x, y]


@step
def fail(x: int) -> int:
    if x % 2:
        raise ValueError(f"odd {x}")
    return x


@step
def total(xs: list[int], start: int = 0) -> int:
    return sum(xs, start)


@pipeline
def part(x: int, y: int):
    z = add(x, y)
    if z > 2:
        z = add(z, x)
    else:
        z = add(y, y)
    return z


@pipeline
def flow(n: int = 1, xs: list[int] = [1, 2, 3]):
    a = add(n)
    b = add(a, 2)
    p = [add(x, n) for x in xs]
"""
name = st.sampled_from(["a", "b"])
value = st.sampled_from(["a", "b", "n", "1"])
simple = st.one_of(
    st.tuples(name, value, value).map("{0[0]} = add({0[1]}, {0[2]})".format),
    st.tuples(name, value, value).map("{0[0]} = part({0[1]}, {0[2]})".format),
    st.tuples(name, value, value).map("{0[0]}, p = both({0[1]}, {0[2]})".format),
    st.tuples(name, value).map("{0[0]} = total(p, {0[1]})".format),
    st.tuples(value, value).map("p = [add(x, {0[0]}) for x in p if x > {0[1]}]".format),
)
condition = st.sampled_from(["a > b", "n > 1", "a != b", "a > 1 and n > 0", "p"])


@st.composite
def blocks(draw: st.DrawFn, depth: int = 0) -> list[str]:
    """One or two statements; every name in them is assigned by steps before."""
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 2))):
        form = draw(st.integers(0, 6 if depth < 2 else 2))
        inner = [indented(draw(blocks(depth + 1))) for _ in range(2)] if form > 2 else []
        if form <= 2:
            lines.append(draw(simple))
        elif form <= 4:
            lines += [f"if {draw(condition)}:", *inner[0], "else:", *inner[1]]
        elif form == 5:
            one, given_ = draw(name), draw(value)
            lines += ["try:", f"    {one} = fail({given_})"]
            lines += ["except Exception:", f"    {one} = add({draw(value)})"]
        else:
            lines += ["try:", *inner[0], "finally:", "    add(n)"]
    return lines


@st.composite
def merging(draw: st.DrawFn) -> str:
    """A module whose `flow` goes on with what several ways may have given."""
    lines = [*draw(blocks()), "c = add(a, b)", "return a, b, c, p"]
    return f"{HEADER}{chr(10).join(indented(lines))}\n"


def compiled(path: Path, pipeline: str) -> tuple[Program, str] | None:
    """A program and its file, as the target finds nothing wrong with it; None if it is refused."""
    program = compile_file(path, pipeline).program
    if program is None:
        return None
    found = check(TARGET, program, OPTIONS)
    assert not [one for one in found if one.severity is Severity.ERROR], found
    (text,) = TARGET.emit(program, OPTIONS).values()
    return program, text


@cache
def sources() -> list[str]:
    """The same ones every time."""
    made: list[str] = []

    @QUIETLY
    @given(st.one_of(st.integers(0, 999).map(module), merging(), merging()))
    def collect(source: str) -> None:
        made.append(source)

    collect()
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What is made of those that are not refused."""
    folder = tmp_path_factory.mktemp("random")
    found = []
    for number, source in enumerate(sources()):
        module = folder / f"random_{number}.py"
        module.write_text(source)
        if made := compiled(module, "flow"):
            found.append(module.with_suffix(".yaml"))
            found[-1].write_text(made[1])
    assert len(found) > len(sources()) / 2
    texts = [file.read_text() for file in found]
    assert sum("valueFromOneof" in text for text in texts) > len(found) / 4
    assert sum("never_empty" in text for text in texts) > 1  # KFP collects lists
    return found


def test_nothing_is_wrong_with_any(files: list[Path]) -> None:
    for file in files:
        assert list(Verifier(spec_of(file)).problems()) == [], file


@pytest.mark.engine
def test_kubeflow_reads_and_compiles_each(files: list[Path], kubeflow: Kubeflow) -> None:
    assert {path: said for path, said in kubeflow.problems(files).items() if said} == {}
    asked = [(file, required_parameters(spec_of(file))) for file in files]
    errors = (one.get("error") for one in kubeflow.compile(asked))
    assert {file.stem: said for file, said in zip(files, errors, strict=True) if said} == {}


def spec_of(file: Path) -> dict[str, Any]:
    """The first document of a compiled file."""
    found: dict[str, Any] = next(iter(yaml.load_all(file.read_text(), yaml.CSafeLoader)))
    return found


@pytest.mark.engine
def test_a_run_gives_what_python_gives(docker: Docker, kubeflow: Kubeflow, tmp_path: Path) -> None:
    project = engine.make_project(tmp_path, docker, kubeflow)
    cases = list(chosen(project.root))
    runs = [project.run(case, project.compiled(case), tmp_path / case.name) for case in cases]
    ended = kubeflow.run(runs, docker.host, tmp_path / "outputs", seconds=1200)
    for case, one in zip(cases, ended, strict=True):
        found = engine.trace(case, str(tmp_path / case.name / "store"), one)
        assert (found.status, list(found.outputs)) == expected(case, project.root), one["log"]


def chosen(root: Path) -> Any:
    """Some that have a merge and are not too large, each a pipeline of another name."""
    names = [f"random_{number}" for number in range(len(sources()))]
    found = 0
    for number, (name, source) in enumerate(zip(names, sources(), strict=True)):
        path = root / f"{name}.py"
        path.write_text(source.replace("def flow(", f"def {name}("))
        made = compiled(path, name)
        tasks = made[1].count("componentRef:") if made else 0
        if made and tasks <= LARGEST and "valueFromOneof" in made[1]:
            found += 1
            known = {parameter.name for parameter in made[0].parameters}
            values = PARAMETERS[number % len(PARAMETERS)].items()
            given_ = json.dumps({name: value for name, value in values if name in known})
            yield Case(name, 0, name, given_, False, frozenset())
        if found == RUN:
            return
    raise AssertionError(f"only {found} of them can be run")


def expected(case: Case, root: Path) -> tuple[str, list[str]]:
    """How plain Python ends, and the digests of what it gives."""
    function = getattr(load(root / f"{case.name}.py", root), case.pipeline)
    try:
        result = function(**json.loads(case.parameters))
    except Exception:  # noqa: BLE001 - a failure is an outcome
        return "failed", []
    store = open_store(str(root / "expected"))
    given_ = result if isinstance(result, tuple) else (result,)
    return "succeeded", [digest(values.encode(value, store), store) for value in given_]
