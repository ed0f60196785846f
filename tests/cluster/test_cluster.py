"""The whole cluster: what tests of a target rely on happens here as it does on any other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from levada_backends.images.make_base import make_base

from .cluster import Cluster, Namespace
from .place import wait_until
from .pods import job

pytestmark = pytest.mark.engine

PIPELINE = """
from levada import pipeline, step

@step
def greet() -> str:
    return "hello"

@pipeline
def greeting() -> str:
    return greet()
"""
PYPROJECT = """
[project]
name = "greeting"
version = "1"

[tool.levada.images]
base = "oci:base.tar@{digest}"
python = "{python}"
"""
CREATING = "ContainerCreating"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("base") / "base.tar"
    make_base(made)
    return made


@pytest.fixture(scope="module")
def python(cluster: Cluster, archive: Path) -> str:
    """An image of this Python, imported."""
    return cluster.containerd.import_image(archive, "levada.local/base")


@pytest.fixture
def space(cluster: Cluster) -> Iterator[Namespace]:
    with cluster.namespace() as made:
        yield made


def pod(space: Namespace, name: str) -> Any:
    """The newest pod of a Job."""
    pods = space.get("pods", f"--selector=job-name={name}")["items"]
    return max(pods, key=lambda one: one["metadata"]["creationTimestamp"])


def reason(space: Namespace, name: str) -> str:
    """Why the container of a Job's pod waits."""
    pods = space.get("pods", f"--selector=job-name={name}")["items"]
    states = [one for each in pods for one in each["status"].get("containerStatuses", [])]
    return str(states[0]["state"]["waiting"]["reason"]) if states else CREATING


def events(space: Namespace) -> str:
    return "\n".join(f"{one['reason']}: {one['message']}" for one in space.get("events")["items"])


def test_a_restricted_pod_writes_to_the_store(space: Namespace, python: str) -> None:
    program = "import os; open('/store/x', 'w').write(str(os.getuid())); print('written')"
    space.apply(job("write", python, program))
    space.wait("job/write", "condition=complete")
    assert (space.store / "x").read_text() == "65532"
    assert space.kubectl("logs", "job/write").stdout == "written\n"


def test_an_image_that_levada_built_is_pulled(
    space: Namespace, archive: Path, tmp_path: Path
) -> None:
    """Pushed to the registry beside the node, and named by its digest."""
    registry = space.cluster.registry
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    os.link(archive, tmp_path / "base.tar")
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    digest = make_base(tmp_path / "again.tar")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.format(digest=digest, python=minor))
    built = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("levada")), "build", "pipeline.py", "--json"),
            *("--push", registry, "--insecure", registry),
        ],
        cwd=tmp_path,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        check=False,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    image = str(json.loads(built.stdout)["images"][0]["reference"])
    assert f"{registry}/" in image
    assert "@sha256:" in image
    space.apply(job("greet", image, "import pipeline; print(pipeline.greet())"))
    space.wait("job/greet", "condition=complete")
    assert space.kubectl("logs", "job/greet").stdout == "hello\n"


def test_a_pod_that_is_not_restricted_is_refused(space: Namespace, python: str) -> None:
    manifest = job("root", python, "pass")
    manifest["spec"]["template"]["spec"]["securityContext"] = {}
    space.apply(manifest)
    wait_until("the refusal is an event", lambda: "violates PodSecurity" in events(space))
    assert space.get("pods")["items"] == []


def test_out_of_memory_is_told(space: Namespace, python: str) -> None:
    space.apply(job("eat", python, "held = bytearray(1 << 30)", limit="32Mi"))
    space.wait("job/eat", "condition=failed")
    ended = pod(space, "eat")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_a_permanent_error_is_not_tried_again(space: Namespace, python: str) -> None:
    rules = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [65]}}]
    policy: dict[str, Any] = {"podFailurePolicy": {"rules": rules}, "backoffLimit": 5}
    space.apply(job("fail", python, "raise SystemExit(65)", **policy))
    space.wait("job/fail", "condition=failed")
    conditions = space.get("job", "fail")["status"]["conditions"]
    assert "PodFailurePolicy" in {one["reason"] for one in conditions}
    assert len(space.get("pods")["items"]) == 1


