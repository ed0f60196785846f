"""Which builder makes which image."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import places, wheels
from .direct import DirectBuilder
from .docker_engine import DockerBuilder
from .image import Builder, ImageError
from .layers import LayerCache

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .image import ImageSpec


@contextmanager
def open_builders(
    *, insecure: Sequence[str] = (), network: str = ""
) -> Iterator[tuple[Builder, ...]]:
    """Open all builders, in the order in which they are preferred.

    ``network`` is that of the commands of a build, by default the engine's own.
    """
    cache = LayerCache(places.cache_folder("layers"))
    direct = DirectBuilder(cache, wheels.fetch, insecure=insecure)
    docker = DockerBuilder(cache, wheels.fetch, insecure=insecure, network=network or None)
    try:
        yield direct, docker
    finally:
        direct.close()
        docker.close()


def pin(builders: Sequence[Builder], base: str, platform: str) -> str:
    """Give the digest of a base image, of the first builder that finds it.

    Raises ImageError, the first builder's, if none does.
    """
    problems = []
    for builder in builders:
        try:
            return builder.pin(base, platform)
        except ImageError as error:
            problems.append(error)
    raise problems[0]


def choose(builders: Sequence[Builder], spec: ImageSpec, name: str = "") -> tuple[Builder, str]:
    """Give the builder of an image, and why it is not one that would be preferred.

    Raises ImageError if the one called ``name``, or without a name none, can build it.
    """
    reasons: list[str] = []
    for builder in builders:
        if name in ("", builder.name):
            reason = builder.why_not(spec)
            if reason is None:
                return builder, "; ".join(reasons)
            reasons.append(f"{builder.name}: {reason}")
    if not reasons:
        known = ", ".join(builder.name for builder in builders)
        raise ImageError(f"there is no builder `{name}`", f"there are: {known}")
    raise ImageError(f"`{spec.name}` cannot be built ({'; '.join(reasons)})")
