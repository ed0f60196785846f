"""A real Airflow whose tasks are pods of a real Kubernetes, in a restricted namespace."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cluster.cluster import CLAIM, Namespace
from tests.conformance.engines.airflow_docker import ContainerProject
from tests.conformance.engines.docker import copy_cases
from tests.engines.airflow import Airflow

OPTIONS = """
[tool.levada.targets.airflow]
executor = "kubernetes"
kubernetes_conn_id = {connection}
namespace = {namespace}
store = {store}
volumes = [{{claim = {claim}, path = {volume}}}]
"""


def make(folder: Path, space: Namespace, connection: str, more: str = "") -> ContainerProject:
    """Copy the cases to where they have requirements, a base image and options of the target.

    The volume is in each pod where it is on this machine, for cases are told of files in it.
    """
    project = copy_cases(folder)
    places = [space.store / "store", space.store / "files"]
    for place in places:
        place.mkdir()
        place.chmod(0o777)
    options = {
        "connection": connection,
        "namespace": space.name,
        "store": str(places[0]),
        "claim": CLAIM,
        "volume": str(space.store),
    }
    with (project.root / "pyproject.toml").open("a") as file:
        file.write(OPTIONS.format(**{name: json.dumps(value) for name, value in options.items()}))
        file.write(more)
    return ContainerProject(project, space.cluster.registry, *places)


def connect(server: Airflow, space: Namespace, sidecar: str) -> str:
    """Tell Airflow of the cluster, as an administrator of it would; give the connection's id."""
    extra = {
        "in_cluster": False,
        "kube_config_path": str(space.cluster.kubeconfig),
        "xcom_sidecar_container_image": sidecar,
    }
    name = f"kubernetes_{space.name}"
    body = {"connection_id": name, "conn_type": "kubernetes", "extra": json.dumps(extra)}
    server.api.post("/connections", body)
    return name
