"""What Kubeflow Pipelines needs of a Kubernetes: its kinds, an account, services, settings.

There is no kube-proxy and no DNS in the tests' cluster. A service has an address that the node
itself has, and programs find it as KFP's do: in the variables that a pod gets of each service.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

NAMESPACE = "kubeflow"
ACCOUNT = "pipeline-runner"
CLAIM = "levada-store"
SECRET = {"accesskey": "minio", "secretkey": "minio123"}
#: The address and the ports of each service.
SERVICES = {
    "ml-pipeline": ("10.96.0.21", {"http": 8888, "grpc": 8887}),
    "metadata-grpc-service": ("10.96.0.22", {"grpc-api": 8080}),
    "minio-service": ("10.96.0.23", {"http": 9000}),
}
_ARGO = {
    "Workflow": "workflows",
    "WorkflowTemplate": "workflowtemplates",
    "ClusterWorkflowTemplate": "clusterworkflowtemplates",
    "CronWorkflow": "cronworkflows",
    "WorkflowEventBinding": "workfloweventbindings",
    "WorkflowTaskSet": "workflowtasksets",
    "WorkflowTaskResult": "workflowtaskresults",
}
_ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def kinds() -> Iterator[dict[str, Any]]:
    """The kinds of Argo and of KFP."""
    for kind, plural in _ARGO.items():
        scope = "Cluster" if kind.startswith("Cluster") else "Namespaced"
        subresources = {"status": {}} if kind == "WorkflowTaskSet" else {}
        yield _kind("argoproj.io", "v1alpha1", kind, plural, scope, subresources)
    yield _kind("kubeflow.org", "v1beta1", "ScheduledWorkflow", "scheduledworkflows")


def objects(store: str) -> Iterator[dict[str, Any]]:
    """All else; `store` is the folder on the node that is Levada's store."""
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    yield _named("v1", "ServiceAccount", ACCOUNT)
    yield {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": ACCOUNT},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "cluster-admin",
        },
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
    }
    for name, (address, ports) in SERVICES.items():
        listed = [{"name": port, "port": number} for port, number in ports.items()]
        yield _named("v1", "Service", name, spec={"clusterIP": address, "ports": listed})
    yield _named("v1", "Secret", "mlpipeline-minio-artifact", stringData=SECRET)
    address, ports = SERVICES["metadata-grpc-service"]
    metadata = {
        "METADATA_GRPC_SERVICE_HOST": address,
        "METADATA_GRPC_SERVICE_PORT": str(ports["grpc-api"]),
    }
    yield _named("v1", "ConfigMap", "metadata-grpc-configmap", data=metadata)
    executor = {"containerRuntimeExecutor": "emissary"}
    yield _named("v1", "ConfigMap", "workflow-controller-configmap", data=executor)
    yield from _claim(store)


def _claim(store: str) -> Iterator[dict[str, Any]]:
    shared = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    size = {"storage": "10Gi"}
    own = {"capacity": size, "hostPath": {"path": store}}
    yield {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": CLAIM},
        "spec": {**shared, **own},
    }
    wanted = {"volumeName": CLAIM, "resources": {"requests": size}}
    yield _named("v1", "PersistentVolumeClaim", CLAIM, spec={**shared, **wanted})


def _named(version: str, kind: str, name: str, **content: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def _kind(
    group: str,
    version: str,
    kind: str,
    plural: str,
    scope: str = "Namespaced",
    subresources: Any = None,
) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
            },
            "scope": scope,
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _ANYTHING},
                    "subresources": subresources or {},
                }
            ],
        },
    }
