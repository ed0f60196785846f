"""Cases with their store in a bucket do what plain Python does, on the local engine.

What a step computes is `test_local`'s; here it is a case for each kind of thing that passes through
the store. With `LEVADA_EVERY_INPUT=1` all cases, and on every server.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conformance import plain
from tests.conformance.case import Case, all_cases
from tests.conformance.engines import local
from tests.conformance.trace import differences
from tests.engines.object_stores.servers import Bucket

pytestmark = pytest.mark.engine
EVERY = bool(os.environ.get("LEVADA_EVERY_INPUT"))
CHOSEN = (
    *("branch_in_fan_out-0", "churn_shape-0", "compute_dicts-0", "dict_of_outputs-0"),
    *("effects_of_items-0", "fail_raise-0", "failing_condition-0", "fan_out_nested-0"),
    *("finally_fails-0", "frames-0", "loop_in_order-0", "named_outputs-0", "part_named-0"),
    *("return_by_output-0", "sub_pipeline-0", "try_except_finally-0", "values-0", "variadic-0"),
)
CASES = [case for case in all_cases() if EVERY or case.id in CHOSEN]


def test_the_chosen_ones_are_there() -> None:
    assert {case.id for case in CASES} >= set(CHOSEN)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_s3(case: Case, s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs, the steps that ran and on what, and how the run ended."""
    monkeypatch.setenv("LEVADA_BLOB_CACHE", str(tmp_path / "blob-cache"))
    expected = plain.run(case, tmp_path)
    found = local.run(case, tmp_path, f"{s3.url}/{case.id}")
    assert differences(expected, found, case) == []


@pytest.mark.parametrize("case", CASES if EVERY else CASES[:2], ids=lambda case: case.id)
def test_other_clouds(
    case: Case, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same on Google Cloud, Azure and another S3."""
    monkeypatch.setenv("LEVADA_BLOB_CACHE", str(tmp_path / "blob-cache"))
    expected = plain.run(case, tmp_path)
    found = local.run(case, tmp_path, f"{bucket.url}/{case.id}")
    assert differences(expected, found, case) == []
