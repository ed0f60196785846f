"""A cluster that the environment names, instead of the tests' own: kind, minikube, any.

LEVADA_TEST_KUBECONFIG names it. KUBECONFIG does too, if its server is on the loopback, as that of
kind is: what is created and deleted here has no place in a cluster that is in use elsewhere. Tests
that run steps also need

    LEVADA_TEST_REGISTRY   a registry that this machine pushes to and the nodes pull from
    LEVADA_TEST_STORES     a folder that is on this machine and on the node, under the same path
    LEVADA_TEST_HOST       this machine's address, as pods see it

and are skipped where one that they ask for is missing.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from .cluster import Api, Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .cluster import Namespace
    from .node import Containerd


class Given(Cluster):
    """A cluster that belongs to somebody: it is neither taken away nor drained."""

    def __init__(self, kubeconfig: Path) -> None:
        stores = Path(os.environ.get("LEVADA_TEST_STORES", ""))
        host, registry = (os.environ.get(f"LEVADA_TEST_{name}", "") for name in _NAMED)
        super().__init__(kubeconfig, stores, host, registry)

    @property
    def node(self) -> str:
        """Not to be touched."""
        pytest.skip("the node belongs to somebody")

    @property
    def containerd(self) -> Containerd:
        """Not to be reached."""
        pytest.skip("the cluster takes images from a registry only")

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Not to be done."""
        pytest.skip("the API server belongs to somebody")
        yield

    freeze = away

    @contextlib.contextmanager
    def namespace(self) -> Iterator[Namespace]:
        """As in a cluster of the tests' own."""
        if missing := [name for name in _WANTED if not os.environ.get(name)]:
            pytest.skip(f"the cluster is without {', '.join(missing)}")
        with super().namespace() as made:
            yield made
        shutil.rmtree(made.store, ignore_errors=True)


_NAMED = ("HOST", "REGISTRY")
_WANTED = ("LEVADA_TEST_REGISTRY", "LEVADA_TEST_STORES", "LEVADA_TEST_HOST")


def find() -> Given | None:
    """The cluster that is named, or None; it ends the tests if that does not answer."""
    if own := os.environ.get("LEVADA_TEST_KUBECONFIG"):
        kubeconfig = Path(own)
    elif (usual := os.environ.get("KUBECONFIG")) and _is_on_loopback(Path(usual)):
        kubeconfig = Path(usual)
    else:
        return None
    cluster = Given(kubeconfig)
    if not cluster.is_ready():
        pytest.fail(f"the API server of {kubeconfig} does not answer", pytrace=False)
    return cluster


def _is_on_loopback(kubeconfig: Path) -> bool:
    arguments = ("config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}")
    said = Api(kubeconfig).kubectl(*arguments, check=False).stdout
    name = urlsplit(said).hostname or ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(name).is_loopback
    return name == "localhost"
