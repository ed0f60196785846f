"""What `levada explain` says of all diagnostics."""

from __future__ import annotations

import os

import pytest
from levada.settings import SETTINGS
from levada_cli.commands import cli
from levada_compiler import rule_pages


@pytest.mark.parametrize(("rule", "summary"), rule_pages.listing().items(), ids=str)
def test_a_summary_is_a_whole_sentence(rule: str, summary: str) -> None:
    page = rule_pages.find(rule)
    assert page is not None
    assert summary.endswith(".")
    assert summary in " ".join(page.split())
    assert "\n" not in summary


def test_a_sentence_of_several_lines_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain"]) == 0
    (line,) = (
        line
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("kubernetes-server-side ")
    )
    assert line.endswith("in an annotation of it, and annotations hold 256 KiB.")


def test_a_terminal_gets_lines_that_it_has_room_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda *_, **__: os.terminal_size((80, 24)))
    assert cli.run(["explain", "--color", "never"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) > len(rule_pages.listing())


def test_all_settings_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain", "invalid-setting"]) == 0
    shown = capsys.readouterr().out
    assert all(f"- `{name}=" in shown for name in SETTINGS)
    assert "<!--" not in shown