def test_a_schedule_makes_a_job(space: Namespace, python: str) -> None:
    """It is told that its last run was a while ago, for a minute is long."""
    template = {"spec": job("any", python, "print('on time')")["spec"]}
    spec = {"schedule": "* * * * *", "timeZone": "Etc/UTC", "jobTemplate": template}
    manifest = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "often"}}
    space.apply(manifest | {"spec": spec | {"suspend": True}})
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 150))
    patch = json.dumps({"status": {"lastScheduleTime": before}})
    space.kubectl(
        *("patch", "cronjob", "often", "--subresource=status", "--type=merge", f"--patch={patch}")
    )
    space.kubectl("patch", "cronjob", "often", '--patch={"spec": {"suspend": false}}')
    wait_until("it has made a Job", lambda: space.get("jobs")["items"] != [])
    space.kubectl("patch", "cronjob", "often", '--patch={"spec": {"suspend": true}}')
    name = space.get("jobs")["items"][0]["metadata"]["name"]
    space.wait(f"job/{name}", "condition=complete")
    assert space.kubectl("logs", f"job/{name}").stdout == "on time\n"


def test_a_pod_is_evicted_when_the_node_is_drained(space: Namespace, python: str) -> None:
    """The Job ignores that, and makes another pod when the node takes some again."""
    node = space.cluster.node
    rules = [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]
    program = "import os, time; os.path.exists('/store/go') or time.sleep(600)"
    space.apply(job("long", python, program, podFailurePolicy={"rules": rules}))
    wait_until("its pod runs", lambda: space.get("job", "long")["status"].get("ready") == 1)
    first = pod(space, "long")["metadata"]["name"]
    (space.store / "go").touch()
    space.cluster.kubectl("drain", node, "--pod-selector=job-name=long", "--timeout=60s")
    space.cluster.kubectl("uncordon", node)
    space.wait("job/long", "condition=complete")
    assert pod(space, "long")["metadata"]["name"] != first


def test_a_quota_holds_pods_back(space: Namespace, python: str) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}}
    space.apply(quota | {"spec": {"hard": {"pods": "0"}}})
    wait_until("the quota counts", lambda: "hard" in space.get("quota", "none")["status"])
    space.apply(job("held", python, "pass"))
    wait_until("the refusal is an event", lambda: "exceeded quota" in events(space))
    space.kubectl("delete", "quota", "none")
    space.wait("job/held", "condition=complete")


def test_an_image_that_is_missing_is_told(space: Namespace) -> None:
    space.apply(job("nothing", f"{space.cluster.registry}/nothing:1", "pass"))
    wait_until("the pod is not created any more", lambda: reason(space, "nothing") != CREATING)
    assert reason(space, "nothing") in {"ErrImagePull", "ImagePullBackOff"}
    assert "nothing:1: not found" in events(space)


def test_a_pod_reaches_the_api_server_as_its_account(space: Namespace, python: str) -> None:
    """At the address that the environment names, with the token and authority that it is given."""
    program = """
import os, ssl, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount"
host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
request = urllib.request.Request(
    f"https://{host}:{port}/apis/authentication.k8s.io/v1/selfsubjectreviews",
    data=b'{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}',
    headers={"Authorization": "Bearer " + open(f"{folder}/token").read(),
             "Content-Type": "application/json"},
)
print(urllib.request.urlopen(
    request, context=ssl.create_default_context(cafile=f"{folder}/ca.crt")).read().decode())
"""
    space.apply(job("ask", python, program))
    space.wait("job/ask", "condition=complete")
    said = json.loads(space.kubectl("logs", "job/ask").stdout)
    assert said["status"]["userInfo"]["username"] == f"system:serviceaccount:{space.name}:default"


def test_a_pod_reaches_a_server_of_this_machine(space: Namespace, python: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"from outside")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((space.cluster.host, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    url = f"http://{space.cluster.host}:{server.server_address[1]}/"
    program = f"import urllib.request as r; print(r.urlopen({url!r}).read().decode())"
    space.apply(job("fetch", python, program))
    space.wait("job/fetch", "condition=complete")
    assert space.kubectl("logs", "job/fetch").stdout == "from outside\n"
    server.shutdown()
    thread.join()
    server.server_close()
