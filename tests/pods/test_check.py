"""Settings that an API server would refuse, and the pages that say so."""

from __future__ import annotations

import re
from pathlib import Path

import levada_backends.pods.check as check_module
import pytest
from levada_backends.pods.check import SettingsCheck
from levada_compiler.compilation import compile_file

RULES = Path(check_module.__file__).parent / "rules"
IDS = sorted(path.stem for path in RULES.glob("*.md"))


def found(source: str, folder: Path) -> list[str]:
    """The ids of what is said of a module that the compiler takes."""
    module = folder / "nightly.py"
    module.write_text(source)
    compilation = compile_file(module)
    assert compilation.program is not None, compilation.diagnostics
    diagnostics = list(SettingsCheck(taken=["/tmp"]).of(compilation.program))
    assert all(one.help for one in diagnostics)
    return [one.id for one in diagnostics]


def test_every_diagnostic_has_a_page() -> None:
    source = Path(check_module.__file__).read_text()
    assert sorted(set(re.findall(r'"(pod-[a-z-]+)"', source))) == IDS


@pytest.mark.parametrize("rule", IDS)
def test_the_example_gives_it_and_the_way_out_does_not(rule: str, tmp_path: Path) -> None:
    page = (RULES / f"{rule}.md").read_text()
    assert page.startswith(f"# {rule}\n")
    example, instead = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert found(example, tmp_path) == [rule]
    assert found(instead, tmp_path) == []


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("resources=Resources(memory=0.5)", ["pod-quantity"]),
        ('resources=Resources(disk="1.5")', ["pod-quantity"]),
        ('resources=Resources(cpu="1.5", memory="0.5Ki", disk=1e9)', []),
        ('resources=Resources(gpu=1, gpu_type="a100")', ["pod-label"]),
        ('resources=Resources(gpu=1, gpu_type="requests.a/gpu")', ["pod-label"]),
        ('resources=Resources(gpu=1, gpu_type="%s/gpu")' % ("a" * 250), ["pod-label"]),
        ('resources=Resources(gpu_type="nvidia.com/gpu")', ["pod-quantity"]),
        ('node_selector={"a b": "x", "c": "-"}', ["pod-label", "pod-label"]),
        ('secrets=["TOKEN"]', ["pod-secret"]),
        ('secrets={"TOKEN": "a/b/c"}', ["pod-secret"]),
        ('secrets={"1T": "a/b"}', ["pod-variable"]),
        ('secrets={"LEVADA_STORE": "a/b"}', ["pod-variable"]),
        ('environment={"A B": "x"}', ["pod-variable"]),
        ('environment={"A": "$(HOME)"}', []),
        ('volumes=[Volume("a", "/x"), Volume("b", "/x")]', ["pod-volume"]),
        ('volumes=[Volume("a", "/x"), Volume("b", "/x//")]', ["pod-volume"]),
        ('volumes=[Volume("a", "/tmp")]', ["pod-volume"]),
        (
            'volumes=[Volume("A", "/x"), Volume("b", "/y/../z"), Volume("c", "/")]',
            ["pod-volume"] * 3,
        ),
        ('tolerations=[{"key": "a"}, {"operator": "Exists"}]', []),
        ('tolerations=[{"key": "a", "operator": "In"}]', ["pod-toleration"]),
        ('tolerations=[{"value": "a"}]', ["pod-toleration"]),
        ('tolerations=[{"keys": "a"}]', ["pod-toleration"]),
        ('tolerations=[{"key": "a", "tolerationSeconds": 5}]', ["pod-toleration"]),
        ('tolerations=[{"key": "a", "effect": "NoExecute", "tolerationSeconds": 5}]', []),
        (
            'tolerations=[{"key": "a", "effect": "NoExecute", "tolerationSeconds": 2**63}]',
            ["pod-toleration"],
        ),
        ('tolerations=[{"key": "a", "effect": "Never"}]', ["pod-toleration"]),
    ],
)
def test_setting(setting: str, expected: list[str], tmp_path: Path) -> None:
    source = f"""\
from levada import Resources, Volume, pipeline, step


@step({setting})
def work(size: int) -> int:
    return size


@pipeline
def nightly(size: int = 1):
    work(size)
"""
    assert found(source, tmp_path) == expected
