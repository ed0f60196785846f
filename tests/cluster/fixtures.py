"""Fixtures: one Kubernetes for the whole session, started when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engines.required import require_engine

from . import attached, given
from . import cluster as engine
from .cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .cluster import ApiServer


@pytest.fixture(scope="session")
def api_server() -> Iterator[ApiServer]:
    """An API server alone: it says what it would refuse, and nothing runs."""
    if (named := given.find()) is not None:
        yield named
        return
    require_engine(
        "Kubernetes' API server",
        is_installed=engine.is_installed(api_only=True),
        install=f"{engine.INSTALL} --api-only",
    )
    if (started := attached.find(api_only=True)) is not None:
        yield started
        return
    with engine.start_api_server() as running:
        yield running


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A whole Kubernetes: jobs run, images are pulled, volumes are written."""
    if (named := given.find()) is not None:
        yield named
        return
    require_engine("Kubernetes", is_installed=engine.is_installed(), install=engine.INSTALL)
    if isinstance(started := attached.find(api_only=False), Cluster):
        yield started
        return
    with engine.start() as running:
        yield running
