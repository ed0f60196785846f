"""Every target says of every setting what becomes of it: none is dropped in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from levada.declarations import SETTINGS
from levada_compiler import targets
from levada_compiler.compilation import compile_file
from levada_compiler.diagnostics.diagnostic import Severity

OWN = sorted(name for name in targets.available() if targets.is_own(targets.load(name)))
UNCOMMON = ("produces", "consumes", "on_failure", "triggered_by", "sla", "on_sla_miss")
MODULE = """
from levada import pipeline, step

@step(produces=["s3://b/m"], consumes=["s3://b/r"], on_failure="alerts:tell", sla="1h")
def work(size: int) -> int:
    return size

@pipeline(triggered_by=["s3://b/r"], on_sla_miss="alerts:late", sla="2h")
def nightly(size: int = 1):
    work(size)
"""


@pytest.mark.parametrize("name", OWN)
def test_every_setting_is_listed(name: str) -> None:
    listed = {item.name for item in targets.load(name).capabilities.settings}
    assert listed == {setting for kind in SETTINGS.values() for setting in kind}


@pytest.mark.parametrize("name", [name for name in OWN if name != "ir"])
def test_what_is_not_supported_is_said(name: str, tmp_path: Path) -> None:
    module = tmp_path / "nightly.py"
    module.write_text(MODULE)
    program = compile_file(module).program
    assert program is not None
    target = targets.load(name)
    found = target.check(program, {"compiler": "0.1.0"})
    said = {one.message for one in found if one.severity is Severity.WARNING}
    for item in target.capabilities.settings:
        if item.name in UNCOMMON:
            assert item.supported != any(f"`{item.name}`" in message for message in said), said
