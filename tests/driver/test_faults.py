"""What happens to runs in a real cluster, and that each ends as it should."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, Namespace

from .deployment import ClusterRun, Deployment, manifests

pytestmark = pytest.mark.engine
CASES = Path(__file__).parent / "cases"


#: Runs that need nothing done to them: pipeline, parameters, options.
TEXT = "$(HOME) $(LEVADA_STORE) $$ ${x} {{ ds }} '\"\\ \N{BALLOON} $é"
RUNS: dict[str, tuple[str, dict[str, Any] | None, dict[str, Any]]] = {
    "well": ("chain", {"folder": "well"}, {}),
    "late": ("waiting", {"folder": "late"}, {"timeout": 20}),
    "endless": ("endless", {"folder": "endless"}, {"timeout": 30, "finally_timeout": 30}),
    "eating": ("eating", {"folder": "eating"}, {}),
    "missing-image": ("missing_image", None, {}),
    "missing-node": ("missing_node", None, {}),
    "missing-secret": ("missing_secret", None, {}),
    "missing-volume": ("missing_volume", None, {}),
    "slow": ("timed_out", {"folder": "slow"}, {}),
    "exiting": ("exiting", {"folder": "exiting"}, {}),
    "literally": ("literally", {"text": TEXT}, {}),
    "nowhere": ("waiting", {"folder": "nowhere"}, {"store": "s3://x/y", "store_claim": None}),
    "wrong": ("chain", {"folder": 5}, {}),
}


@pytest.fixture(scope="module")
def runs(space: Namespace, image: str) -> dict[str, ClusterRun]:
    """All of these, started together."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "api"}}
    space.apply(secret | {"stringData": {"token": "very secret"}})
    started = {}
    for name, (pipeline, parameters, own) in RUNS.items():
        options = {"stuck_after": 3, "unschedulable_after": 3, **own}
        made = manifests(CASES / "faults.py", pipeline, image, **options)
        started[name] = Deployment.apply(space, made).submit(name, parameters)
    return started


@pytest.fixture
def deploy(space: Namespace, image: str) -> Any:
    def deploy(pipeline: str, **options: Any) -> Deployment:
        given = {"stuck_after": 3, "unschedulable_after": 3, **options}
        made = manifests(CASES / "faults.py", pipeline, image, **given)
        return Deployment.apply(space, made)

    return deploy


def trace(run: ClusterRun, folder: str) -> Counter[str]:
    """What the steps did, and how often."""
    path = run.space.store / f"trace-{folder}"
    return Counter(path.read_text().splitlines() if path.exists() else ())


def error(run: ClusterRun) -> dict[str, Any]:
    found: dict[str, Any] = run.outcome()["error"]
    return found


def test_all_goes_well(runs: dict[str, ClusterRun]) -> None:
    """Retries have their own Jobs, and nothing runs twice."""
    run = runs["well"]
    assert run.wait() == "succeeded"
    doubled = {f"doubled {number}": 1 for number in range(4)}
    assert trace(run, "well") == Counter({"listed": 1, **doubled, "total": 2, "closed": 1})
    attempts = [path for path in run.records() if path.startswith("doubled/[1]")]
    assert attempts == ["doubled/[1]/1", "doubled/[1]/2"]
    assert run.progress()["status"] == "succeeded"
    assert len(run.jobs()) == len(run.records())


def test_a_second_run_of_that_name_is_another(deploy: Any, space: Namespace) -> None:
    """A deleted Job takes all of its run with it; the records stay."""
    deployment = deploy("chain")
    first = deployment.submit("again", {"folder": "again1", "count": 1})
    assert first.wait() == "succeeded"
    space.kubectl("delete", "job", "again")
    first.until(lambda: first.jobs() == [] and first.pods() == [])
    second = deployment.submit("again", {"folder": "again2", "count": 1})
    assert second.wait() == "succeeded"
    assert first.folder.is_dir()
    assert first.folder != second.folder


def test_it_is_cancelled(deploy: Any, space: Namespace) -> None:
    """What runs is ended, the exit handler runs, and the run says that it was cancelled."""
    run = deploy("waiting").submit("cancelled", {"folder": "cancelled"})
    run.until(lambda: trace(run, "cancelled")["waits"])
    space.kubectl("annotate", "job", "cancelled", "levada.dev/cancel=enough of it")
    assert run.wait() == "failed"
    assert run.outcome()["status"] == "cancelled"
    assert trace(run, "cancelled") == Counter(("waits", "closed"))
    assert run.records()["waits/1"]["status"] == "cancelled"


def test_it_is_out_of_time(runs: dict[str, ClusterRun]) -> None:
    """The exit handler runs then, too."""
    run = runs["late"]
    assert run.wait() == "failed"
    assert run.outcome()["status"] == "cancelled"
    assert trace(run, "late")["closed"] == 1


def test_its_exit_handler_is_out_of_time(runs: dict[str, ClusterRun]) -> None:
    run = runs["endless"]
    assert run.wait(180) == "failed"
    assert run.outcome()["status"] == "cancelled"
    assert "its `finally` regions took longer than 30 s" in run.log()
    assert {record["status"] for record in run.records().values()} == {"cancelled"}
    run.until(lambda: all(job["status"].get("active", 0) == 0 for job in run.jobs()))


