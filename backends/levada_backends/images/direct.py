"""The direct builder: writes an image's layers itself, and needs no engine.

One layer a locked wheel, one for the environment around them, one for the Levada runtime, one for
the project's part that the steps need. Layers are made once and shared by all images; a change in
a step makes one small layer anew. The same spec gives the same bytes with the same CPython (its
patch release compiles the bytecode), whatever the machine.
"""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from . import delivery, engine, interpreters, oci
from .assembled import BUILDER, Assembled, image_config
from .base import Bases
from .image import Event, ImageError
from .recipe import Recipe, grouped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from .base import Base
    from .image import BuiltImage, ImageSpec, OnEvent
    from .layers import CachedLayer, LayerCache
    from .recipe import Fetch


class DirectBuilder:
    """Builds without an engine. ``fetch`` gives the verified file of a wheel.

    ``insecure`` names registries that are spoken to without TLS (the loopback always is);
    ``docker_host`` is where images are loaded that are not pushed, by default Docker's own.
    """

    name = BUILDER

    def __init__(
        self,
        cache: LayerCache,
        fetch: Fetch,
        *,
        insecure: Collection[str] = (),
        docker_host: str = "",
    ) -> None:
        self._cache = cache
        self._fetch = fetch
        self._bases = Bases(cache, insecure)
        self._docker_host = docker_host

    def close(self) -> None:
        """Close the connections to registries."""
        self._bases.close()

    def pin(self, base: str, platform: str) -> str:
        """Give the reference of a base image with its digest. Raises ImageError."""
        return self._bases.pin(base, platform)

    def why_not(self, spec: ImageSpec) -> str | None:
        """Say why an engine is needed for this image, None if it is not."""
        if spec.sdists:
            first = spec.sdists[0]
            return f"{first.name} {first.version} has no wheel for {spec.platform} and is compiled"
        if spec.apt:
            return f"Debian packages ({', '.join(spec.apt)}) are installed by their own tools"
        if interpreters.find(spec.python) is None:
            return f"there is no Python {spec.python} on this machine to compile its bytecode"
        with contextlib.suppress(ImageError):  # of a base that cannot be had, building will tell
            contents = self._bases.contents(self._bases.open(spec.base, spec.platform))
            if contents.libc == "musl" and any("manylinux" in w.filename for w in spec.wheels):
                return "the base image has musl (Alpine) and the locked wheels are for glibc"
        return None

    def build(
        self, spec: ImageSpec, *, push: str | None = None, on_event: OnEvent | None = None
    ) -> BuiltImage:
        """Build an image, then push it, or load it into an engine if there is one.

        With neither, ``reference`` is an OCI layout in the cache. Raises ImageError and OSError.
        """
        tell = on_event or _tell_nobody
        try:
            built = self._build(spec, push, tell)
        except delivery.DamagedLayerError:  # it is out of the cache now
            built = self._build(spec, push, tell)
        tell(Event("done", spec.name, built.reference))
        return built

    def _build(self, spec: ImageSpec, push: str | None, tell: OnEvent) -> BuiltImage:
        image = self._assemble(spec, tell)
        if push is not None:
            return delivery.push(image, self._bases, self._cache, push, tell)
        host = self._docker_host or engine.address()
        docker = engine.Engine(host)
        if docker.is_there():
            return delivery.load(image, docker, self._bases, self._cache, tell)
        return delivery.keep(image, self._bases, self._cache)

    def _assemble(self, spec: ImageSpec, tell: OnEvent) -> Assembled:
        if (reason := self.why_not(spec)) is not None:
            raise ImageError(f"{spec.name} cannot be built directly: {reason}")
        base = self._bases.open(spec.base, spec.platform)
        python = self._base_python(base, spec.python)
        layers = self._layers(spec, python, len(base.manifest.layers), tell)
        config = oci.encode(image_config(spec, base, [layer for layer, _ in layers]))
        manifest = oci.Manifest(
            oci.describe(oci.CONFIG, config),
            (*base.manifest.layers, *(layer.descriptor for layer, _ in layers)),
        ).encode()
        return Assembled(spec, base, tuple(layers), config, manifest)

    def _base_python(self, base: Base, python: str) -> str:
        pythons = self._bases.contents(base).pythons
        if python in pythons:
            return pythons[python]
        found = f"it has Python {', '.join(sorted(pythons))}" if pythons else "it has no Python"
        raise ImageError(
            f"the base image {base.reference} has no Python {python}: {found}",
            f"use one that has, such as python:{python}-slim, or set `python`",
        )

    def _layers(
        self, spec: ImageSpec, python: str, below: int, tell: OnEvent
    ) -> list[tuple[CachedLayer, bool]]:
        interpreter = interpreters.find(spec.python)
        assert interpreter is not None, "why_not has looked"  # noqa: S101
        recipe = Recipe(spec, interpreter, python, self._fetch, tell)
        makers = [
            *(partial(recipe.wheels, group) for group in grouped(spec.wheels, below)),
            recipe.environment,
            recipe.runtime,
            recipe.project,
        ]

        def make(
            maker: Callable[[LayerCache], tuple[CachedLayer, bool]],
        ) -> tuple[CachedLayer, bool]:
            layer, was_there = maker(self._cache)
            size = layer.descriptor.size
            tell(Event("layer", spec.name, layer.title, size, size))
            return layer, was_there

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            return list(pool.map(make, makers))


def _tell_nobody(_: Event) -> None:
    """Say nothing."""
