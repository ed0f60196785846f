"""Schedules as KFP's API server reads them."""

from __future__ import annotations

import pytest
from levada_backends.kubeflow.schedule import same_zone, with_seconds


@pytest.mark.parametrize(
    ("schedule", "kfp"),
    [
        ("30 6 * * *", "0 30 6 * * *"),
        ("*/5  0 1,15 jan-mar mon-fri", "0 */5 0 1,15 jan-mar mon-fri"),
        ("@daily", "@daily"),
        ("0 0 * * 7", "0 0 0 * * 0"),
        ("0 0 * * 1,5-7", "0 0 0 * * 1,0,5,6"),
        ("0 0 * * sat-7", "0 0 0 * * 0,6"),
        ("0 0 * * 1-7/2", "0 0 0 * * 0,1,3,5"),
        ("0 0 7 7 */2", "0 0 0 7 7 */2"),
    ],
)
def test_it_has_seconds_and_no_seventh_day(schedule: str, kfp: str) -> None:
    assert with_seconds(schedule) == kfp


def test_utc_has_several_names() -> None:
    assert all(same_zone(zone, "UTC") for zone in ("Etc/UTC", "Zulu", "Etc/UCT", "Universal"))
    assert not any(same_zone(zone, "UTC") for zone in ("GMT", "Etc/GMT+1", "Europe/Lisbon"))
