"""Base images: from a registry, or from a file (an OCI archive or layout).

A file is written ``oci:PATH``, with ``@sha256:…`` behind it once it is pinned; everything else
names an image of a registry. What is pinned and was seen before is answered from the cache; the
layers of a base are fetched only where they are needed.
"""

from __future__ import annotations

import contextlib
import io
import json
import posixpath
import re
import tarfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from levada_compiler.slotted import dataclass

from . import oci
from .image import ImageError
from .reference import parse_reference
from .registry import Registry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from .layers import LayerCache

FILE = "oci:"
_CHUNK = 1 << 20
_PYTHON = re.compile(r"(?:^|/)bin/python(3\.\d+)$")
_MUSL = re.compile(r"(?:^|/)lib/ld-musl-[^/]+$")
_GLIBC = re.compile(r"(?:^|/)ld-linux[^/]*\.so\.\d+$")
_WHITEOUT = ".wh."


class Origin(Protocol):
    """Where a base image's parts come from."""

    def manifest(self, reference: str) -> bytes | None:
        """Give a manifest or an index by tag or digest."""

    def blob(self, digest: str) -> Iterator[bytes]:
        """Give a blob in pieces."""


@dataclass(frozen=True, slots=True)
class Base:
    """A base image for one platform.

    ``reference`` is pinned by digest, ``digest`` that of its manifest. ``host`` and ``repository``
    say where its layers may be mounted from; both are empty for a file.
    """

    reference: str
    digest: str
    manifest: oci.Manifest
    config: dict[str, Any]
    origin: Origin
    host: str = ""
    repository: str = ""

    @property
    def name(self) -> str:
        """Its reference without the digest."""
        return self.reference.partition("@")[0]

    @property
    def diff_ids(self) -> list[str]:
        """The digests of its layers' tar files."""
        return [str(item) for item in self.config["rootfs"]["diff_ids"]]

    @property
    def settings(self) -> dict[str, Any]:
        """What it says of how to run it: ``Env``, ``Labels``, …; empty where it says nothing."""
        settings: dict[str, Any] = self.config.get("config") or {}
        return settings

    def variable(self, name: str) -> str:
        """Give a variable of its environment, empty if it is not set."""
        for item in self.settings.get("Env") or ():
            key, _, value = str(item).partition("=")
            if key == name:
                return value
        return ""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a base has: Pythons by minor version; its C library (``glibc``, ``musl`` or empty)."""

    pythons: dict[str, str]
    libc: str


class Bases:
    """Opens base images. Safe to use from several threads; ``close`` ends the connections."""

    def __init__(self, cache: LayerCache, insecure: Collection[str] = ()) -> None:
        self._cache = cache
        self._insecure = insecure
        self._registries: dict[str, Registry] = {}
        self._guard = threading.Lock()

    def close(self) -> None:
        """Close the connections to registries."""
        for registry in self._registries.values():
            registry.close()

    def registry(self, host: str) -> Registry:
        """Give the client of a registry, one for all threads."""
        with self._guard:
            if host not in self._registries:
                self._registries[host] = Registry(host, insecure=self._insecure)
            return self._registries[host]

    def pin(self, reference: str, platform: str) -> str:
        """Give a reference with the digest that it has now. Raises ImageError."""
        return self.open(reference, platform).reference

    def open(self, reference: str, platform: str) -> Base:
        """Open the image of a reference for a platform (``linux/amd64``). Raises ImageError."""
        origin: Origin
        host = repository = ""
        if reference.startswith(FILE):
            name, _, digest = reference.partition("@")
            origin = _File(Path(name.removeprefix(FILE)))
            tag = ""
        else:
            parsed = parse_reference(reference)
            host, repository = parsed.host, parsed.repository
            digest, tag = parsed.digest, parsed.tag
            name = f"{host}/{repository}" + (f":{tag}" if tag else "")
            origin = _Remote(self.registry(host), repository)
        top = self._manifest(origin, digest or tag, reference)
        pinned = f"{name}@{digest or oci.digest_of(top)}"
        manifest, data = self._for_platform(origin, top, platform, pinned)
        config = self._config(origin, manifest, platform, pinned)
        return Base(pinned, oci.digest_of(data), manifest, config, origin, host, repository)

    def layer(self, base: Base, layer: oci.Descriptor) -> Path:
        """Give the file of one of its layers, fetched if need be. Raises ImageError."""
        if (path := self._cache.blob(layer.digest, layer.size)) is not None:
            return path
        what = f"a layer of {base.reference}"
        return self._cache.add_blob(layer.digest, base.origin.blob(layer.digest), what)

    def contents(self, base: Base) -> Contents:
        """Look into the layers of a base. Raises ImageError; remembered by digest."""
        name = f"bases/{base.digest.removeprefix('sha256:')}.json"
        if (known := self._cache.recall(name)) is None:
            paths: dict[str, None] = {}
            for layer in base.manifest.layers:
                self._read_layer(paths, base, layer)
            known = oci.encode(_contents(paths, base.variable("PATH")))
            self._cache.remember(name, known)
        return Contents(**json.loads(known))

    def _read_layer(self, paths: dict[str, None], base: Base, layer: oci.Descriptor) -> None:
        before = dict(paths)
        try:
            _apply(paths, self.layer(base, layer), base.reference)
        except ImageError:
            if not self._cache.drop_if_damaged(layer.digest):
                raise
            paths.clear()
            paths.update(before)
            _apply(paths, self.layer(base, layer), base.reference)

    def _manifest(self, origin: Origin, reference: str, what: str) -> bytes:
        is_digest = reference.startswith("sha256:")
        if is_digest and (known := self._cache.read_blob(reference)) is not None:
            return known
        if (data := origin.manifest(reference)) is None:
            raise ImageError(
                f"there is no image {what}", "check the name of the base image, and its digest"
            )
        digest = oci.digest_of(data)
        if is_digest and digest != reference:
            raise ImageError(f"{what} is damaged: its manifest is {digest}")
        self._cache.add_blob(digest, iter((data,)), what)
        return data

    def _for_platform(
        self, origin: Origin, top: bytes, platform: str, what: str
    ) -> tuple[oci.Manifest, bytes]:
        data = top
        for _ in range(3):  # an index may hold indexes; nobody nests them deeper
            if "manifests" not in oci.read_json(data, what):
                return oci.read_manifest(data, what), data
            data = self._manifest(origin, oci.choose_platform(data, platform, what), what)
        raise ImageError(f"{what} is an index of indexes")

    def _config(
        self, origin: Origin, manifest: oci.Manifest, platform: str, what: str
    ) -> dict[str, Any]:
        digest = manifest.config.digest
        data = self._cache.read_blob(digest)
        if data is None:
            of_base = f"the configuration of {what}"
            data = self._cache.add_blob(digest, origin.blob(digest), of_base).read_bytes()
        config = oci.read_json(data, what)
        layers = config.get("rootfs", {}).get("diff_ids", [])
        if len(layers) != len(manifest.layers):
            raise ImageError(f"the configuration of {what} does not go with its layers")
        found = f"{config.get('os')}/{config.get('architecture')}"
        if not platform.startswith(found):
            raise ImageError(f"{what} is for {found}, not for {platform}", "use another base image")
        return config


class _Remote:
    def __init__(self, registry: Registry, repository: str) -> None:
        self._registry = registry
        self._repository = repository

    def manifest(self, reference: str) -> bytes | None:
        found = self._registry.manifest(self._repository, reference)
        return None if found is None else found[2]

    def blob(self, digest: str) -> Iterator[bytes]:
        return self._registry.blob(self._repository, digest)


class _MissingError(ImageError):
    """A file is not in an archive."""


class _File:
    """An OCI layout, as a folder or as a tar of one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def manifest(self, reference: str) -> bytes | None:
        if reference:
            with contextlib.suppress(_MissingError):
                return b"".join(self.blob(reference))
            return None
        index = oci.read_json(b"".join(self._read("index.json")), str(self._path))
        entries = index.get("manifests", [])
        if len(entries) == 1:
            return b"".join(self.blob(str(entries[0]["digest"])))
        return b"".join(self._read("index.json"))

    def blob(self, digest: str) -> Iterator[bytes]:
        return self._read(oci.blob_path(digest))

    def _read(self, name: str) -> Iterator[bytes]:
        try:
            if self._path.is_dir():
                with (self._path / name).open("rb") as file:
                    yield from iter(lambda: file.read(_CHUNK), b"")
                return
            with (
                tarfile.open(self._path) as archive,
                archive.extractfile(name) or io.BytesIO() as member,
            ):
                yield from iter(lambda: member.read(_CHUNK), b"")
        except (FileNotFoundError, KeyError) as error:
            raise self._missing(name) from error
        except (OSError, tarfile.TarError) as error:
            raise ImageError(f"{self._path} cannot be read: {error}") from error

    def _missing(self, name: str) -> ImageError:
        if not self._path.exists():
            return ImageError(
                f"there is no base image {self._path}",
                "`python -m levada_backends.images.make_base FILE` makes one of this Python",
            )
        return _MissingError(
            f"{self._path} is no OCI archive: it has no {name}",
            "`skopeo copy … oci-archive:FILE` or Docker 25's `docker save` make one",
        )


