"""Functions that `on_failure` and `on_sla_miss` name have to be there."""

from __future__ import annotations

from pathlib import Path

import pytest
from levada_compiler.compilation import compile_file

FLOW = """
from levada import pipeline, step

@step
def work() -> int:
    return 1

@pipeline({settings})
def flow():
    return work()
"""


def found(folder: Path, settings: str) -> list[tuple[str, str, str, str]]:
    (folder / "pyproject.toml").touch()
    (folder / "notifications.py").write_text("from os import path as where\n\ndef page(c): ...\n")
    (folder / "dynamic.py").write_text("def __getattr__(name): ...\n")
    (folder / "team").mkdir(exist_ok=True)
    (folder / "team" / "__init__.py").touch()
    (folder / "team" / "alerts.py").write_text("if True:\n    tell = print\n")
    (folder / "flow.py").write_text(FLOW.format(settings=settings))
    diagnostics = compile_file(str(folder / "flow.py")).diagnostics
    return [(d.id, d.severity.value, d.message, d.help) for d in diagnostics]


@pytest.mark.parametrize(
    "reference",
    [
        *("notifications:page", "notifications:where", "team.alerts:tell", "dynamic:anything"),
        *("flow:work", "logging:error", "json.decoder:scanner"),
    ],
)
def test_what_is_there(tmp_path: Path, reference: str) -> None:
    assert found(tmp_path, f'on_failure="{reference}"') == []


@pytest.mark.parametrize(
    ("settings", "severity", "message", "way_out"),
    [
        ('on_failure="notifications:pgae"', "error", "does not define", "did you mean `page`?"),
        ('on_failure="notifications:zzzz"', "error", "does not define", "def zzzz(context):"),
        (
            'on_failure="notifcations:page"',
            "error",
            "neither here nor installed",
            "did you mean `notifications`?",
        ),
        ('on_failure="notices:page"', "warning", "neither here nor installed", "levada run"),
        ('on_failure="nowhere:page"', "warning", "neither here nor installed", "levada run"),
        ('sla="1h", on_sla_miss="team.alerts:late"', "error", "`on_sla_miss` names `late`", ""),
    ],
)
def test_what_is_not_there(
    tmp_path: Path, settings: str, severity: str, message: str, way_out: str
) -> None:
    ((rule, how, text, help_text),) = found(tmp_path, settings)
    assert (rule, how) == ("unknown-callback", severity)
    assert message in text
    assert way_out in help_text
