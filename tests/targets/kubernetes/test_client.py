"""The client in a real cluster: deployed, run, followed, looked at when the pods are gone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from levada_backends.kubernetes.target import TARGET
from levada_compiler.client import ClientError, Compiled, NotDeployedError, Request, Run
from levada_compiler.compilation import compile_file
from levada_compiler.program import plan

from tests.cluster.cluster import Cluster, Namespace
from tests.driver.deployment import STORE, build_image

pytestmark = pytest.mark.engine
CASES = Path(__file__).parents[2] / "driver" / "cases"


@pytest.fixture(scope="module")
def space(cluster: Cluster) -> Iterator[Namespace]:
    with cluster.namespace() as space:
        yield space


@pytest.fixture(scope="module")
def options(
    cluster: Cluster, space: Namespace, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, object]:
    root = tmp_path_factory.mktemp("steps") / "project"
    shutil.copytree(CASES, root)
    return {
        "image": build_image(root, cluster.registry),
        "store": STORE,
        "store_claim": "store",
        "indexed_from": 2,
        "namespace": space.name,
        "kubeconfig": str(cluster.kubeconfig),
    }


def compiled(pipeline: str, options: dict[str, object]) -> Compiled:
    program = compile_file(CASES / "faults.py", pipeline).program
    assert program is not None
    return Compiled(pipeline, TARGET.emit(program, options), plan.plan(program))


def test_from_a_deploy_to_a_retry(options: dict[str, object], space: Namespace) -> None:
    from levada_backends.kubernetes.client import KubernetesClient

    client = KubernetesClient(options, ".")
    chain = compiled("chain", options)
    with pytest.raises(NotDeployedError):
        client.verify(chain)
    assert {change.status for change in client.deploy(chain, dry_run=True)} == {"new"}
    assert {change.status for change in client.deploy(chain)} == {"new"}
    assert {change.status for change in client.deploy(chain)} == {"unchanged"}
    client.verify(chain)

    with pytest.raises(ClientError, match=r"the parameters have 130,0\d\d bytes, .* `folder`"):
        client.submit(chain, Request({"folder": "x" * 130_000}))
    longest = client.submit(chain, Request({"folder": "x" * 126_900}))
    assert client.find("chain", longest.run_id) == longest
    client.cancel(longest)
    run = client.submit(chain, Request({"folder": "client", "count": 2}))
    seen = [state.status for state in client.follow(run)]
    assert seen[-1] == "succeeded"
    assert client.find("chain", run.run_id) == run
    assert client.outputs(run) == [2, "closed"]
    state = client.status(run)
    steps = {(step.node, step.map_index): step for step in state.steps}
    assert {step.status for step in state.steps} == {"succeeded", "skipped"}
    assert steps["doubled", (1,)].attempt == 2
    doubled = steps["doubled", (1,)]
    assert "ValueError: the first attempt" in client.log(run, doubled, 1)
    space.kubectl("delete", "pods", "--all", "--wait=true")
    assert "ValueError: the first attempt" in client.log(run, doubled, 1)

    again = client.retry(run)
    assert [s.status for s in client.follow(again)][-1] == "succeeded"
    assert _executed(client.status(again).steps) == set()
    with pytest.raises(NotDeployedError):
        client.verify(compiled("chain", {**options, "timeout": 100}))


def _executed(steps: object) -> set[str]:
    return {step.node for step in steps if step.status == "succeeded" and not step.cached}  # type: ignore[attr-defined]


def test_a_run_is_cancelled(options: dict[str, object]) -> None:
    from levada_backends.kubernetes.client import KubernetesClient

    client = KubernetesClient(options, ".")
    waiting = compiled("waiting", options)
    client.deploy(waiting)
    run = client.submit(waiting, Request({"folder": "client-cancel"}, run_id="mine"))
    assert run.run_id.startswith("mine-")
    for state in client.follow(run):
        if any(step.status == "running" for step in state.steps):
            client.cancel(run)
    assert state.status == "cancelled"
    assert {(s.node, s.status) for s in state.steps} == {
        ("waits", "cancelled"),
        ("closed", "succeeded"),
    }
    assert isinstance(client.find("waiting", "mine"), Run)
