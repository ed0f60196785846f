"""Image manifests, configurations and archives, after the OCI image specification 1.1.

An image is a manifest (JSON) that names a configuration (JSON) and layers (compressed tar files)
by their digests. What Docker calls "schema 2" has the same form under other media types; it is
read, and OCI is written. Source: github.com/opencontainers/image-spec, ``manifest.md``,
``config.md``, ``image-layout.md``.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any, BinaryIO

from levada_compiler.slotted import dataclass

from .image import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = (MANIFEST, DOCKER_MANIFEST)
INDEXES = (INDEX, DOCKER_INDEX)

#: The same bytes under the name that OCI has for them.
_LAYERS = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER_GZIP,
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
    LAYER_GZIP: LAYER_GZIP,
    "application/vnd.oci.image.layer.v1.tar": "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
}
EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of a blob: its media type, its digest (``sha256:…``), its bytes."""

    media_type: str
    digest: str
    size: int

    def to_json(self) -> dict[str, Any]:
        """As the manifest has it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest: its configuration's and its layers' descriptors, bottom layer first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]

    def encode(self) -> bytes:
        """Give the bytes of it as an OCI manifest, the same for the same content."""
        return encode(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": self.config.to_json(),
                "layers": [layer.to_json() for layer in self.layers],
            }
        )


def encode(value: object) -> bytes:
    """Give JSON without spaces, keys sorted."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(data: bytes) -> str:
    """Give ``sha256:…`` of the bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def describe(media_type: str, data: bytes) -> Descriptor:
    """Give the descriptor of a blob."""
    return Descriptor(media_type, digest_of(data), len(data))


def read_manifest(data: bytes, what: str) -> Manifest:
    """Read an image's manifest, OCI's or Docker's. Raises ImageError; ``what`` names the image."""
    document = read_json(data, what)
    try:
        config = _descriptor(document["config"])
        layers = tuple(_descriptor(layer) for layer in document["layers"])
    except (KeyError, TypeError) as error:
        raise ImageError(
            f"the manifest of {what} is not that of an image",
            "give an image (not an artifact such as a chart or a signature) as the base",
        ) from error
    return Manifest(config, tuple(_as_oci(layer, what) for layer in layers))


def choose_platform(data: bytes, platform: str, what: str) -> str:
    """Give the digest of the manifest for a platform (``linux/arm64``, ``linux/arm/v7``).

    ``data`` is an index. Raises ImageError with the platforms that there are.
    """
    entries = read_json(data, what).get("manifests", [])
    found = {_platform(entry): entry["digest"] for entry in entries if "platform" in entry}
    if platform in found:
        return str(found[platform])
    # arm64 is written with and without its only variant.
    for name, digest in found.items():
        if name.removesuffix("/v8") == platform.removesuffix("/v8"):
            return str(digest)
    if len(entries) == 1 and not found:
        return str(entries[0]["digest"])
    known = ", ".join(sorted(name for name in found if not name.startswith("unknown")))
    raise ImageError(f"{what} has no image for {platform}", f"it has {known or 'none'}")


def read_json(data: bytes, what: str) -> dict[str, Any]:
    """Read a JSON object. Raises ImageError."""
    try:
        document = json.loads(data)
    except ValueError as error:
        raise ImageError(f"what {what} holds is not JSON") from error
    if not isinstance(document, dict):
        raise ImageError(f"what {what} holds is not a JSON object")
    return document


def write_archive(
    file: BinaryIO,
    name: str,
    manifest: bytes,
    blobs: Mapping[str, bytes | BinaryIO],
) -> None:
    """Write one tar that is both an OCI archive and what ``docker load`` takes.

    ``blobs`` has what goes in by digest, the configuration and layers; the manifest is added.
    A layer may be left out where the reader is known to have it. ``name`` is the tag.
    """
    parsed = read_manifest(manifest, name)
    described = describe(MANIFEST, manifest).to_json()
    annotations = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{**described, "annotations": annotations}],
    }
    docker = {
        "Config": blob_path(parsed.config.digest),
        "RepoTags": [name],
        "Layers": [blob_path(layer.digest) for layer in parsed.layers],
    }
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, "oci-layout", encode({"imageLayoutVersion": "1.0.0"}))
        _add(archive, "index.json", encode(index))
        _add(archive, "manifest.json", encode([docker]))
        _add(archive, blob_path(digest_of(manifest)), manifest)
        for digest, blob in blobs.items():
            _add(archive, blob_path(digest), blob)


def blob_path(digest: str) -> str:
    """Give the path of a blob in an OCI layout."""
    algorithm, _, value = digest.partition(":")
    return f"blobs/{algorithm}/{value}"


def chain(
    base: Iterable[Mapping[str, Any]], layers: int, ours: Iterable[str]
) -> Iterator[Mapping[str, Any]]:
    """Give the history of an image: the base's (filled up to its layers), then a line each of ours.

    Tools pair the entries that are not ``empty_layer`` with the layers, so the counts must agree.
    """
    history = [dict(entry) for entry in base]
    filled = sum(not entry.get("empty_layer", False) for entry in history)
    if filled != layers:
        history = [{"created": EPOCH, "created_by": "base image"} for _ in range(layers)]
    yield from history
    for title in ours:
        yield {"created": EPOCH, "created_by": f"levada: {title}"}


def _descriptor(document: Mapping[str, Any]) -> Descriptor:
    return Descriptor(str(document["mediaType"]), str(document["digest"]), int(document["size"]))


def _as_oci(layer: Descriptor, what: str) -> Descriptor:
    if (media_type := _LAYERS.get(layer.media_type)) is None:
        raise ImageError(
            f"{what} has a layer that cannot be handed on: {layer.media_type}",
            "foreign layers are not in the registry; use another base image",
        )
    return Descriptor(media_type, layer.digest, layer.size)


def _platform(entry: Mapping[str, Any]) -> str:
    platform = entry["platform"]
    parts = (platform.get("os"), platform.get("architecture"), platform.get("variant"))
    return "/".join(str(part) for part in parts if part)


def _add(archive: tarfile.TarFile, name: str, blob: bytes | BinaryIO) -> None:
    member = tarfile.TarInfo(name)
    member.mode = 0o644
    if isinstance(blob, bytes):
        member.size = len(blob)
        archive.addfile(member, io.BytesIO(blob))
        return
    member.size = blob.seek(0, io.SEEK_END)
    blob.seek(0)
    archive.addfile(member, blob)
