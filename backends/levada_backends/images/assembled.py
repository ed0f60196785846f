"""An image that is complete in the cache, and its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from levada_compiler.slotted import dataclass

from . import oci, sbom
from .dockerfile import variables
from .image import BuiltImage, Layer
from .wheel_layer import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .base import Base
    from .image import ImageSpec
    from .layers import CachedLayer


BUILDER = "direct"


@dataclass(frozen=True, slots=True)
class Assembled:
    """An image that is complete in the cache and not yet anywhere else.

    ``layers`` are those above the base, each with whether it was there already.
    """

    spec: ImageSpec
    base: Base
    layers: tuple[tuple[CachedLayer, bool], ...]
    config: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        """The digest of its manifest."""
        return oci.digest_of(self.manifest)

    @property
    def tag(self) -> str:
        """A tag that says nothing but keeps registries from taking the manifest for garbage."""
        return self.digest.removeprefix("sha256:")[:12]

    @property
    def diff_ids(self) -> list[str]:
        """The digests of the tar files of all its layers, bottom first."""
        return [*self.base.diff_ids, *(layer.diff_id for layer, _ in self.layers)]

    def built(self, reference: str, *, pushed: bool) -> BuiltImage:
        """Say what was built, and where it is now."""
        base = [Layer("base", part.digest, part.size, True) for part in self.base.manifest.layers]
        own = [
            Layer(layer.title, layer.descriptor.digest, layer.descriptor.size, was_there)
            for layer, was_there in self.layers
        ]
        size = sum(layer.size for layer in (*base, *own))
        return BuiltImage(
            self.spec.name, self.digest, reference, size, (*base, *own), pushed, BUILDER
        )


def image_config(spec: ImageSpec, base: Base, layers: Sequence[CachedLayer]) -> dict[str, Any]:
    """Give the configuration of an image: how it runs, its layers, its history."""
    path = base.variable("PATH") or "/usr/local/bin:/usr/bin:/bin"
    own = {**variables(spec), "PATH": f"/{ENVIRONMENT}/bin:{path}"}
    inherited = [
        item for item in base.settings.get("Env") or () if str(item).partition("=")[0] not in own
    ]
    # What OCI's own labels say (a title, a source) is said of the base.
    kept_labels = {
        name: value
        for name, value in (base.settings.get("Labels") or {}).items()
        if not name.startswith("org.opencontainers.image.")
    }
    labels = {
        **kept_labels,
        "org.opencontainers.image.base.digest": base.digest,
        **({"org.opencontainers.image.base.name": base.name} if base.host else {}),
        sbom.LABEL: f"/{sbom.FILE}",
        **spec.labels,
    }
    history = base.config.get("history") or []
    titles = [layer.title for layer in layers]
    kept = {"architecture", "os", "os.version", "variant"} & base.config.keys()
    return {
        **{key: base.config[key] for key in kept},
        "created": oci.EPOCH,
        "config": {
            "User": f"{spec.uid}:{spec.uid}",
            "Env": [*inherited, *(f"{name}={own[name]}" for name in sorted(own))],
            "WorkingDir": spec.project,
            "Cmd": ["python", "-m", "levada"],
            "Labels": labels,
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": [*base.diff_ids, *(layer.diff_id for layer in layers)],
        },
        "history": list(oci.chain(history, len(base.manifest.layers), titles)),
    }
