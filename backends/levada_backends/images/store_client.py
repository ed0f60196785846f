"""What the images of a project need to reach its store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from levada.store import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKAGE = "obstore"
_REQUIREMENT = "obstore>=0.8,<1"  # as the extras of Levada's own pyproject.toml have it


def requirements(settings: Mapping[str, object]) -> tuple[str, ...]:
    """What a project's images need by its settings: the client of buckets, if a store is in one.

    The store may be that of the project, of a target, or of an environment.
    """
    is_bucket = any(url.partition("://")[0] in BUCKETS for url in stores(settings) if "://" in url)
    return (_REQUIREMENT,) if is_bucket else ()


def stores(settings: Mapping[str, object]) -> Iterator[str]:
    """Yield what each `store` in the settings of a project says."""
    for name, value in settings.items():
        if name == "store" and isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from stores(value)
