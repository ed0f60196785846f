"""What the container of a step may use, on an engine of two CPUs."""

from __future__ import annotations

from typing import Any

import pytest
from levada_backends.docker import container

IMAGE = container.StepImage("image", "image@sha256:0", "sha256:0")


def host_config(
    resources: dict[str, Any], cores: int = 2, network: str | None = None
) -> dict[str, Any]:
    made = container.running(
        IMAGE,
        request="request.json",
        user="0:0",
        folders=(),
        settings={"resources": resources},
        labels={},
        cores=cores,
        store="s3://bucket/levada",
        network=network,
    )
    found: dict[str, Any] = made["HostConfig"]
    return found


@pytest.mark.parametrize(
    ("cpu", "given", "warning"),
    [
        (0.5, 500_000_000, ""),
        (2, 2_000_000_000, ""),
        ("1500m", 1_500_000_000, ""),
        (
            8,
            2_000_000_000,
            "the step may use 2 CPUs, all that the Docker engine has: resources.cpu is 8",
        ),
    ],
)
def test_no_more_cpus_than_the_engine_has(cpu: object, given: int, warning: str) -> None:
    """The engine refuses a container with a limit beyond its CPUs."""
    assert host_config({"cpu": cpu})["NanoCpus"] == given
    assert container.too_many_cores({"resources": {"cpu": cpu}}, 2) == warning


def test_an_engine_that_does_not_say_what_it_has() -> None:
    assert host_config({"cpu": 8}, cores=0)["NanoCpus"] == 8_000_000_000
    assert container.too_many_cores({"resources": {"cpu": 8}}, 0) == ""


def test_a_network() -> None:
    """By default it is the engine's own."""
    assert "NetworkMode" not in host_config({})
    assert host_config({}, network="host")["NetworkMode"] == "host"


def test_memory_is_without_swap() -> None:
    found = host_config({"memory": "64Mi"})
    assert (found["Memory"], found["MemorySwap"]) == (64 * 2**20, 64 * 2**20)


def test_a_container_has_what_reaches_its_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """And of the machine's other variables none."""
    for name in ("AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "OTHER"):
        monkeypatch.setenv(name, f"its {name}")
    made = container.running(
        IMAGE,
        request="request.json",
        user="0:0",
        folders=(),
        settings={},
        labels={},
        cores=2,
        store="s3://bucket/levada",
    )
    assert "AWS_REGION=its AWS_REGION" in made["Env"]
    assert "AWS_SECRET_ACCESS_KEY=its AWS_SECRET_ACCESS_KEY" in made["Env"]
    assert not [each for each in made["Env"] if "OTHER" in each or "AZURE" in each]
