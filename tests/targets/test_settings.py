"""Every target answers for every setting and construct: what it cannot do is said, never dropped.

A setting is written as its definition shows it, so the examples are tried too.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from levada.settings import PIPELINE, SETTINGS, STEP
from levada_compiler import targets
from levada_compiler.compilation import compile_file
from levada_compiler.program.constructs import CONSTRUCTS
from levada_compiler.program.ir import Program
from levada_compiler.target_checks import check

OWN = sorted(name for name in targets.available() if targets.is_own(targets.load(name)))
MODULE = """
from levada import Resources, Retry, Volume, pipeline, step

@step{of_step}
def work(size: int) -> int:
    return size

@pipeline{of_pipeline}
def nightly(size: int = 1):
    work{of_call}(size)
"""


def compiled(folder: Path, name: str, holder: str) -> Program:
    written = f"{name}={SETTINGS[name].example}"
    places = {"of_step": "", "of_pipeline": "", "of_call": ""}
    places[f"of_{holder}"] = f".options({written})" if holder == "call" else f"({written})"
    module = folder / "nightly.py"
    module.write_text(MODULE.format(**places))
    compilation = compile_file(str(module))
    assert compilation.program is not None, compilation.diagnostics
    return compilation.program


@pytest.mark.parametrize("name", OWN)
def test_every_setting_and_construct_is_answered(name: str) -> None:
    capabilities = targets.load(name).capabilities
    for_targets = {key for key, setting in SETTINGS.items() if setting.for_targets}
    assert {item.name for item in capabilities.settings} == for_targets
    assert {item.name for item in capabilities.constructs} == set(CONSTRUCTS)
    assert all(item.note for item in (*capabilities.settings, *capabilities.constructs))


@pytest.mark.parametrize("holder", [STEP, PIPELINE, "call"])
@pytest.mark.parametrize("name", [name for name in OWN if name != "ir"])
def test_a_setting_that_is_ignored_is_a_warning(name: str, holder: str, tmp_path: Path) -> None:
    target = targets.load(name)
    for item in target.capabilities.settings:
        setting = SETTINGS[item.name]
        if holder not in setting.on or not setting.for_targets:
            continue
        found = check(target, compiled(tmp_path, item.name, holder), {"compiler": "0.1.0"})
        said = [one.message for one in found if one.id == "ignored-setting"]
        expected = f"`{item.name}` has no effect on the target `{name}`"
        assert said == [expected] * item.ignored


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_is_left_out_says_nothing(name: str) -> None:
    setting = SETTINGS[name]
    assert not setting.says_something(setting.default)
