"""What the pods of a run may ask of a cluster, tried on one: where they run, with what, as whom."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import packages
from tests.cluster.cluster import Cluster, Namespace
from tests.engines.docker import HTPASSWD, PASSWORD, USER

from .deployment import ClusterRun, Deployment, manifests

pytestmark = pytest.mark.engine
CASES = Path(__file__).parent / "cases"
PLACED = CASES / "placed.py"


@pytest.fixture(scope="module", autouse=True)
def scheduled(space: Namespace, image: str) -> Deployment:
    """Applied first of all: the minute goes by while others are tried."""
    return Deployment.apply(space, manifests(PLACED, "each_minute", image))


def test_a_drain_moves_what_runs(cluster: Cluster, space: Namespace, image: str) -> None:
    """`kubectl drain` evicts the driver and the step; both come again, and nothing fails."""
    made = manifests(CASES / "faults.py", "waiting", image)
    run = Deployment.apply(space, made).submit("drained", {"folder": "drained", "seconds": 5})
    run.until(lambda: "waits" in trace(space, "drained"))
    before = [pod["metadata"]["name"] for pod in pods(run)]
    own = "--pod-selector=levada.dev/pipeline=waiting"
    try:
        cluster.kubectl("drain", cluster.node, own, "--delete-emptydir-data", "--timeout=60s")
        run.until(lambda: any(pod["metadata"]["name"] not in before for pod in pods(run)))
    finally:
        cluster.kubectl("uncordon", cluster.node)
    assert run.wait() == "succeeded"
    assert sorted(trace(space, "drained")) == ["closed", "waited", "waits", "waits"]
    assert list(run.records()) == ["closed/1", "waits/1"]


def trace(space: Namespace, folder: str) -> list[str]:
    path = space.store / f"trace-{folder}"
    return path.read_text().splitlines() if path.exists() else []


def pods(run: ClusterRun) -> list[Any]:
    """Those of its driver."""
    return list(run.space.get("pods", f"--selector=job-name={run.name}")["items"])


def test_taints_labels_devices_volumes_and_priority(
    cluster: Cluster, space: Namespace, image: str
) -> None:
    """The device is one that a node says it has: that is all that a scheduler knows of any."""
    high = f"high-{space.name}"
    priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1000}
    cluster.apply({**priority, "metadata": {"name": high}})
    with data(space), node_with_device(cluster):
        options = {"priority_classes": {"10": high}}
        run = Deployment.apply(space, manifests(PLACED, "placed", image, **options)).submit(
            "placed"
        )
        run.until(lambda: (run.folder / "first" / "1" / "request.json").exists())
        run.until(lambda: any(pod["status"]["phase"] == "Running" for pod in run.pods()))
        cluster.kubectl("taint", "node", cluster.node, "levada.dev/test=:NoSchedule")
        try:
            run.until(lambda: "untolerated taint" in str(run.progress().get("waiting")))
        finally:
            cluster.kubectl("taint", "node", cluster.node, "levada.dev/test:NoSchedule-")
        assert run.wait() == "succeeded"
        (step,) = (pod for pod in run.pods() if "-demanding-" in pod["metadata"]["name"])
        assert (step["spec"]["priority"], step["spec"]["priorityClassName"]) == (1000, high)
        assert (space.store / "data" / "seen").read_text() == "first"
    cluster.kubectl("delete", "priorityclass", high)


@contextmanager
def data(space: Namespace) -> Iterator[None]:
    """A volume besides the store: a folder in it."""
    folder = space.store / "data"
    folder.mkdir()
    folder.chmod(0o777)
    name = f"data-{space.name}"
    both = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    capacity = {"storage": "1Gi"}
    of = {"claimRef": {"name": "data", "namespace": space.name}, "hostPath": {"path": str(folder)}}
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}}
    space.cluster.apply({**volume, "spec": {**both, **of, "capacity": capacity}})
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}}
    bound = {"volumeName": name, "resources": {"requests": capacity}}
    space.apply({**claim, "spec": {**both, **bound}})
    yield
    space.cluster.kubectl("delete", "persistentvolume", name, "--wait=false")


@contextmanager
def node_with_device(cluster: Cluster) -> Iterator[None]:
    """The node has a label, and says that it has a device."""

    def patch(operation: dict[str, Any]) -> None:
        place = "/status/capacity/example.com~1gpu"
        text = json.dumps([{**operation, "path": place}])
        options = ("--subresource=status", "--type=json", f"--patch={text}")
        cluster.kubectl("patch", "node", cluster.node, *options)

    cluster.kubectl("label", "node", cluster.node, "levada.dev/test=yes", "--overwrite")
    patch({"op": "add", "value": "1"})
    try:
        yield
    finally:
        patch({"op": "remove"})
        cluster.kubectl("label", "node", cluster.node, "levada.dev/test-")


def test_an_image_behind_a_login(cluster: Cluster, space: Namespace, image: str) -> None:
    """The same images by another registry, which wants one."""
    with login_registry(cluster) as address:
        other = f"{address}/{image.partition('/')[2]}"
        made = manifests(PLACED, "plain", other, driver_image=image, stuck_after=3)
        run = Deployment.apply(space, made).submit("without-login")
        assert run.wait() == "failed"
        assert "ErrImagePull" in run.outcome()["error"]["message"]
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        config = json.dumps({"auths": {address: {"auth": auth}}})
        secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson"}
        text = {".dockerconfigjson": config}
        space.apply({**secret, "metadata": {"name": "registry"}, "stringData": text})
        made = manifests(PLACED, "plain", other, image_pull_secrets=["registry"])
        assert Deployment.apply(space, made).submit("with-login").wait() == "succeeded"


@contextmanager
def login_registry(cluster: Cluster) -> Iterator[str]:
    """A registry with the images of the cluster's, on this machine."""
    address = f"{cluster.host}:5001"
    folder = cluster.folder / "login"
    folder.mkdir(exist_ok=True)
    (folder / "htpasswd").write_text(HTPASSWD)
    settings = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(cluster.folder / "registry")}},
        "http": {"addr": address},
        "auth": {"htpasswd": {"realm": "levada", "path": str(folder / "htpasswd")}},
    }
    (folder / "config.json").write_text(json.dumps(settings))
    command = [packages.program("docker-registry"), "serve", str(folder / "config.json")]
    cluster.containerd.trust(address)
    with (folder / "log").open("w") as log:
        registry = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield address
        finally:
            registry.kill()
            registry.wait()


