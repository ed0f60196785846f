"""Each diagnostic of the target has a page with an example that gives it, and a way out."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import levada_backends.kubeflow.check as check_module
import pytest
from levada_backends.kubeflow import TARGET
from levada_compiler.compilation import compile_file
from levada_compiler.target_checks import check

RULES = Path(check_module.__file__).parent / "rules"
IDS = sorted(path.stem for path in RULES.glob("*.md"))
#: A module, and options of the target after it.
PARTS = re.compile(r"```python\n(.*?)```\n(?:\n```toml\n(.*?)```\n)?", re.DOTALL)


def test_every_diagnostic_has_a_page() -> None:
    source = Path(check_module.__file__).read_text()
    assert sorted(set(re.findall(r'"(kubeflow-[a-z-]+)"', source))) == IDS


@pytest.mark.parametrize("rule", IDS)
def test_the_example_gives_it_and_the_way_out_does_not(rule: str, tmp_path: Path) -> None:
    page = (RULES / f"{rule}.md").read_text()
    assert page.startswith(f"# {rule}\n")
    (example, its_options), (instead, options) = PARTS.findall(page)
    without_image = OPTIONS if rule != "kubeflow-image" else {"compiler": "0.1.0"}
    assert found(example, without_image | table(its_options), tmp_path) == {rule}
    assert found(instead, without_image | table(options), tmp_path) == set()


def table(settings: str) -> dict[str, object]:
    text = settings or "[tool.levada.targets.kubeflow]"
    return tomllib.loads(text)["tool"]["levada"]["targets"]["kubeflow"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image": "  "}, "is no image"),
        ({"image": "example.com/Team/x:1"}, "in lower case"),
        ({"image": "[::1]:5000/team/x_y.z:1@sha256:0a"}, ""),
        ({"image_pull_secrets": ["one", 2]}, "must be a string"),
        ({"store_claim": "a.b"}, "cannot mount"),
        ({"store": "relative"}, "an absolute path"),
        ({"store": "/data"}, "name the `store_claim`"),
        ({"store": "s3://bucket", "store_claim": "claim"}, "is the URL"),
        ({"store": "file:///data"}, "each pod has its own"),
        ({"collected": "no"}, "true or false"),
        ({"labels": ["team"]}, "a table of strings"),
        ({"labels": {"team": "a b"}}, "the label `team`"),
        ({"labels": {"pipeline/runid": "1"}}, "say of a pod themselves"),
        ({"annotations": {"x": "{{workflow.name}}"}}, "would replace"),
        ({"annotations": {"x": "y" * 2**18}}, "262,145 bytes"),
        ({"annotations": {"a.b/x": "$ 1, {a}"}, "labels": {"team": "ml"}}, ""),
        ({"service_account": "A"}, "no name in Kubernetes"),
        ({"artifacts": {"work.other": "HTML"}}, "does not give"),
        ({"artifacts": {"work": "HTML"}}, "write `step.output`"),
        ({"artifacts": {"work.output": "HTML", "elsewhere.x": "HTML"}}, ""),
    ],
)
def test_an_option(options: dict[str, object], said: str, tmp_path: Path) -> None:
    module = tmp_path / "nightly.py"
    page = (RULES / "kubeflow-image.md").read_text()
    module.write_text(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0])
    program = compile_file(module).program
    assert program is not None
    diagnostics = check(TARGET, program, OPTIONS | options)
    rules = {one.id for one in diagnostics}
    assert rules <= {"invalid-option", "kubeflow-artifact"}
    assert len(diagnostics) == bool(said)
    assert said in "".join(one.message for one in diagnostics)


def test_what_is_wrong_with_a_container_is_wrong_with_a_call_of_its_step(tmp_path: Path) -> None:
    page = (RULES / "kubeflow-image.md").read_text()
    source, _ = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    module = tmp_path / "nightly.py"
    long = "environment={'A': 'x' * 130000, 'B': 'y' * 20000}"
    module.write_text(source.replace("@step", f"@step({long})", 1))
    program = compile_file(module).program
    assert program is not None
    (one,) = check(TARGET, program, OPTIONS)
    assert one.id == "kubeflow-refused"
    assert "the executor `exec-work` is longer than 128 KiB" in one.message
    assert one.span == program.body[0].span


def test_a_longest_delay_has_no_effect(tmp_path: Path) -> None:
    """KFP has only a longest time of all attempts together."""
    page = (RULES / "kubeflow-unused-setting.md").read_text()
    _, instead = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    longest = instead.replace("resources=Resources(cpu=2)", "retry=Retry(3, max_delay=60)")
    source = longest.replace("Resources,", "Retry,")
    assert found(source, OPTIONS, tmp_path) == {"kubeflow-unused-setting"}


def found(source: str, options: dict[str, object], folder: Path) -> set[str]:
    """The ids of what the target says of a module that the compiler takes."""
    module = folder / "nightly.py"
    module.write_text(source)
    compilation = compile_file(module)
    assert compilation.program is not None, compilation.diagnostics
    diagnostics = check(TARGET, compilation.program, options)
    assert all(one.help for one in diagnostics)
    return {one.id for one in diagnostics}


OPTIONS = {"compiler": "0.1.0", "image": "registry.example.com/steps:1"}

SCHEDULED = """\
from levada import pipeline, step


@step
def work(size: int) -> int:
    return size


@pipeline(schedule="0 6 * * *"{zone})
def nightly(size: int = 1):
    work(size)
"""
LISBON = ', timezone="Europe/Lisbon"'


@pytest.mark.parametrize(
    ("zone", "servers", "said"),
    [
        (LISBON, "Europe/Lisbon", set()),
        (LISBON, "Europe/Paris", {"kubeflow-timezone"}),
        ("", "Europe/Lisbon", {"kubeflow-timezone"}),
        ("", "Etc/UTC", set()),
        ("", "Lisbon", {"invalid-option"}),
    ],
)
def test_a_schedule_is_in_the_time_zone_of_the_server(
    zone: str, servers: str, said: set[str], tmp_path: Path
) -> None:
    module = tmp_path / "nightly.py"
    module.write_text(SCHEDULED.replace("{zone}", zone))
    program = compile_file(module).program
    assert program is not None
    found = check(TARGET, program, OPTIONS | {"schedule_timezone": servers})
    assert {one.id for one in found} == said
    assert all("schedule_timezone" in f"{one.message} {one.help}" for one in found)
