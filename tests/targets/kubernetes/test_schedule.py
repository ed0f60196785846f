"""A schedule in Kubernetes' words starts a run when cron would."""

from __future__ import annotations

import pytest
from levada_backends.kubernetes import schedule


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 6 * * *", "0 6 * * *"),
        ("@daily", "@daily"),
        ("0 6 * * 7", "0 6 * * 0"),
        ("0 6 * * 5-7", "0 6 * * 5,6,0"),
        ("0 6 * * fri-7", "0 6 * * 5,6,0"),
        ("0 6 * * 1-7/2", "0 6 * * 1,3,5,0"),
        ("0 6 * * 0-7", "0 6 * * 0,1,2,3,4,5,6"),
        ("0 6 * * sun,7", "0 6 * * sun,0"),
        ("0 6 * * 7/2", "0 6 * * 0"),
        ("*/15 1-5 1,15 JAN Mon-Fri", "*/15 1-5 1,15 JAN Mon-Fri"),
        ("7 7 7 7 6", "7 7 7 7 6"),
    ],
)
def test_text(text: str, expected: str) -> None:
    assert schedule.text(text) == expected