def test_the_policies_let_the_run_through_and_stop_others(
    cluster: Cluster, space: Namespace, image: str
) -> None:
    """What the driver's account may not do, it may not do by hand either."""
    options = {"admission_policy": True, "network_policy": True, "namespace": space.name}
    made = manifests(PLACED, "plain", image, **options)
    deployment = Deployment.apply(space, made)
    account = f"--as=system:serviceaccount:{space.name}:{made.name}-driver"
    refused = cluster_job(made, serviceAccountName="default", automountServiceAccountToken=True)
    try:

        def said() -> str:
            text = json.dumps(refused)
            done = space.kubectl(
                *("create", "--dry-run=server", account, "--filename=-"), stdin=text, check=False
            )
            return done.stderr

        run = deployment.submit("with-policies")
        run.until(lambda: "a step runs as plain-step" in said())
        assert run.wait() == "succeeded"
        again = deployment.submit("with-policies-again")
        assert again.wait() == "succeeded", again.log()
        assert space.get("networkpolicies")["items"]
    finally:
        for policy in made.files()["admission-policy.yaml"]:
            cluster.kubectl("delete", policy["kind"], policy["metadata"]["name"])


def cluster_job(made: Any, **pod: Any) -> dict[str, Any]:
    """A step's Job with other things in its pod."""
    (job,) = made.step_jobs()
    job["metadata"]["name"] = "other"
    job["spec"]["template"]["spec"] |= pod
    return dict(job)


def test_it_starts_by_its_schedule(scheduled: Deployment) -> None:
    """At a full minute, by the controller."""
    space = scheduled.space
    name = scheduled.made.name

    def started() -> list[Any]:
        jobs = space.get("jobs", "--selector=levada.dev/role=driver")["items"]
        return [job for job in jobs if job["metadata"]["name"].startswith(f"{name}-")]

    waiting = ClusterRun(scheduled, name, "")
    waiting.until(started, 90)
    job = started()[0]["metadata"]
    run = ClusterRun(scheduled, job["name"], job["uid"])
    assert run.wait() == "succeeded"
    document = json.loads((run.folder / "run.json").read_text())
    assert document["trigger"] == "schedule"
    assert document["engine"]["logical_date"].endswith(":00Z")
    space.kubectl("patch", "cronjob", name, "--patch", '{"spec": {"suspend": true}}')
