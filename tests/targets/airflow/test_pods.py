"""The pods that the DAG files start: Kubernetes takes them, in a namespace that is restricted."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.engines import airflow as engine
from tests.engines.required import require_engine
from tests.pods.kubernetes_expansion import expand

from .build_pods import RUN_ID
from .emission import golden

if TYPE_CHECKING:
    from tests.cluster.cluster import ApiServer

pytestmark = pytest.mark.engine

TEXT = "a $(HOME) $$(HOME) {{ ti }} {% raw %} '\"\\ \N{BALLOON}"
CONNECTION = json.dumps({"conn_type": "kubernetes"})
NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "ml", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
}


@pytest.fixture(scope="module", params=engine.VERSIONS)
def pods(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The pods of the case `in_pods` by task, as each Airflow builds them."""
    version = request.param
    require_engine(
        f"Airflow {version}",
        is_installed=engine.is_installed(version),
        install=f"python -m tests.engines.airflow install {version}",
    )
    home = str(tmp_path_factory.mktemp("airflow"))
    done = subprocess.run(
        [
            *(
                str(engine.python(version)),
                "-W",
                "ignore",
                "-m",
                "tests.targets.airflow.build_pods",
            ),
            *(str(golden("in_pods")), json.dumps({"path": TEXT})),
        ],
        env={**os.environ, "AIRFLOW_HOME": home, "AIRFLOW_CONN_KUBERNETES_DEFAULT": CONNECTION},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_restricted_namespace_takes_each(pods: Any, api_server: ApiServer) -> None:
    api_server.kubectl("apply", "--filename=-", stdin=json.dumps(NAMESPACE))
    account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: steps, namespace: ml}"
    api_server.kubectl("apply", "--filename=-", stdin=account)
    listed = {"apiVersion": "v1", "kind": "List", "items": list(pods.values())}
    api_server.kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(listed))


def test_it_would_refuse_the_sidecar_as_airflow_makes_it(pods: Any, api_server: ApiServer) -> None:
    api_server.kubectl("apply", "--filename=-", stdin=json.dumps(NAMESPACE))
    pod = copy.deepcopy(pods["pick"])
    del pod["spec"]["containers"][1]["securityContext"]
    done = api_server.kubectl(
        "create", "--dry-run=server", "--filename=-", stdin=json.dumps(pod), check=False
    )
    assert "violates PodSecurity" in done.stderr


def test_what_users_write_reaches_the_step_as_it_is(pods: Any) -> None:
    container = pods["train"]["spec"]["containers"][0]
    variables = {each["name"]: each.get("value", "secret") for each in container["env"]}
    assert json.loads(expand(variables["LEVADA_PARAMS"], {"HOME": "/tmp"})) == {"path": TEXT}
    assert expand(variables["LEVADA_RUN_ID"], {"HOME": "/tmp"}) == RUN_ID


def test_a_step_has_what_its_settings_say(pods: Any) -> None:
    train = pods["train"]["spec"]
    assert train["nodeSelector"] == {"gpu": "a100"}
    assert [each["key"] for each in train["tolerations"]] == ["gpu"]
    amounts = {"cpu": "1500m", "memory": "4Gi", "nvidia.com/gpu": "1"}
    assert train["containers"][0]["resources"] == {"limits": amounts, "requests": amounts}
    load = pods["load"]["spec"]["containers"][0]
    assert {each["mountPath"]: each.get("readOnly", False) for each in load["volumeMounts"]} == {
        "/airflow/xcom": False,
        "/tmp": False,
        "/store": False,
        "/data": True,
    }
    secrets = {each["name"]: each["valueFrom"] for each in load["env"] if "valueFrom" in each}
    assert secrets["TOKEN"] == {"secretKeyRef": {"key": "token", "name": "churn"}}


def test_what_decides_needs_nothing_of_that(pods: Any) -> None:
    items = pods["for_depth"]["spec"]
    assert items["containers"][0]["image"] == pods["load"]["spec"]["containers"][0]["image"]
    assert not [each for each in items["containers"][0]["env"] if "valueFrom" in each]
    assert "resources" not in items["containers"][0]
