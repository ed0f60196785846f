"""What the tests of images share."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from levada_backends.images.base import Bases
from levada_backends.images.direct import DirectBuilder
from levada_backends.images.layers import LayerCache
from levada_backends.images.make_base import make_base

from . import parts
from .index import make_index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from levada_backends.images.image import Wheel


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base image of this Python."""
    archive = tmp_path_factory.mktemp("base") / "base.tar"
    return f"oci:{archive}@{make_base(archive)}"


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of `cases/plans.md`: a folder."""
    return make_index(tmp_path_factory.mktemp("index"))


@pytest.fixture(scope="session")
def greeting(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    """A wheel with one of everything."""
    return parts.make_wheel(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def cache_of_base(base: str, tmp_path_factory: pytest.TempPathFactory) -> LayerCache:
    """A cache that has seen the base and nothing else: to look into one takes a second."""
    cache = LayerCache(tmp_path_factory.mktemp("cache"))
    bases = Bases(cache)
    bases.contents(bases.open(base, "linux/amd64"))
    return cache


@pytest.fixture
def cache(tmp_path: Path, cache_of_base: LayerCache) -> LayerCache:
    """A cache without layers."""
    shutil.copytree(cache_of_base.folder, tmp_path / "cache", copy_function=os.link)
    return LayerCache(tmp_path / "cache")


@pytest.fixture
def builder(
    cache: LayerCache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[DirectBuilder]:
    """A direct builder with an empty cache, no engine and no credentials."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with_none = DirectBuilder(cache, parts.fetch, docker_host=parts.NO_ENGINE)
    yield with_none
    with_none.close()
