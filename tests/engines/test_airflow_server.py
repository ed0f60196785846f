"""Files are put into a running Airflow, and what is wrong with them is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .airflow import ImportFailedError

if TYPE_CHECKING:
    from .airflow import Airflow

pytestmark = pytest.mark.engine

GOOD = """
from airflow.providers.standard.operators.bash import BashOperator
try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG

with DAG("repaired", schedule=None):
    BashOperator(task_id="hello", bash_command="echo WORD")
"""


def test_a_file_can_be_broken_repaired_and_changed(airflow: Airflow) -> None:
    with pytest.raises(ImportFailedError, match=r"repaired\.py:\n(?s:.*)SyntaxError"):
        airflow.deploy({"repaired.py": GOOD + "("})
    assert "repaired.py" in airflow.import_errors()

    for word in ("first", "second"):
        airflow.deploy({"repaired.py": GOOD.replace("WORD", word)})
        run = airflow.run("repaired", timeout=300)
        assert (run.state, run.xcom("hello")) == ("success", word), run.describe()
        assert word in run.log("hello")
    assert "repaired.py" not in airflow.import_errors()
