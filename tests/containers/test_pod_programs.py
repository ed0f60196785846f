"""The containers of a container step's pod, one after the other as a kubelet starts them.

A Docker engine runs what the pod of a compiled pipeline has, with its users, variables and volumes.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from levada import values
from levada.driver import jobs
from levada.engine import Attempt
from levada.engine.run_context import RunContext
from levada.handover import content
from levada.store import digest_of, open_store
from levada_backends.images.make_base import make_base

from tests.conformance.engines.docker import PYPROJECT, PYTHON, Project
from tests.containers import tool_images
from tests.containers.compiling import compiled
from tests.engines.docker import Docker

pytestmark = pytest.mark.engine
OWNER = {"metadata": {"name": "run", "uid": "1"}}
OPTIONS = '\n[tool.levada.targets.kubernetes]\nstore = "/store"\nstore_claim = "store"\n'


@dataclass(frozen=True)
class Pods:
    """A compiled pipeline: its plan, and the Jobs of its nodes."""

    docker: Docker
    store: Path
    plan: dict[str, Any]
    driver: dict[str, Any]

    def run(self, node: str, inputs: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
        """Run the containers of an attempt; give what the one that failed said, and the record."""
        store = open_store(str(self.store))
        step = self.plan["steps"][f"programs:{node}"]
        trees = {name: values.encode(value, store) for name, value in inputs.items()}
        attempt = Attempt(node, (), 1, step, step["settings"], trees, {})
        context = RunContext(
            pipeline="programs",
            pipeline_file="programs.py",
            run_id=node,
            parameters={},
            project=".",
            search=["."],
            store=store,
            engine={},
            git=None,
            packages=[],
            use_cache=True,
        )
        path = f"{context.attempt_folder(attempt)}/request.json"
        request = json.dumps(content(context.request(attempt), None)).encode()
        store.write_once(path, request)
        orders = store.put_blob(json.dumps([[path, digest_of(request)]]).encode())
        for each in (self.store, *self.store.rglob("*")):
            each.chmod(0o777)
        template = self.driver["templates"][int(self.driver["jobs"][node])]
        job = jobs.manifest(template, OWNER, jobs.key_of(attempt), orders)
        said = self._start(job["spec"]["template"]["spec"])
        return said, context.record(attempt)

    def _start(self, pod: dict[str, Any]) -> str:
        files = self.docker.run("volume", "create").stdout.strip()
        places = {"levada": files, "claim-store": str(self.store)}
        user = pod["securityContext"]["runAsUser"]
        opened = ["run", "--rm", "--volume", f"{files}:/levada", tool_images.TOOLS]
        self.docker.run(*opened, "chmod", "777", "/levada")
        for container in [*pod["initContainers"], *pod["containers"]]:
            words = ["run", "--rm", "--user", str(user), "--cap-drop", "ALL"]
            for mount in container["volumeMounts"]:
                if mount["name"] in places:
                    words += ["--volume", f"{places[mount['name']]}:{mount['mountPath']}"]
            for each in container["env"]:
                words += ["--env", f"{each['name']}={each['value'].replace('$$', '$')}"]
            command = [word.replace("$$", "$") for word in container.get("command", ())]
            words += ["--entrypoint", command[0]] if command else []
            args = [word.replace("$$", "$") for word in container.get("args", ())]
            done = self.docker.run(*words, container["image"], *command[1:], *args, check=False)
            if done.returncode:
                return f"{container['name']}: {done.stdout}{done.stderr}"
        return ""


@pytest.fixture(scope="module")
def pods(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Pods:
    """The pipelines of `programs.py`, built and compiled."""
    folder = tmp_path_factory.mktemp("pod-programs")
    root, store = folder / "project", folder / "store"
    root.mkdir()
    store.mkdir()
    shutil.copy(Path(__file__).parent / "cases" / "programs.py", root)
    digest = make_base(root / "base.tar")
    (root / "pyproject.toml").write_text(PYPROJECT.format(digest=digest, python=PYTHON) + OPTIONS)
    tool_images.load(docker, root)
    project = Project(root, docker)
    files = compiled(project, "programs", "kubernetes", f"{docker.registry}/cases")
    text = (files / "programs" / "plan.yaml").read_text()
    data = {name: json.loads(found) for name, found in yaml.safe_load(text)["data"].items()}
    return Pods(docker, store, data["plan.json"], data["driver.json"])


def test_a_file_and_json(pods: Pods, tmp_path: Path) -> None:
    (tmp_path / "rows").write_text("a\nb\n")
    said, record = pods.run("count", {"data": tmp_path / "rows", "more": {"rows": 2}})
    assert not said
    assert record is not None
    assert record["status"] == "succeeded"
    assert record["environment"]["image"] == tool_images.TOOLS
    store = open_store(str(pods.store))
    assert values.decode({"$artifact": record["returns"]}, store) == 2


def test_an_image_without_a_shell_and_a_folder(pods: Pods, tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "folder" / "inner" / "a").write_text("1")
    said, record = pods.run("copy", {"source": tmp_path / "folder"})
    assert not said
    assert record is not None
    found = values.decode({"$artifact": record["returns"]}, open_store(str(pods.store)))
    assert (found / "inner" / "a").read_text() == "1"


def test_several_outputs(pods: Pods) -> None:
    said, record = pods.run("measure", {"text": "ab"})
    assert not said
    assert record is not None
    assert {name: each["tree"] for name, each in record["outputs"].items()} == {
        "same": "ab",
        "size": 2.0,
    }
