"""The parts of a pod that follow from settings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from levada_backends.pods import container

from .kubernetes_expansion import expand

TEXT = st.text(alphabet=st.sampled_from("$()AHOME{}'\"\\ é😀\n") | st.characters(codec="utf-8"))


@given(TEXT)
def test_a_text_stays_as_it_is(text: str) -> None:
    assert expand(container.literal(text), {"A": "x", "HOME": "/"}) == text


def test_what_would_happen_without() -> None:
    assert expand("$(HOME) $é", {"HOME": "/"}) == "/ $\xc3\ufffd"


def test_resources_are_limits_and_requests() -> None:
    wanted = {"cpu": 0.5, "memory": "4096Mi", "disk": "10G", "gpu": 2}
    amounts = {"cpu": "500m", "memory": "4Gi", "ephemeral-storage": "10G", "nvidia.com/gpu": "2"}
    assert container.resources(wanted) == {"limits": amounts, "requests": amounts}
    assert container.resources({"gpu": 1, "gpu_type": "amd.com/gpu"})["limits"] == {
        "amd.com/gpu": "1"
    }
    assert container.resources({}) == {}


def test_secrets_are_references() -> None:
    found = container.secret_variables({"TOKEN": "api/token", "KEY": "KEY"}, "shared")
    assert found == [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"key": "token", "name": "api"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"key": "KEY", "name": "shared"}}},
    ]


def test_a_claim_that_is_mounted_twice_is_one_volume() -> None:
    volumes = container.Volumes()
    volumes.add([{"claim": "a.b", "path": "/x"}, {"claim": "a.b", "path": "/y", "read_only": True}])
    (volume,) = volumes.volumes
    assert volume["persistentVolumeClaim"] == {"claimName": "a.b"}
    assert [mount["mountPath"] for mount in volumes.mounts] == ["/x", "/y"]
    assert {mount["name"] for mount in volumes.mounts} == {volume["name"]}