def test_it_is_suspended_and_goes_on(deploy: Any, space: Namespace) -> None:
    """The driver goes and comes, its plan pruned meanwhile; the step that runs goes on."""
    run = deploy("waiting").submit("suspended", {"folder": "suspended", "seconds": 6})
    run.until(lambda: trace(run, "suspended")["waits"])
    space.kubectl("patch", "job", "suspended", "--patch", '{"spec": {"suspend": true}}')
    run.until(lambda: trace(run, "suspended")["waited"])
    space.kubectl("delete", "configmap", run.deployment.made.config_map()["metadata"]["name"])
    time.sleep(1)
    assert trace(run, "suspended")["closed"] == 0
    space.kubectl("patch", "job", "suspended", "--patch", '{"spec": {"suspend": false}}')
    assert run.wait() == "succeeded"
    assert trace(run, "suspended") == Counter(("waits", "waited", "closed"))


def test_an_eviction_is_no_failure(deploy: Any, space: Namespace) -> None:
    """The pod is made again for the same attempt, and its record is the one that counts."""
    run = deploy("waiting").submit("evicted", {"folder": "evicted", "seconds": 5})
    run.until(lambda: trace(run, "evicted")["waits"])
    (pod,) = run.pods()
    metadata = {"name": pod["metadata"]["name"], "namespace": space.name}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"/api/v1/namespaces/{space.name}/pods/{metadata['name']}/eviction"
    space.kubectl("create", f"--raw={path}", "--filename=-", stdin=json.dumps(eviction))
    assert run.wait() == "succeeded"
    assert trace(run, "evicted") == Counter(("waits", "waits", "waited", "closed"))
    assert list(run.records()) == ["closed/1", "waits/1"]


def test_out_of_memory_says_so(runs: dict[str, ClusterRun]) -> None:
    run = runs["eating"]
    assert run.wait() == "failed"
    assert error(run)["kind"] == "killed"
    assert "OOMKilled" in error(run)["message"]
    assert "its limit of 96Mi" in error(run)["message"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing-image", "Err"),
        ("missing-node", "Insufficient nvidia.com/gpu"),
        ("missing-secret", 'secret "not-there" not found'),
        ("missing-volume", 'persistentvolumeclaim "not-there" not found'),
    ],
)
def test_what_is_stuck_says_why(runs: dict[str, ClusterRun], name: str, said: str) -> None:
    """In Kubernetes' words, after a while; the Job stays to be looked at."""
    run = runs[name]
    assert run.wait() == "failed"
    assert said in error(run)["message"]
    (job,) = run.jobs()
    assert job["spec"]["suspend"] is True


def test_quota_makes_it_wait(cluster: Cluster, image: str) -> None:
    """There is room for the driver and one Job at a time; nothing fails for it."""
    with cluster.namespace() as space:
        hard = {"count/jobs.batch": "3"}
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}}
        space.apply(quota | {"spec": {"hard": hard}})
        made = manifests(CASES / "faults.py", "chain", image, unschedulable_after=300)
        run = Deployment.apply(space, made).submit("few", {"folder": "few", "count": 3})
        run.until(lambda: "exceeded quota" in str(run.progress().get("waiting")))
        space.apply(quota | {"spec": {"hard": {"count/jobs.batch": "100"}}})
        assert run.wait() == "succeeded"


def test_a_pod_that_is_not_admitted_is_stuck(cluster: Cluster, image: str) -> None:
    """No pod, no condition: only the Job's events say why."""
    with cluster.namespace() as space:
        made = manifests(CASES / "faults.py", "exiting", image, stuck_after=3)
        for template in made.step_jobs():
            del template["spec"]["template"]["spec"]["containers"][0]["securityContext"]
            driver = json.loads(made.data["driver.json"]) | {"templates": [template]}
            made.data["driver.json"] = json.dumps(driver)
        run = Deployment.apply(space, made).submit("root", {"folder": "root"})
        assert run.wait() == "failed"
        assert "violates PodSecurity" in error(run)["message"]


def test_a_timeout_is_one_and_tried_again(runs: dict[str, ClusterRun]) -> None:
    run = runs["slow"]
    assert run.wait() == "failed"
    assert [each["error"]["kind"] for each in run.records().values()] == ["timeout", "timeout"]
    assert trace(run, "slow") == Counter(("stays", "stays"))


def test_a_process_that_ends_without_a_word(runs: dict[str, ClusterRun]) -> None:
    run = runs["exiting"]
    assert run.wait() == "failed"
    assert "exit code 7" in error(run)["message"]


def test_texts_stay_as_they_are_and_secrets_hidden(
    runs: dict[str, ClusterRun], space: Namespace
) -> None:
    run = runs["literally"]
    assert run.wait() == "succeeded"
    (record,) = run.records().values()
    blob = record["returns"]["digest"].removeprefix("sha256:")
    kept = json.loads((space.store / "blobs" / "sha256" / blob[:2] / blob).read_bytes())
    assert kept == [TEXT, "$(HOME) $$ ${x}", "11"]
    everything = [path for path in run.folder.rglob("*") if path.is_file()]
    assert not any(b"very secret" in path.read_bytes() for path in everything)
    assert "***" in (run.folder / "literal" / "1" / "log").read_text()


def test_a_store_that_the_image_cannot_open(runs: dict[str, ClusterRun]) -> None:
    """It is said at once: trying again would not help."""
    run = runs["nowhere"]
    assert run.wait() == "failed"
    assert "s3://x needs the package obstore, which is not installed" in run.progress()["error"]


def test_a_parameter_that_cannot_be(runs: dict[str, ClusterRun]) -> None:
    run = runs["wrong"]
    assert run.wait() == "failed"
    assert "the parameter `folder` takes str" in run.log()
