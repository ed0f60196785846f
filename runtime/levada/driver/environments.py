"""What images have, as far as steps that ran in them have told: for looking up the cache.

Only of images that are named by their digest: what is behind a tag may be another one tomorrow.
"""

from __future__ import annotations

import json

from levada import cache, programs, records
from levada.store import digest_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada.record_types import EnvironmentPart
    from levada.request import StepRequest
    from levada.store import Store

_seen: set[str] = set()


def known(store: Store, image: str, request: StepRequest) -> EnvironmentPart | None:
    """What a step with these imports and requirements finds in the image.

    Of a container step it is the image alone.
    """
    if request.container is not None:
        return programs.environment(image)
    path = _path(image, request)
    if path is None:
        return None
    found: EnvironmentPart | None = records.read_json(store, path, "record#/properties/environment")
    return found


def is_wanted(store: Store, image: str, request: StepRequest) -> bool:
    """Whether it is not known yet."""
    if request.container is not None:
        return False
    path = _path(image, request)
    if path is None or path in _seen:
        return False
    _seen.add(path)
    return records.read_document(store, path) is None


def keep(store: Store, image: str, request: StepRequest, described: EnvironmentPart) -> None:
    """Remember it."""
    path = _path(image, request)
    if path is not None:
        store.write_once(path, records.document(described))


def unknown(image: str) -> EnvironmentPart:
    """The environment of an attempt that did not come to say it."""
    return {
        "digest": digest_of(image.encode()),
        "python": "unknown",
        "implementation": "unknown",
        "platform": "unknown",
        "packages": {},
        "image": image,
    }


def _path(image: str, request: StepRequest) -> str | None:
    if "@sha256:" not in image:
        return None
    text = json.dumps([image, *map(sorted, cache.packages_of(request))])
    return f"environments/{digest_of(text.encode()).removeprefix('sha256:')}.json"
