"""Run compiled files by KFP's local runner, in its own environment, by `tests.engines.kubeflow`.

Standard input is `{"folder", "runs": [{"file", "arguments", "mounts"}]}`; the last line of standard
output says how each run ended. One process for all: importing `kfp` takes longer than most runs.
A run may have a `network`, and `secrets`: the variables that a cluster would take from Secrets.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import warnings
from typing import Any

import docker
from docker.types import Mount
from kfp import components, local
from kfp.local import docker_task_handler, logging_utils


def run_container(
    client: docker.DockerClient,
    image: str,
    command: list[str],
    volumes: dict[str, Any],
    **options: Any,
) -> int:
    """Run a container and give its exit code.

    KFP's own function asks for it when the engine may have removed the container already, and takes
    that for success.
    """
    try:
        client.images.get(image)
    except docker.errors.ImageNotFound:
        client.images.pull(image)
    started = client.containers.run(image, command, detach=True, volumes=volumes, **options)
    try:
        code: int = started.wait()["StatusCode"]
        print(started.logs().decode(errors="replace"), end="")
        return code
    finally:
        started.remove(force=True)


def run_container_with(secrets: dict[str, str]) -> Any:
    """Make what runs a container; of Levada's containers, each has the secrets besides.

    KFP's local runner ignores what a compiled file says of Kubernetes, `secretAsEnv` among it.
    """

    def run_with_secrets(*arguments: Any, environment: Any = None, **options: Any) -> int:
        has_store = "LEVADA_STORE" in (environment or {})
        variables = {**environment, **secrets} if has_store else environment
        return run_container(*arguments, environment=variables, **options)

    return run_with_secrets


def run(folder: str, given: dict[str, Any]) -> dict[str, Any]:
    """One run, in a folder of its own."""
    said = io.StringIO()
    docker_task_handler.run_docker_container = run_container_with(given.get("secrets", {}))
    mounts = [Mount(to, at, type="bind") for at, to in given["mounts"].items()]
    network = given.get("network", "none")
    runner = local.DockerRunner(mounts=mounts, user="0:0", network_mode=network)
    local.init(runner=runner, raise_on_error=True, pipeline_root=f"{folder}/outputs")
    handler = logging.StreamHandler(said)
    logging.getLogger().addHandler(handler)
    error = ""
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            pipeline = components.load_component_from_file(given["file"])
            pipeline(**given["arguments"])
        except Exception as failure:  # noqa: BLE001
            error = f"{type(failure).__name__}: {failure}"
    logging.getLogger().removeHandler(handler)
    return {"error": error, "log": said.getvalue()}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    # KFP's own replaces `print` for all threads and gives it back in any order: what is left over
    # calls itself twice a level, so a process with many loops prints for hours.
    logging_utils.indented_print = contextlib.nullcontext
    asked = json.load(sys.stdin)
    print(json.dumps([run(asked["folder"], each) for each in asked["runs"]]))
