"""What a pipeline module becomes, and that it is what it looks like."""

from __future__ import annotations

import json

import pytest
import yaml

from .emission import CASES, GOLDENS, emit, golden


@pytest.mark.parametrize("case", CASES)
def test_a_case_gives_its_golden(case: str) -> None:
    assert emit(case) == golden(case)


def test_there_is_no_golden_without_a_case() -> None:
    made = {path.split("/")[0] for case in CASES for path in emit(case)}
    assert sorted(path.name for path in GOLDENS.iterdir()) == sorted(made)


@pytest.mark.parametrize("case", CASES)
def test_the_kustomization_names_all_other_files(case: str) -> None:
    files = emit(case)
    (kustomization,) = (path for path in files if path.endswith("kustomization.yaml"))
    named = yaml.safe_load(files[kustomization])["resources"]
    folder = kustomization.split("/")[0]
    assert {f"{folder}/{name}" for name in named} == files.keys() - {kustomization}


def test_another_plan_has_another_name() -> None:
    """A ConfigMap that may not change: what the CronJob names is what it was compiled with."""
    for case in CASES:
        files = emit(case)
        (plan,) = (text for path, text in files.items() if path.endswith("plan.yaml"))
        (cron,) = (text for path, text in files.items() if path.endswith("cronjob.yaml"))
        document = yaml.safe_load(plan)
        assert document["immutable"] is True
        assert f"name: {document['metadata']['name']}\n" in cron
        assert json.loads(document["data"]["plan.json"])["schema"] == "levada.plan/2"
