"""The names of images, read as Docker reads them."""

from __future__ import annotations

import re

from levada_compiler.slotted import dataclass

from .image import ImageError

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an image is: ``host/repository`` and a tag, a digest, or both."""

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        """As an engine takes it."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.repository}{tag}{digest}"


def parse_reference(text: str) -> Reference:
    """Read ``[host[:port]/]repository[:tag][@digest]`` as Docker does. Raises ImageError."""
    name, _, digest = text.partition("@")
    first, slash, rest = name.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    host, path = (first, rest) if is_host else ("docker.io", name)
    path, _, tag = path.partition(":")
    if host in ("docker.io", "index.docker.io"):
        host, path = "docker.io", path if "/" in path else f"library/{path}"
    sound = _NAME.fullmatch(path) and re.fullmatch(r"(\w[\w.-]{0,127})?", tag, re.ASCII)
    if not sound or not re.fullmatch(r"(sha256:[0-9a-f]{64})?", digest):
        raise ImageError(
            f"{text!r} does not name an image",
            "write it as registry.example.com/name:tag or …@sha256:<64 hex digits>",
        )
    return Reference(host, path, tag if tag or digest else "latest", digest)
