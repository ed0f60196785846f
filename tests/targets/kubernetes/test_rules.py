"""Each diagnostic of the target has a page with an example that gives it, and a way out."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import levada_backends.kubernetes.check as check_module
import pytest
from levada_backends.kubernetes import TARGET
from levada_backends.kubernetes.manifests import Manifests
from levada_backends.kubernetes.options import Options
from levada_compiler.compilation import compile_file
from levada_compiler.target_checks import check

RULES = Path(check_module.__file__).parent / "rules"
IDS = sorted(path.stem for path in RULES.glob("*.md"))
PLAIN = """\
from levada import pipeline, step


@step(image="example/steps:1")
def work(size: int) -> int:
    return size


@pipeline
def nightly(size: int = 1):
    work(size)
"""


def test_every_diagnostic_has_a_page() -> None:
    source = Path(check_module.__file__).read_text()
    assert sorted(set(re.findall(r'"(kubernetes-[a-z-]+)"', source))) == IDS


@pytest.mark.parametrize("rule", IDS)
def test_the_example_gives_it_and_the_way_out_does_not(rule: str, tmp_path: Path) -> None:
    page = (RULES / f"{rule}.md").read_text()
    assert page.startswith(f"# {rule}\n")
    example, instead = re.findall(r"```(python|toml)\n(.*?)```", page, re.DOTALL)
    assert found(*example, tmp_path) == {rule}
    assert found(*instead, tmp_path) == set()


def found(kind: str, text: str, folder: Path) -> set[str]:
    """The ids of what the target says of a module that the compiler takes, or of options."""
    if kind == "python":
        return ids(text, {}, folder)
    return ids(PLAIN, tomllib.loads(text)["tool"]["levada"]["targets"]["kubernetes"], folder)


def ids(source: str, options: dict[str, object], folder: Path) -> set[str]:
    module = folder / "nightly.py"
    module.write_text(source)
    compilation = compile_file(module)
    assert compilation.program is not None, compilation.diagnostics
    diagnostics = check(TARGET, compilation.program, {**options, "compiler": "0.1.0"})
    assert all(one.help for one in diagnostics)
    return {one.id for one in diagnostics}


@pytest.mark.parametrize(
    "options",
    [
        {"namespace": "a.b"},
        {"namespace": 1},
        {"image": "UPPER"},
        {"image": "a/UPPER:1"},
        {"driver_image": "a b"},
        {"store": "relative"},
        {"store": "/path"},
        {"store": "s3://bucket", "store_claim": "claim"},
        {"store": "file:///srv/levada"},
        {"store": "/tmp/", "store_claim": "claim"},
        {"store": "/etc/levada", "store_claim": "claim"},
        {"store_claim": "Claim"},
        {"user": True},
        {"user": 0},
        {"user": 2**31},
        {"image_pull_secrets": "one"},
        {"image_pull_secrets": ["One"]},
        {"priority_classes": {"high": "x"}},
        {"priority_classes": {"1": "X"}},
        {"queue": "a/b"},
        {"stuck_after": "soon"},
        {"timeout": 0},
        {"keep": "100000d"},
        {"history": 0},
        {"max_parallel": 1.5},
        {"network_policy": "yes"},
    ],
)
def test_an_option_that_cannot_be(options: dict[str, object], tmp_path: Path) -> None:
    assert ids(PLAIN, options, tmp_path) == {"invalid-option"}


DECIDING = """\
import numpy
from levada import pipeline, step


@step(image="example/plain:1")
def first(size: int) -> int:
    return size


@step(image="example/arrays:1")
def score(size: int) -> {returned}:
    return size / 2


@pipeline
def nightly(size: int = 1):
    score_of_it = score(first(size))
    if score_of_it > 0.5:
        first(size)
"""


@pytest.mark.parametrize(
    ("returned", "image"), [("numpy.float64", "example/arrays:1"), ("float", "example/plain:1")]
)
def test_the_driver_can_load_what_it_decides_on(returned: str, image: str, tmp_path: Path) -> None:
    (tmp_path / "nightly.py").write_text(DECIDING.format(returned=returned))
    program = compile_file(tmp_path / "nightly.py").program
    assert program is not None
    assert Manifests(program, Options(), "0").driver_image() == image


def test_a_description_that_no_annotation_holds(tmp_path: Path) -> None:
    long = PLAIN.replace("    work(size)", f'    """{"long " * 20000}"""\n    work(size)')
    assert ids(long, {}, tmp_path) == {"kubernetes-plan-too-large"}


@pytest.mark.parametrize(
    "options",
    [
        {"store": "s3://bucket/levada"},
        {"store": "/path", "store_claim": "claim"},
        {"user": False},
        {"timeout": "2h", "keep": 60, "stuck_after": 1.5},
        {"priority_classes": {"-1": "low"}},
        {"image": "host:5000/a/b_c:tag.1@sha256:" + "0" * 64},
    ],
)
def test_an_option_that_can(options: dict[str, object], tmp_path: Path) -> None:
    assert ids(PLAIN, options, tmp_path) == set()
