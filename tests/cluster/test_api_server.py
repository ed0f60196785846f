"""The API server alone: it says what a real one says, and it can go away and come back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from . import programs
from .cluster import ApiServer

pytestmark = pytest.mark.engine


def job(**spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "none"}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "one", "namespace": "default"},
        "spec": {"template": {"spec": pod}, **spec},
    }


def refusal(server: ApiServer, manifest: dict[str, Any]) -> str:
    """What it says against a manifest; nothing if it would take it."""
    done = server.kubectl(
        *("create", "--dry-run=server", "--filename=-"), stdin=json.dumps(manifest), check=False
    )
    return done.stderr


def test_it_is_the_version_that_was_asked_for(api_server: ApiServer) -> None:
    said = json.loads(api_server.kubectl("version", "--output=json").stdout)
    assert said["serverVersion"]["gitVersion"] == f"v{programs.version()}"
    assert said["clientVersion"]["gitVersion"] == f"v{programs.version()}"


def test_it_refuses_what_no_schema_does(api_server: ApiServer) -> None:
    """A rule across fields: a limit per index needs indexes."""
    assert refusal(api_server, job()) == ""
    said = refusal(api_server, job(backoffLimitPerIndex=1))
    assert "requires indexed completion mode" in said
    assert api_server.get("jobs")["items"] == []


def test_it_goes_away_and_comes_back(api_server: ApiServer) -> None:
    with api_server.away():
        gone = api_server.kubectl("get", "--raw=/readyz", check=False)
        assert "refused" in gone.stderr
    assert api_server.is_ready()


def test_it_stops_answering_for_a_while(api_server: ApiServer) -> None:
    with api_server.freeze():
        silent = api_server.kubectl("get", "--raw=/readyz", "--request-timeout=1s", check=False)
        assert silent.returncode != 0
    assert api_server.is_ready()