def _apply(paths: dict[str, None], layer: Path, what: str) -> None:
    """Add a layer's paths to those below it, and take away what it removes."""
    try:
        with tarfile.open(layer, "r|*") as archive:
            for member in archive:
                folder, name = posixpath.split(posixpath.normpath(member.name))
                if not name.startswith(_WHITEOUT):
                    paths[posixpath.join(folder, name)] = None
                    continue
                gone = posixpath.join(folder, name.removeprefix(_WHITEOUT))
                gone = folder if name == ".wh..wh..opq" else gone
                for path in [path for path in paths if f"{path}/".startswith(f"{gone}/")]:
                    del paths[path]
    except (OSError, tarfile.TarError, EOFError) as error:
        raise ImageError(
            f"a layer of {what} cannot be read: {error}",
            "layers that zstd compressed need Python 3.14, or the Docker engine's builder",
        ) from error


def _contents(paths: dict[str, None], search: str) -> dict[str, object]:
    folders = [folder.strip("/") for folder in search.split(":")]

    def rank(path: str) -> tuple[int, str]:
        with contextlib.suppress(ValueError):
            return folders.index(posixpath.dirname(path)), path
        return len(folders), path

    pythons: dict[str, str] = {}
    for path in sorted(paths, key=rank):
        if found := _PYTHON.search(path):
            pythons.setdefault(found[1], f"/{path}")
    libc = "glibc" if any(_GLIBC.search(path) for path in paths) else ""
    libc = libc or ("musl" if any(_MUSL.search(path) for path in paths) else "")
    return {"pythons": pythons, "libc": libc}
