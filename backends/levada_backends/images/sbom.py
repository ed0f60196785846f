"""The bill of materials of an image: CycloneDX 1.6, the same bytes for the same packages."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .image import ImageError

if TYPE_CHECKING:
    from .image import ImageSpec, Wheel

#: Where it is in an image, from the root, and the label that says so.
FILE = "opt/levada/sbom.cdx.json"
LABEL = "dev.levada.sbom"
_NAMES = uuid.UUID("6f0a3c52-0d0b-5f0c-9a51-2f4c3f7f6b1d")  # a namespace of its own for uuid5


def write_sbom(spec: ImageSpec) -> bytes:
    """Give the bill of materials of the locked packages. Raises ImageError without the library."""
    try:
        from cyclonedx.model.bom import Bom, BomMetaData
        from cyclonedx.output.json import JsonV1Dot6
    except ImportError as error:
        raise ImageError(
            f"a bill of materials needs cyclonedx-python-lib ({error})",
            "pip install levada",
        ) from error
    subject = _subject(spec)
    metadata = BomMetaData(component=subject, timestamp=datetime(1970, 1, 1, tzinfo=UTC), tools=())
    packages = sorted((*spec.wheels, *spec.sdists))
    text = " ".join((spec.python, *(f"{wheel.name}=={wheel.sha256}" for wheel in packages)))
    components = [_component(wheel) for wheel in packages]
    bom = Bom(
        components=components,
        metadata=metadata,
        serial_number=uuid.uuid5(_NAMES, text),
    )
    bom.register_dependency(subject, components)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    return (json.dumps(document, sort_keys=True, indent=1) + "\n").encode()


def _subject(spec: ImageSpec) -> Any:
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        name="python environment",
        version=spec.python,
        type=ComponentType.CONTAINER,
        bom_ref=f"python-{spec.python}",
    )


def _component(wheel: Wheel) -> Any:
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    address = PackageURL(
        "pypi", None, wheel.name, wheel.version, qualifiers={"file_name": wheel.filename}
    )
    return Component(
        name=wheel.name,
        version=wheel.version,
        type=ComponentType.LIBRARY,
        bom_ref=str(address),
        purl=address,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=wheel.sha256)],
    )
