"""Where a finished image goes: a registry, an engine, or an OCI layout in the cache."""

from __future__ import annotations

import contextlib
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from . import oci, places
from .connections import RegistryError
from .image import Event, ImageError
from .reference import parse_reference

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from . import engine
    from .assembled import Assembled
    from .base import Bases
    from .image import BuiltImage, OnEvent
    from .layers import CachedLayer, LayerCache


_UPLOADS = 4  # at once


class DamagedLayerError(ImageError):
    """Blobs in the cache are not what their names say; they have been dropped."""


def push(
    image: Assembled, bases: Bases, cache: LayerCache, registry: str, tell: OnEvent
) -> BuiltImage:
    """Push an image to ``host[:port][/prefix]``. Raises ImageError, DamagedLayerError, OSError."""
    return _Push(image, bases, cache, registry, tell).run()


def _check(image: Assembled, cache: LayerCache, cause: Exception | None = None) -> None:
    """Drop what is damaged of an image's layers in the cache. Raises DamagedLayerError for any."""
    layers = [*image.base.manifest.layers, *(layer.descriptor for layer, _ in image.layers)]
    damaged = [layer for layer in layers if cache.drop_if_damaged(layer.digest)]
    if damaged:
        raise DamagedLayerError(
            f"layers of {image.spec.name} are damaged in {cache.folder}", "is the disk sound?"
        ) from cause


class _Push:
    """One image's way to a registry: what is missing of its layers, then the manifest."""

    def __init__(
        self, image: Assembled, bases: Bases, cache: LayerCache, push: str, tell: OnEvent
    ) -> None:
        host = push.partition("/")[0]
        reference = parse_reference(f"{push.rstrip('/')}/{image.spec.name}")
        if "." not in host and ":" not in host and host != "localhost":
            raise ImageError(
                f"{push!r} is no registry", "write its host, with a port or a domain, then a path"
            )
        self._image = image
        self._bases = bases
        self._cache = cache
        self._host = reference.host
        self._repository = reference.repository
        self._registry = bases.registry(reference.host)
        self._tell = tell
        self._of_base = {layer.digest for layer in image.base.manifest.layers}

    def run(self) -> BuiltImage:
        image = self._image
        if not self._registry.has_manifest(self._repository, image.digest, len(image.manifest)):
            with ThreadPoolExecutor(_UPLOADS) as pool:
                list(pool.map(self._base_layer, dict.fromkeys(image.base.manifest.layers)))
                list(pool.map(self._own_layer, image.layers))
            config = oci.describe(oci.CONFIG, image.config)
            self._upload(config, "configuration", lambda: image.config)
            self._registry.put_manifest(self._repository, image.tag, image.manifest, oci.MANIFEST)
        reference = f"{self._host}/{self._repository}@{image.digest}"
        return image.built(reference, pushed=True)

    def _base_layer(self, layer: oci.Descriptor) -> None:
        self._upload(layer, "base", partial(self._bases.layer, self._image.base, layer))

    def _own_layer(self, layer: tuple[CachedLayer, bool]) -> None:
        self._upload(layer[0].descriptor, layer[0].title, lambda: layer[0].path)

    def _upload(
        self, blob: oci.Descriptor, title: str, content: Callable[[], bytes | Path]
    ) -> None:
        digest = blob.digest
        if self._registry.has_blob(self._repository, digest, blob.size):
            self._note(digest)
            return
        data = content()

        def sent(count: int) -> None:
            self._tell(Event("push", self._image.spec.name, title, count, blob.size))

        try:
            self._registry.put_blob(
                self._repository, digest, data, mount_from=self._mount(digest), on_sent=sent
            )
        except RegistryError as error:
            if 400 <= error.status < 500:
                _check(self._image, self._cache, error)
            raise
        self._note(digest)

    def _mount(self, digest: str) -> str:
        """Name a repository of the registry that has the blob: the base's, or where we put it."""
        base = self._image.base
        if base.host == self._host and digest in self._of_base:
            return base.repository
        return (self._cache.recall(self._noted(digest)) or b"").decode()

    def _note(self, digest: str) -> None:
        if self._cache.recall(self._noted(digest)) is None:
            self._cache.remember(self._noted(digest), self._repository.encode())

    def _noted(self, digest: str) -> str:
        host = self._host.replace(":", "_")
        return f"pushed/{host}/{digest.removeprefix('sha256:')}"


