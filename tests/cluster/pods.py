"""Jobs that a restricted namespace takes: a Python program in a container."""

from __future__ import annotations

from typing import Any

from .cluster import CLAIM


def job(name: str, image: str, program: str, *, limit: str = "64Mi", **spec: Any) -> dict[str, Any]:
    """A Job of one pod with the store at /store; `spec` is added to the Job's."""
    container = {
        "name": "main",
        "image": image,
        "command": ["python3", "-c", program],
        "resources": {"limits": {"memory": limit, "cpu": "1"}, "requests": {"cpu": "10m"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "store", "mountPath": "/store"}],
    }
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "store", "persistentVolumeClaim": {"claimName": CLAIM}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}} | spec,
    }
