"""Every object that is written, and every Job that a driver makes of it, is one of Kubernetes."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
from levada.driver import jobs
from levada_backends.kubernetes.manifests import Manifests
from levada_backends.kubernetes.options import Options
from levada_backends.pods import quantity
from levada_compiler.compilation import compile_file

from tests.cluster.cluster import ApiServer
from tests.conformance.case import all_cases
from tests.pods.test_quantity import CASES as QUANTITIES

from .emission import CASES, objects

VERSION = "1.36"
OWNER = {"metadata": {"name": "run-1", "uid": "0f1e2d3c-0000-4000-8000-000000000000"}}


@cache
def step_jobs() -> tuple[dict[str, Any], ...]:
    """The Job of every node of every conformance case, and of the cases here."""
    found = []
    for module, pipeline in sorted({(c.module, c.pipeline) for c in all_cases() if not c.file}):
        program = compile_file(module, pipeline).program
        assert program is not None
        options = Options({"image": "example/steps:1"})
        found += rendered(Manifests(program, options, "0").data)
    for case in CASES:
        (plan,) = (each for each in objects(case) if each["kind"] == "ConfigMap")
        found += rendered(plan["data"])
    return tuple(found)


def rendered(data: dict[str, str]) -> list[dict[str, Any]]:
    driver = json.loads(data["driver.json"])
    found = []
    for node, number in driver["jobs"].items():
        template, keys = driver["templates"][number], [(node, (3, place), 2) for place in (14, 15)]
        found.append(jobs.manifest(template, OWNER, keys[0], "runs/x/request.json"))
        found.append(jobs.indexed(template, OWNER, f"{found[-1]['metadata']['name']}-x", keys, "x"))
    return found


@pytest.mark.parametrize("case", CASES)
def test_the_schemas_take_the_objects(case: str) -> None:
    for each in objects(case):
        kubernetes_validate.validate(each, VERSION, strict=True)


def test_the_schemas_take_the_jobs_of_steps() -> None:
    for job in step_jobs():
        kubernetes_validate.validate(job, VERSION, strict=True)


@pytest.mark.engine
@pytest.mark.parametrize("case", CASES)
def test_an_api_server_takes_the_objects(case: str, api_server: ApiServer) -> None:
    namespace = CASES[case].get("namespace", "default")
    assert isinstance(namespace, str)
    _make_namespace(api_server, namespace)
    said = dry_run(api_server, objects(case), namespace)
    assert len(said) == len(objects(case))


@pytest.mark.engine
def test_an_api_server_takes_the_jobs_of_steps(api_server: ApiServer) -> None:
    said = dry_run(api_server, list(step_jobs()), "default")
    assert len(said) == len(step_jobs())


@pytest.mark.engine
def test_an_api_server_reads_quantities_as_we_do(api_server: ApiServer) -> None:
    """And what we write it gives back as it is."""
    known = [quantity.parse(text).in_thousandths() for text, value, _ in QUANTITIES if value >= 0]
    texts = [text for text, value, _ in QUANTITIES if value >= 0] + [str(each) for each in known]
    given = [_quota(number, text) for number, text in enumerate(texts)]
    said = [one["spec"]["hard"]["requests.cpu"] for one in dry_run(api_server, given, "default")]
    wanted = [str(each) for each in known]
    assert said[len(known) :] == wanted
    assert [str(quantity.parse(text)) for text in said[: len(known)]] == wanted


@pytest.mark.engine
@pytest.mark.parametrize("text", [" 1 Gi", "4gb", "1K", "1ki", "1e", "0x10", "1_000"])
def test_an_api_server_refuses_what_we_do(text: str, api_server: ApiServer) -> None:
    done = create(api_server, [_quota(0, text)], "default", check=False)
    assert done.returncode != 0


def _quota(number: int, text: str) -> dict[str, Any]:
    """An object with a quantity that may be any amount."""
    metadata = {"name": f"quantity-{number}"}
    spec = {"hard": {"requests.cpu": text}}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec}


def _make_namespace(server: ApiServer, name: str) -> None:
    server.kubectl("create", "namespace", name, check=False)


def dry_run(server: ApiServer, given: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    """What a server would keep; it refuses the one that is wrong."""
    text, found, at = create(server, given, namespace).stdout, [], 0
    while at < len(text):
        one, at = json.JSONDecoder().raw_decode(text, at)
        found.append(one)
        at += len(text[at:]) - len(text[at:].lstrip())
    return found


def create(
    server: ApiServer, given: list[dict[str, Any]], namespace: str, *, check: bool = True
) -> Any:
    """What `kubectl` says of a dry run of these."""
    content = json.dumps({"apiVersion": "v1", "kind": "List", "items": given})
    command = ("create", "--dry-run=server", "--filename=-", "--output=json")
    return server.kubectl(f"--namespace={namespace}", *command, stdin=content, check=check)
