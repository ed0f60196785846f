"""A real Airflow whose tasks are pods of a real Kubernetes, in a restricted namespace."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cluster.cluster import CLAIM, Namespace
from tests.conformance.engines.airflow_docker import ContainerProject
from tests.conformance.engines.docker import copy_cases
from tests.conformance.engines.kubernetes import in_bucket
from tests.engines.airflow import Airflow
from tests.engines.object_stores.servers import Bucket

OPTIONS = """
[tool.levada.targets.airflow]
executor = "kubernetes"
kubernetes_conn_id = {connection}
namespace = {namespace}
store = {store}
volumes = [{{claim = {claim}, path = {volume}}}]
"""
IN_BUCKET = """
[tool.levada.targets.airflow]
executor = "kubernetes"
kubernetes_conn_id = {connection}
namespace = {namespace}
store = {store}
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


def make_in_bucket(
    folder: Path, space: Namespace, connection: str, bucket: Bucket
) -> ContainerProject:
    """Copy the cases to where their store is in a bucket; no pod has a volume of it."""
    project = copy_cases(folder)
    options = in_bucket(space, bucket)
    given = {"connection": connection, "namespace": space.name, "store": bucket.url}
    lines = [IN_BUCKET.format(**{name: json.dumps(value) for name, value in given.items()})]
    for name in ("store_environment", "store_secrets"):
        table = ", ".join(f"{key} = {json.dumps(value)}" for key, value in options[name].items())
        lines.append(f"{name} = {{{table}}}\n")
    with (project.root / "pyproject.toml").open("a") as file:
        file.writelines(lines)
    return ContainerProject(project, space.cluster.registry, bucket.url, folder / "files")


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