def load(
    image: Assembled, docker: engine.Engine, bases: Bases, cache: LayerCache, tell: OnEvent
) -> BuiltImage:
    """Load an image into an engine; of layers that it has already, nothing is sent."""
    name = f"{image.spec.name}:{image.tag}"
    known = docker.image(name)
    if known is None or known.id not in (oci.digest_of(image.config), image.digest):
        tell(Event("load", image.spec.name, name))
        shared = max((_common(image, other) for other in docker.images(image.spec.name)), default=0)
        try:
            _send(image, name, docker, bases, cache, shared)
        except ImageError as error:
            _check(image, cache, error)
            if not shared:
                raise
            _send(image, name, docker, bases, cache, 0)  # it has them, but not in a form to reuse
    return image.built(name, pushed=False)


def _common(image: Assembled, other: engine.Loaded) -> int:
    """Count the layers from the bottom that are the same."""
    count = 0
    for ours, theirs in zip(image.diff_ids, other.diff_ids, strict=False):
        if ours != theirs:
            break
        count += 1
    return count


def _send(
    image: Assembled,
    name: str,
    docker: engine.Engine,
    bases: Bases,
    cache: LayerCache,
    skip: int,
) -> None:
    files = _files(image, bases, skip)
    cache.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        blobs: dict[str, bytes | BinaryIO] = {oci.digest_of(image.config): image.config}
        for digest, path in files.items():
            blobs[digest] = stack.enter_context(path.open("rb"))
        archive = stack.enter_context(tempfile.TemporaryFile(dir=cache.folder))
        oci.write_archive(archive, name, image.manifest, blobs)
        size = archive.tell()
        archive.seek(0)
        docker.load(archive, size)


def _files(image: Assembled, bases: Bases, skip: int) -> dict[str, Path]:
    """Give the files of the layers above the first ``skip``."""
    below = len(image.base.manifest.layers)
    base = image.base.manifest.layers[skip:]
    own = image.layers[max(0, skip - below) :]
    files = {layer.digest: bases.layer(image.base, layer) for layer in base}
    return files | {layer.descriptor.digest: layer.path for layer, _ in own}


def keep(image: Assembled, bases: Bases, cache: LayerCache) -> BuiltImage:
    """Make an OCI layout of an image within the cache, its blobs shared with all others."""
    _files(image, bases, 0)  # all of the base's layers are there then
    _check(image, cache)  # nobody else will
    for data in (image.config, image.manifest):
        cache.add_blob(oci.digest_of(data), iter((data,)), image.spec.name)
    name = _layout(image.spec.name, image.digest)
    described = oci.describe(oci.MANIFEST, image.manifest).to_json()
    index = {"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": [described]}
    cache.put(f"{name}/oci-layout", oci.encode({"imageLayoutVersion": "1.0.0"}))
    cache.put(f"{name}/index.json", oci.encode(index))
    blobs = cache.folder / name / "blobs"
    with contextlib.suppress(FileExistsError):
        blobs.symlink_to(os.path.relpath(cache.folder / "blobs", blobs.parent))
    return image.built(f"oci:{cache.folder / name}@{image.digest}", pushed=False)


def is_kept(name: str, digest: str) -> bool:
    """Whether there is an OCI layout of an image in the cache."""
    return (places.cache_folder("layers") / _layout(name, digest) / "index.json").is_file()


def _layout(name: str, digest: str) -> str:
    return f"images/{name}/{digest.removeprefix('sha256:')[:12]}"
