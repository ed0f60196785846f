"""etcd, the API server and the two controllers of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import programs
from .place import SERVICE, SERVICES, Place

if TYPE_CHECKING:
    from pathlib import Path

    from .keys import Keys

_ETCD = "http://127.0.0.1:2379"
_PEERS = "http://127.0.0.1:2380"
_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")

# The API server, again after it was killed while the file `away` was there, once that is gone.
_AGAIN = """
folder=$1; shift
while :; do
  "$@" & pid=$!
  echo $pid >"$folder/api-server.pid"
  wait $pid; code=$?
  [ -e "$folder/away" ] || exit $code
  while [ -e "$folder/away" ]; do sleep 0.1; done
done
"""


def start_api_server(place: Place, keys: Keys) -> Path:
    """Start etcd and the API server; give the administrator's kubeconfig."""
    place.start(
        "etcd",
        str(programs.location("etcd")),
        f"--data-dir={place.folder / 'etcd'}",
        *(f"--listen-client-urls={_ETCD}", f"--advertise-client-urls={_ETCD}"),
        f"--listen-peer-urls={_PEERS}",
        "--unsafe-no-fsync=true",  # its data do not outlive it
        "--log-level=warn",
    )
    addresses = [f"IP:{one}" for one in (SERVICE, place.node, "127.0.0.1")]
    addresses += [f"DNS:{one}" for one in _NAMES]
    certificate, key = keys.sign("api-server", "/CN=kube-apiserver", ",".join(addresses))
    to_kubelet = keys.sign("to-kubelet", "/O=system:masters/CN=kube-apiserver-kubelet-client")
    place.start(
        "kube-apiserver",
        *("/bin/sh", "-c", _AGAIN, "sh", str(place.folder)),
        str(programs.location("kube-apiserver")),
        f"--etcd-servers={_ETCD}",
        *("--bind-address=0.0.0.0", "--secure-port=443", f"--advertise-address={place.node}"),
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={keys.authority}",
        *(f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}"),
        f"--service-account-key-file={keys.accounts_public}",
        f"--service-account-signing-key-file={keys.accounts}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--kubelet-client-certificate={to_kubelet[0]}",
        f"--kubelet-client-key={to_kubelet[1]}",
        f"--kubelet-certificate-authority={keys.authority}",
        "--kubelet-preferred-address-types=InternalIP",
        "--profiling=false",
        "--v=1",
    )
    return keys.kubeconfig("admin", "/O=system:masters/CN=admin", f"https://{place.node}:443")


def start_controllers(place: Place, keys: Keys) -> None:
    """Start what makes pods of Jobs, and puts pods on the node."""
    server = f"https://{place.node}:443"
    manager = keys.kubeconfig("manager", "/CN=system:kube-controller-manager", server)
    place.start(
        "kube-controller-manager",
        *(str(programs.location("kube-controller-manager")), *_controller(manager)),
        f"--root-ca-file={keys.authority}",
        f"--service-account-private-key-file={keys.accounts}",
        "--use-service-account-credentials=true",
    )
    scheduler = keys.kubeconfig("scheduler", "/CN=system:kube-scheduler", server)
    place.start("kube-scheduler", str(programs.location("kube-scheduler")), *_controller(scheduler))


def _controller(kubeconfig: Path) -> tuple[str, ...]:
    return (
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--v=1",
    )
