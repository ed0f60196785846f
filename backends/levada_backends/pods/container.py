"""The parts of a pod that follow from a step's settings, as JSON."""

from __future__ import annotations

from . import names, quantity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

#: What a `gpu` is where nothing else is said.
GPU = "nvidia.com/gpu"
#: Where a pod may write: the root file system is read-only.
TEMPORARY = "/tmp"  # noqa: S108
_RESOURCES = {"cpu": "cpu", "memory": "memory", "disk": "ephemeral-storage"}


def literal(text: str) -> str:
    """A text of ``command``, ``args`` or ``env`` that stays as it is.

    Kubernetes replaces ``$(NAME)`` in these and makes ``$`` of ``$$``:
    https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#Container
    So every ``$`` is doubled: what follows a single one is also read byte by byte, which breaks
    characters that have several.
    """
    return text.replace("$", "$$")


def resources(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The resources of a container: it is given what it asks for, no less and no more."""
    amounts = {
        kubernetes: str(quantity.parse(wanted[name]).in_thousandths())
        for name, kubernetes in _RESOURCES.items()
        if wanted.get(name)
    }
    if wanted.get("gpu"):
        amounts[wanted.get("gpu_type") or GPU] = str(wanted["gpu"])
    return {"limits": amounts, "requests": amounts} if amounts else {}


def variables(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Environment variables with fixed values."""
    return [{"name": name, "value": literal(text)} for name, text in values.items()]


def secret_variables(
    references: Mapping[str, str], default: str | None = None
) -> list[dict[str, Any]]:
    """Variables from Secrets: ``name/key``, or a key of the Secret ``default``."""
    return [
        {"name": variable, "valueFrom": {"secretKeyRef": secret(reference, default)}}
        for variable, reference in references.items()
    ]


def secret(reference: str, default: str | None = None) -> dict[str, str]:
    """The Secret and the key that a reference names."""
    name, slash, key = reference.partition("/")
    return {"key": key, "name": name} if slash else {"key": name, "name": default or ""}


class Volumes:
    """The volumes of a pod and where its container has them."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self.volumes: list[dict[str, Any]] = []
        self.mounts: list[dict[str, Any]] = []

    def add_temporary(self) -> None:
        """Where a container may write."""
        self.add_empty("tmp", TEMPORARY)

    def add_empty(self, name: str, path: str) -> None:
        """A folder that ends with the pod."""
        self.volumes.append({"name": name, "emptyDir": {}})
        self.mounts.append({"mountPath": path, "name": name})

    def add_claim(self, claim: str, path: str, *, read_only: bool = False) -> None:
        """A claim; one that is mounted twice is one volume."""
        if claim not in self._names:
            self._names[claim] = names.label(f"claim-{claim.replace('.', '-')}")
            source = {"claimName": claim}
            self.volumes.append({"name": self._names[claim], "persistentVolumeClaim": source})
        mount: dict[str, Any] = {"mountPath": path, "name": self._names[claim]}
        self.mounts.append(mount | ({"readOnly": True} if read_only else {}))

    def add(self, wanted: Iterable[Mapping[str, Any]]) -> None:
        """Those of the setting ``volumes``."""
        for volume in wanted:
            self.add_claim(volume["claim"], volume["path"], read_only=bool(volume.get("read_only")))


def pod_security(user: int | None) -> dict[str, Any]:
    """The pod's part of what the profile "restricted" of Pod Security wants.

    ``user`` is the numeric uid; None leaves it to the cluster, as OpenShift wants it.
    https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    ids = {} if user is None else {"fsGroup": user, "runAsGroup": user, "runAsUser": user}
    return ids | {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def container_security() -> dict[str, Any]:
    """The container's part of it, with a root file system that is read-only."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def program_security() -> dict[str, Any]:
    """The same for the program of an image that Levada has not made: it may write to its files."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def program_message(settings: Mapping[str, Any]) -> str:
    """Return where the message of a program that fails comes from: its last lines.

    The message becomes part of the record. So a program that has secrets has no such message, for
    what it prints could contain them.
    """
    return "File" if settings.get("secrets") else "FallbackToLogsOnError"


def placement(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a pod that say where it may run."""
    fields: dict[str, Any] = {}
    if settings.get("node_selector"):
        fields["nodeSelector"] = dict(settings["node_selector"])
    if settings.get("tolerations"):
        fields["tolerations"] = [toleration(each) for each in settings["tolerations"]]
    return fields


def toleration(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A toleration, with the operator that Kubernetes takes where none is given."""
    return {"operator": "Equal", **wanted}


def pull_secrets(secrets: Sequence[str]) -> dict[str, Any]:
    """The field that names what images are pulled with."""
    return {"imagePullSecrets": [{"name": name} for name in secrets]} if secrets else {}
