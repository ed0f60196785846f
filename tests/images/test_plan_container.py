"""A planned image runs its steps: without root, without a writable root, with what was planned."""

from __future__ import annotations

import json
from pathlib import Path

from tests.engines.docker import Docker
from tests.images.test_plan_commands import Folder, folder

__all__ = ["folder"]


def test_a_step_runs_in_its_image(docker: Docker, folder: Folder, tmp_path: Path) -> None:
    folder.variables["DOCKER_HOST"] = docker.host
    references = {
        key: image["reference"] for image in folder.build()["images"] for key in image["steps"]
    }
    store = tmp_path / "store"
    store.mkdir(mode=0o777)
    store.chmod(0o777)
    for step, sources in (("two", {}), ("one", {"number": "two"})):
        request = {
            "pipeline": "flow",
            "run_id": "r",
            "node": step,
            "store": "/store",
            "paths": ["."],
            "step": {"module": "pipeline", "function": step},
            "sources": sources,
        }
        done = docker.run(
            *("run", "--rm", "--read-only", "--network", "none", "--tmpfs", "/tmp"),
            *("--env", "LEVADA_CODE_PINNED=0", "--volume", f"{store}:/store"),
            references[f"pipeline:{step}"],
            *("python", "-m", "levada", json.dumps(request)),
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert folder.compile().returncode == 0
    program = json.loads((folder.path / "out" / "flow.ir.json").read_text())
    assert codes(store) == {step["key"]: step["code"] for step in program["steps"]}
    assert json.loads(done.stdout.splitlines()[-1])["return"] == 6


def codes(store: Path) -> dict[str, str]:
    """The digests that were computed in the containers."""
    found = [json.loads(path.read_text()) for path in store.rglob("record.json")]
    return {record["step"]: record["code"]["digest"] for record in found}
