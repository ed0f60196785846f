"""Each diagnostic of the target has a page with an example that gives it, and a way out."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import levada_backends.airflow.check as check_module
import pytest
from levada_backends.airflow import TARGET
from levada_compiler.compilation import compile_file
from levada_compiler.program.ir import Setting
from levada_compiler.target_checks import check

STEP = """\
from levada import pipeline, step

@step
def work(size: int) -> int:
    return size

@pipeline
def nightly(size: int = 1):
    work(size)
"""
RULES = Path(check_module.__file__).parent / "rules"
IDS = sorted(path.stem for path in RULES.glob("*.md"))
#: A module, and options of the target after it.
PARTS = re.compile(r"```python\n(.*?)```\n(?:\n```toml\n(.*?)```\n)?", re.DOTALL)


def test_every_diagnostic_has_a_page() -> None:
    source = "".join(path.read_text() for path in RULES.parent.glob("check*.py"))
    assert sorted(set(re.findall(r'"(airflow-[a-z-]+)"', source))) == IDS


@pytest.mark.parametrize("rule", IDS)
def test_the_example_gives_it_and_the_way_out_does_not(rule: str, tmp_path: Path) -> None:
    page = (RULES / f"{rule}.md").read_text()
    assert page.startswith(f"# {rule}\n")
    (example, its_options), (instead, options) = PARTS.findall(page)
    assert found(example, its_options, tmp_path) == {rule}
    assert found(instead, options, tmp_path) == set()


def found(source: str, settings: str, folder: Path) -> set[str]:
    """The ids of what the target says of a module that the compiler takes, with options."""
    module = folder / "nightly.py"
    module.write_text(source)
    compilation = compile_file(module)
    assert compilation.program is not None, compilation.diagnostics
    table = tomllib.loads(settings or "[tool.levada.targets.airflow]")
    options = table["tool"]["levada"]["targets"]["airflow"]
    diagnostics = check(TARGET, compilation.program, {"compiler": "0.1.0", **options})
    assert all(one.help for one in diagnostics)
    return {one.id for one in diagnostics}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"executor": "pods"}, ["executor"]),
        ({"volumes": [{"claim": "a"}]}, ["volumes"]),
        ({"volumes": [{"claim": "a", "path": "/a", "readonly": True}]}, ["volumes"]),
        (
            {"deferrable": "yes", "startup_timeout_seconds": True},
            ["deferrable", "startup_timeout_seconds"],
        ),
        ({"executor": "kubernetes", "user": 0}, ["user"]),
        ({"executor": "kubernetes", "namespace": "A"}, ["namespace"]),
        ({"executor": "kubernetes", "labels": {"a b": "c"}}, ["labels"]),
        ({"executor": "kubernetes", "tolerations": [{"effect": "No"}]}, ["tolerations"]),
        ({"executor": "kubernetes", "user": "assigned", "annotations": {"a/b": "c d"}}, []),
        ({"executor": "docker", "user": 0}, []),
        ({"airflow": 1}, ["airflow"]),
        ({"record_url": "https://a/{path}/{run}", "airflow": 3}, ["record_url"]),
        ({"record_url": "https://a/{run_id!r}", "airflow": 3}, ["record_url"]),
        ({"record_url": "https://a/{run_id", "airflow": 3}, ["record_url"]),
        ({"record_url": "/runs/{path}", "airflow": 3}, ["record_url"]),
        ({"record_url": "https://a/{path}?x={{}}", "airflow": 3}, []),
    ],
)
def test_an_option_that_cannot_be_right_is_named(
    options: dict[str, Any], names: list[str], tmp_path: Path
) -> None:
    module = tmp_path / "nightly.py"
    module.write_text(STEP)
    program = compile_file(module).program
    assert program is not None
    shared = {"image": "a", "store": "s3://bucket"}
    messages = [one.message for one in check(TARGET, program, shared | options)]
    assert [message.split("`")[1] for message in messages] == names


@pytest.mark.parametrize(
    ("store", "is_right"),
    [
        ("/store/levada", True),
        ("file:///store/levada", True),
        ("s3://bucket", True),
        ("/stores", False),
        ("file:///srv", False),
    ],
)
def test_a_store_that_containers_share(store: str, is_right: bool, tmp_path: Path) -> None:
    module = tmp_path / "nightly.py"
    module.write_text(STEP)
    program = compile_file(module).program
    assert program is not None
    volumes = [{"claim": "store", "path": "/store"}]
    given = {"executor": "kubernetes", "image": "a", "store": store, "volumes": volumes}
    rules = [one.id for one in check(TARGET, program, given)]
    assert rules == ([] if is_right else ["airflow-no-store"])


def test_the_place_of_an_option_is_that_of_the_environment(tmp_path: Path) -> None:
    """Also where the table says something else."""
    (tmp_path / "nightly.py").write_text(STEP)
    table = "[tool.levada.targets.airflow"
    lines = [f"{table}]", 'executor = "process"', f"{table}.environments.prod]", "  executor = 1"]
    (tmp_path / "pyproject.toml").write_text("\n".join(lines))
    command = [str(Path(sys.executable).with_name("levada")), "check", "nightly.py"]
    command += ["--target", "airflow", "--env", "prod", "--format", "concise"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("pyproject.toml:4:3: error[invalid-option]"), done.stdout
    assert done.returncode == 1


def test_an_image_of_the_lock_is_no_setting_without_effect(tmp_path: Path) -> None:
    """`levada build` was run for another target, or for containers elsewhere."""
    module = tmp_path / "nightly.py"
    module.write_text(STEP)
    program = compile_file(module).program
    assert program is not None
    pinned = [
        replace(step, settings=(Setting("image", '"a@sha256:b"', step.span),))
        for step in program.steps
    ]
    assert check(TARGET, replace(program, steps=tuple(pinned)), {"compiler": "0.1.0"}) == ()


CONTAINERS = """
[tool.levada.targets.airflow]
executor = "docker"
image = "a"
store = "s3://bucket"
"""
LONG = """\
from levada import pipeline, step

A = "a" * {0}
B = "b" * {1}

@step
def work(one: str, other: str) -> str:
    return one

@pipeline
def nightly(words: list[str] = []):
    for item in [*words, A]:
        work({2})
"""


@pytest.mark.parametrize(
    ("sizes", "arguments", "is_too_long"),
    [
        ((50_000, 50_000), '"", B', False),
        ((50_000, 90_000), '"", B', True),
        ((50_000, 90_000), 'B, "x"', True),
        ((10, 70_000), "B, B", True),
    ],
)
def test_all_that_a_task_is_told_is_one_argument(
    sizes: tuple[int, int], arguments: str, is_too_long: bool, tmp_path: Path
) -> None:
    """Its own inputs, and what the loops around it go over; a process reads these from a file."""
    source = LONG.format(*sizes, arguments)
    rules = found(source, CONTAINERS, tmp_path)
    assert rules == ({"airflow-text-too-long"} if is_too_long else set())
    assert found(source, "", tmp_path) == set()
