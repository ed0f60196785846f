"""The node: containerd with its network plugins, and the kubelet."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from . import images, packages, programs

if TYPE_CHECKING:
    from .keys import Keys
    from .place import Place

NAME = "levada-node"
_PAUSE = "levada.local/pause:1"
_CGROUPS = Path("/sys/fs/cgroup")

# restrict_oom_score_adj: where CAP_SYS_RESOURCE is missing no score below our own can be set.
_CONTAINERD = """\
version = 2
root = "{folder}/containerd"
state = "/run/containerd"
[grpc]
  address = "{folder}/containerd.sock"
[debug]
  level = "warn"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/plugins"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  stream_server_address = "127.0.0.1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/network"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{folder}/registries"
"""


class Containerd:
    """The node's container runtime, beside any other on the machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ctr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `ctr`, its output kept."""
        socket = str(self._folder / "containerd.sock")
        command = [packages.program("ctr"), "--address", socket, "--namespace", "k8s.io"]
        return subprocess.run([*command, *arguments], check=False, capture_output=True, text=True)

    def import_image(self, archive: Path, repository: str) -> str:
        """Load an image from an archive as `docker save` or Levada writes it; give its name.

        That is `<repository>@<digest>`. A name in the archive is left out: one without a host is
        not what the kubelet looks for, and hides the image from it.
        """
        with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".tar") as nameless:
            images.copy_without_names(archive, Path(nameless.name))
            options = ("--digests", "--base-name", repository)
            done = self.ctr("images", "import", *options, nameless.name)
        found = re.search(rf"{re.escape(repository)}@sha256:[0-9a-f]{{64}}", done.stdout)
        if done.returncode != 0 or found is None:
            raise RuntimeError(f"{archive} was not imported: {done.stderr.strip()}")
        return found[0]

    def trust(self, registry: str) -> None:
        """Pull from this registry (a host and port) without TLS."""
        folder = self._folder / "registries" / registry
        folder.mkdir(parents=True, exist_ok=True)
        host = f'[host."http://{registry}"]\n  capabilities = ["pull", "resolve"]\n'
        (folder / "hosts.toml").write_text(f'server = "http://{registry}"\n{host}')


def start_containerd(place: Place) -> Containerd:
    """Start it, with the image that holds a pod's namespaces."""
    (place.folder / "network").mkdir()
    (place.folder / "network" / "10-levada.conflist").write_text(json.dumps(_network(place)))
    config = place.folder / "containerd.toml"
    text = _CONTAINERD.format(folder=place.folder, pause=_PAUSE, plugins=packages.plugins())
    config.write_text(text)
    place.start("containerd", packages.program("containerd"), "--config", str(config))
    containerd = Containerd(place.folder)
    place.wait("containerd answers", lambda: containerd.ctr("version").returncode == 0)
    archive = place.folder / "pause.tar"
    pause = programs.location("pause").read_bytes()
    images.write(archive, _PAUSE, {"pause": pause}, entrypoint="/pause")
    containerd.import_image(archive, _PAUSE.partition(":")[0])
    return containerd


def start_registry(place: Place, containerd: Containerd) -> str:
    """Start a registry beside the node, which this machine reaches as well; give its address."""
    address = f"{place.node}:5000"
    folder = place.folder / "registry"
    folder.mkdir()
    config = folder / "config.json"
    settings = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder)}, "delete": {"enabled": True}},
        "http": {"addr": address},
    }
    config.write_text(json.dumps(settings))  # which YAML includes
    place.start("registry", packages.program("docker-registry"), "serve", str(config))
    containerd.trust(address)
    return address


def start_kubelet(place: Place, keys: Keys) -> None:
    """Start the kubelet, with control groups of its own."""
    certificate, key = keys.sign("kubelet", f"/CN={NAME}", f"IP:{place.node},DNS:{NAME}")
    subject = f"/O=system:nodes/CN=system:node:{NAME}"
    kubeconfig = keys.kubeconfig("node", subject, f"https://{place.node}:443")
    for folder in ("kubelet", "pod-logs"):
        (place.folder / folder).mkdir()
    (place.folder / "resolv.conf").touch()
    config = place.folder / "kubelet.yaml"
    settings = _kubelet(place.folder, place.node, _make_cgroup(place))
    settings["authentication"]["x509"] = {"clientCAFile": str(keys.authority)}
    settings |= {"tlsCertFile": str(certificate), "tlsPrivateKeyFile": str(key)}
    config.write_text(yaml.safe_dump(settings))
    place.start(
        "kubelet",
        str(programs.location("kubelet")),
        *(f"--config={config}", f"--kubeconfig={kubeconfig}"),
        *(f"--root-dir={place.folder / 'kubelet'}", f"--node-ip={place.node}"),
        *(f"--hostname-override={NAME}", "--v=2"),
    )


def _network(place: Place) -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "dataDir": str(place.folder / "addresses"),
        "ranges": [[{"subnet": place.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": addresses,
    }
    return {"cniVersion": "0.4.0", "name": "levada", "plugins": [bridge]}


def _kubelet(folder: Path, address: str, cgroup: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "readOnlyPort": 0,
        "healthzPort": 0,
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}},
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{folder}/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "failCgroupV1": False,
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "clusterDNS": ["10.96.0.10"],  # where nobody answers
        "clusterDomain": "cluster.local",
        "resolvConf": str(folder / "resolv.conf"),
        "podLogsDir": str(folder / "pod-logs"),
        # The disk is the machine's: what fills it up is none of the tests' business.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "syncFrequency": "10s",
        "fileCheckFrequency": "0s",
    }


def _make_cgroup(place: Place) -> str:
    """A control group under which all pods are; it goes with the cluster."""
    name = f"levada-{place.number}"
    unified = _CGROUPS / "cgroup.subtree_control"
    if unified.exists():
        controllers = (_CGROUPS / "cgroup.controllers").read_text().split()
        unified.write_text(" ".join(f"+{one}" for one in controllers))
    trees = [_CGROUPS] if unified.exists() else [one for one in _CGROUPS.iterdir() if one.is_dir()]
    for tree in trees:
        place.keeper.discard(tree / name)
        (tree / name).mkdir(exist_ok=True)
    return f"/{name}"
