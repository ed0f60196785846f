"""What the driver makes of an API server's refusals."""

from __future__ import annotations

import pytest
from levada.driver.api import ApiError

ROLE = (
    'jobs.batch is forbidden: User "system:serviceaccount:a:b" cannot create resource "jobs" in'
    ' API group "batch" in the namespace "a"'
)
QUOTA = 'pods "x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1'
POLICY = "jobs.batch \"x\" is forbidden: ValidatingAdmissionPolicy 'own' denied request: no"


@pytest.mark.parametrize(
    ("status", "message", "is_passing"),
    [
        (0, "connection refused", True),
        (429, "too many requests", True),
        (503, "the server is starting", True),
        (403, QUOTA, True),
        (403, ROLE, True),  # a server that starts knows no roles yet
        (403, POLICY, False),
        (422, "invalid", False),
        (404, "not found", False),
    ],
)
def test_whether_it_is_worth_trying_again(status: int, message: str, is_passing: bool) -> None:
    assert ApiError(status, "", message).is_passing == is_passing
