"""A running Kubernetes, or its API server alone, as tests use it.

    with cluster.start() as kubernetes, kubernetes.namespace() as space:
        space.apply(job)
        space.wait("job/churn", "condition=complete")

Tests take the running one of the session from the fixtures `cluster` and `api_server`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import control_plane, node, packages, place, programs
from .keys import Keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .node import Containerd
    from .place import Place

INSTALL = "python -m tests.cluster install"
CLAIM = "store"
_RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}


@dataclass(frozen=True)
class Api:
    """An API server that is reached by a kubeconfig."""

    kubeconfig: Path

    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run `kubectl`, its output kept; what it complained of is in the error."""
        done = subprocess.run(
            [_kubectl(), *arguments],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "NO_PROXY": "*"},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done

    def get(self, *arguments: str) -> Any:
        """What `kubectl get` finds."""
        return json.loads(self.kubectl("get", *arguments, "--output=json").stdout)

    def apply(self, *manifests: Mapping[str, Any]) -> None:
        """Apply manifests, one after the other."""
        items = {"apiVersion": "v1", "kind": "List", "items": manifests}
        self.kubectl("apply", "--filename=-", stdin=json.dumps(items))

    def is_ready(self) -> bool:
        """Whether it answers."""
        return self.kubectl("get", "--raw=/readyz", check=False).returncode == 0


@dataclass(frozen=True)
class ApiServer(Api):
    """An API server of the tests' own; in `folder` is all that it keeps, and its logs."""

    folder: Path

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Within the context the API server is dead; afterwards it is there again."""
        pid, flag = self._pid(), self.folder / "away"
        flag.touch()
        os.kill(pid, signal.SIGKILL)
        try:
            place.wait_until("the API server is gone", lambda: not Path(f"/proc/{pid}").exists())
            yield
        finally:
            flag.unlink()
            place.wait_until("the API server is back", self.is_ready)

    @contextlib.contextmanager
    def freeze(self) -> Iterator[None]:
        """Within the context the API server takes connections and does not answer."""
        pid = self._pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def _pid(self) -> int:
        return int((self.folder / "api-server.pid").read_text())


@dataclass(frozen=True)
class Cluster(ApiServer):
    """A whole one.

    `host` is this machine as pods see it; `registry` a registry without TLS that this machine and
    the node reach.
    """

    host: str
    registry: str

    @property
    def node(self) -> str:
        """The name of the node."""
        return node.NAME

    @property
    def containerd(self) -> Containerd:
        """The node's container runtime, which takes images."""
        return node.Containerd(self.folder)

    @contextlib.contextmanager
    def namespace(self) -> Iterator[Namespace]:
        """A namespace of one's own, where only restricted pods may run, with a store."""
        name = f"test-{uuid.uuid4().hex[:8]}"
        store = self.folder / "stores" / name
        store.mkdir(parents=True)
        store.chmod(0o777)  # the user of a pod is nobody that this machine knows
        metadata = {"name": name, "labels": _RESTRICTED}
        self.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}, *_claim(name, store)
        )
        space = Namespace(self, name, store)
        try:
            # Until there is an account no pod is made, and a Job tries again only after a while.
            place.wait_until("the namespace has an account", space.has_account)
            yield space
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")
            self.kubectl("delete", "persistentvolume", name, "--wait=false")


@dataclass(frozen=True)
class Namespace:
    """A namespace; `store` is the folder behind its claim `store`."""

    cluster: Cluster
    name: str
    store: Path

    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run `kubectl` in this namespace."""
        return self.cluster.kubectl(
            f"--namespace={self.name}", *arguments, stdin=stdin, check=check
        )

    def get(self, *arguments: str) -> Any:
        """What `kubectl get` finds here."""
        return self.cluster.get(f"--namespace={self.name}", *arguments)

    def apply(self, *manifests: Mapping[str, Any]) -> None:
        """Apply manifests that name no namespace."""
        items = {"apiVersion": "v1", "kind": "List", "items": manifests}
        self.kubectl("apply", "--filename=-", stdin=json.dumps(items))

    def wait(self, what: str, until: str, seconds: float = 60) -> None:
        """Wait as `kubectl wait --for` does."""
        self.kubectl("wait", what, f"--for={until}", f"--timeout={seconds}s")

    def has_account(self) -> bool:
        """Whether it has the account that a pod gets which names none."""
        return self.kubectl("get", "serviceaccount", "default", check=False).returncode == 0


def is_installed(*, api_only: bool = False) -> bool:
    """Whether one can be started."""
    return (
        os.geteuid() == 0
        and not programs.missing(api_only=api_only)
        and not packages.missing(api_only=api_only)
    )


def install(*, api_only: bool = False) -> None:
    """Install Debian's packages and build Kubernetes where they are missing."""
    if os.geteuid() != 0 or (packages.missing(api_only=api_only) and not shutil.which("apt-get")):
        print("the cluster's tests need root and apt-get; they will be skipped")
        return
    packages.install(api_only=api_only)
    programs.install(api_only=api_only)


@contextlib.contextmanager
def start_api_server() -> Iterator[ApiServer]:
    """etcd and an API server: no controllers, no node."""
    with place.make() as here:
        server, _ = _start_api_server(here)
        yield server


@contextlib.contextmanager
def start() -> Iterator[Cluster]:
    """A whole cluster with an empty node; all of it is gone after the context."""
    with place.make() as here:
        yield start_in(here)


def start_in(here: Place) -> Cluster:
    """A whole cluster in namespaces where other programs may run beside the node."""
    containerd = node.start_containerd(here)
    registry = node.start_registry(here, containerd)
    server, keys = _start_api_server(here)
    control_plane.start_controllers(here, keys)
    node.start_kubelet(here, keys)
    cluster = Cluster(server.kubeconfig, here.folder, here.host, registry)
    here.wait("the node is ready", lambda: _is_node_ready(cluster))
    return cluster


def _start_api_server(here: Place) -> tuple[ApiServer, Keys]:
    keys = Keys(here.folder / "keys")
    server = ApiServer(control_plane.start_api_server(here, keys), here.folder)
    here.wait("the API server is ready", server.is_ready)
    return server, keys


def _is_node_ready(cluster: Cluster) -> bool:
    nodes = cluster.get("nodes")["items"]
    conditions = [one for each in nodes for one in each["status"]["conditions"]]
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _claim(name: str, store: Path) -> Iterator[dict[str, Any]]:
    """A volume of that folder, and the claim that takes it."""
    size = {"storage": "10Gi"}
    modes = ["ReadWriteMany"]
    yield {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": size,
            "accessModes": modes,
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": {"namespace": name, "name": CLAIM},
            "hostPath": {"path": str(store), "type": "Directory"},
        },
    }
    yield {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM, "namespace": name},
        "spec": {
            "accessModes": modes,
            "storageClassName": "",
            "volumeName": name,
            "resources": {"requests": size},
        },
    }


def _kubectl() -> str:
    """The one of this version, or else what the machine has."""
    own = programs.location("kubectl")
    if own.is_file():
        return str(own)
    if found := shutil.which("kubectl"):
        return found
    sys.exit(f"there is no kubectl; `{INSTALL}` makes one")
