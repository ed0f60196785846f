"""From a script to a pipeline: the tutorial is true."""

from __future__ import annotations

from pathlib import Path

from tests.docs.pages import follow, page


def test_each_file_and_command_does_what_is_shown(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    assert follow(page("from-a-script.md"), tmp_path) > 8
