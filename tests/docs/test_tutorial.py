"""From nothing to a nightly run: the tutorial is true, up to what needs an Airflow."""

from __future__ import annotations

from pathlib import Path

from tests.docs.pages import follow, page

AIRFLOW = "## 8. Every night, in Airflow"
USER = {f"GIT_{who}_{what}": "Ann" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def test_each_file_and_command_does_what_is_shown(tmp_path: Path) -> None:
    assert follow(page("tutorial.md").partition(AIRFLOW)[0], tmp_path, USER) > 15
