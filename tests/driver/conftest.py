"""What the tests of the driver share on a cluster."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, Namespace

from .deployment import build_image

CASES = Path(__file__).parent / "cases"


@pytest.fixture(scope="session")
def image(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of all pipelines in `cases`."""
    root = tmp_path_factory.mktemp("steps") / "project"
    shutil.copytree(CASES, root)
    return build_image(root, cluster.registry)


@pytest.fixture(scope="module")
def space(cluster: Cluster) -> Iterator[Namespace]:
    """A namespace for a module of tests."""
    with cluster.namespace() as space:
        yield space
