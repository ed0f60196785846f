"""From nothing to a nightly run: the tutorial is true; where there is an Airflow, to its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import follow, page
from tests.engines.airflow_settings import PASSWORD, USERNAME

if TYPE_CHECKING:
    from tests.engines.airflow import Airflow

GIT = {f"GIT_{who}_{what}": "Ann" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
HERE, AIRFLOW = page("tutorial.md").split("## 8. Every night, in Airflow")


def test_each_file_and_command_does_what_is_shown(tmp_path: Path) -> None:
    assert follow(HERE, tmp_path, GIT) > 15


@pytest.mark.engine
def test_it_runs_in_airflow(airflow_3: Airflow, tmp_path: Path) -> None:
    prepared = HERE.partition("## 4. Run it")[0] + HERE.partition("## 7. ")[2]
    words = {
        "http://localhost:8080": airflow_3.api.url,
        '"admin"': f'"{USERNAME}"',
        "~/airflow/dags": str(airflow_3.dags_folder),
    }
    told = AIRFLOW
    for word, value in words.items():
        assert word in told
        told = told.replace(word, value)
    variables = {**GIT, "AIRFLOW_PASSWORD": PASSWORD, "LEVADA_STORE": str(airflow_3.store)}
    try:
        follow(prepared, tmp_path, variables)
        assert follow(told, tmp_path, variables) == 4
    finally:
        (airflow_3.dags_folder / "nightly.py").unlink(missing_ok=True)
