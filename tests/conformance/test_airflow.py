"""Every case in a real Airflow, of both versions, does what plain Python does.

The file is the same for both, and what decides in it is Levada's. So 3.x has the first input of
each case, those that fail, and all of cases in which other inputs skip other tasks; but none in
which only expressions are computed, as `test_local` shows. 2.11 has a case for each kind of thing
that its scheduler decides. With `LEVADA_EVERY_INPUT=1` both have all.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conformance import plain
from tests.conformance.case import IN_BUCKET, Case, cases_for_engines
from tests.conformance.engines import airflow as engine
from tests.conformance.trace import differences
from tests.engines.airflow import Airflow, Run

pytestmark = pytest.mark.engine

EVERY = bool(os.environ.get("LEVADA_EVERY_INPUT"))
CASES = cases_for_engines("airflow")
SKIPPING = (
    *("branch", "branch_elif", "branch_in_fan_out", "branch_in_try", "branch_one_sided"),
    *("churn_shape", "conditional_append", "conditions", "cut_off_in_fan_out", "fan_out_empty"),
    *("fan_out_in_branch", "guard_in_guarded_item", "leave_in_handler", "try_in_branch"),
)


#: Cases of expressions: their tasks are as those of others.
COMPUTING = (
    *("accumulators", "best_and_total", "compute_arithmetic", "compute_by_key", "compute_choice"),
    *("compute_dicts", "compute_index", "compute_text", "compute_walrus", "compute_zip"),
    *("constants", "counts_by_key", "deep", "diamond", "dict_built", "dict_items", "fan_out"),
    *("fan_out_over_rows", "fan_out_targets", "filters", "instances_as_dicts", "lookups"),
    *("many_inputs", "members", "named_calls", "order", "part_early", "part_named", "return_dict"),
    *("return_dicts", "reused_names", "running_total", "same_names", "sequence", "slices"),
    *("unpack_arguments", "unpack_columns", "unpack_known", "unpack_rest", "unrolled", "variadic"),
    "wide",
)


def _is_chosen(case: Case) -> bool:
    if case.name in COMPUTING:
        return False
    return case.number == 0 or case.name in SKIPPING or (case.fails and not case.file)


IN_3 = [case for case in CASES if EVERY or (case.id not in IN_BUCKET and _is_chosen(case))]
CHOSEN = (
    *("branch_in_fan_out", "conditional_append", "cut_off_in_fan_out", "failing_condition"),
    *("failure", "fan_out_chain", "fan_out_empty", "fan_out_in_branch", "fan_out_nested"),
    *("finally_fails", "leave_in_handler", "loop_in_order", "named_outputs", "overrides"),
    *("sub_pipeline", "try_except_finally", "try_in_fan_out", "unpacking", "effect_gate"),
    *("effects_of_items", "fail_clauses", "fail_raise", "match_output", "return_by_output"),
)
IN_2 = [
    case for case in CASES if EVERY or (case.name in CHOSEN and (case.number == 0 or case.fails))
]


@pytest.fixture(scope="session")
def runs_3(airflow_3: Airflow, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """All cases at once: Airflow has more to do than to wait."""
    return engine.start_all(airflow_3, IN_3, tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="session")
def runs_2(airflow_2: Airflow, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The same for the chosen ones."""
    return engine.start_all(airflow_2, IN_2, tmp_path_factory.mktemp("compiled"))


def test_the_chosen_ones_are_there() -> None:
    assert {case.name for case in IN_2} >= set(CHOSEN)
    assert {case.name for case in IN_3} >= set(SKIPPING)
    assert {case.name for case in CASES} >= set(COMPUTING)


@pytest.mark.parametrize("case", IN_3, ids=lambda case: case.id)
def test_airflow_3(airflow_3: Airflow, runs_3: dict[str, Run], case: Case, tmp_path: Path) -> None:
    check(airflow_3, runs_3[case.id], case, tmp_path)


@pytest.mark.parametrize("case", IN_2, ids=lambda case: case.id)
def test_airflow_2(airflow_2: Airflow, runs_2: dict[str, Run], case: Case, tmp_path: Path) -> None:
    check(airflow_2, runs_2[case.id], case, tmp_path)


def check(airflow: Airflow, run: Run, case: Case, tmp_path: Path) -> None:
    """Outputs, the steps that ran and on what, and how the run ended."""
    expected = plain.run(case, tmp_path)
    found = engine.trace(airflow, case, run)
    said = differences(expected, found, case)
    assert said == [], "\n".join([*said, run.refresh().describe()])
