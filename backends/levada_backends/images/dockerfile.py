"""Dockerfiles: one to commit and read, and one for our own builds from layers that are made here.

The first installs the locked packages with pip, in a stage of its own, where credentials and
certificates are secrets of BuildKit. The second adds finished layers and needs neither a network
nor credentials, so that any engine can build it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from . import repository_wheel, sbom
from .image import CODE_FOLDER, ImageError
from .wheel_layer import ENVIRONMENT, site_packages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .image import ImageSpec

_TEMPLATE = Path(__file__).with_name("Dockerfile.jinja")
_NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.:-]*(=[\w.+:~-]+)?", re.ASCII)
_BASE = re.compile(r"[\w.:/@-]+", re.ASCII)


def write_context(spec: ImageSpec) -> dict[str, bytes]:
    """Give a build context by path, to be committed and built by anybody. Raises ImageError."""
    if spec.base.startswith("oci:"):
        raise ImageError(
            f"a Dockerfile cannot start from a file ({spec.base})",
            "set `base` to an image that those who build it can pull",
        )
    for wheel in spec.wheels:
        if wheel.url.startswith(repository_wheel.SCHEME):
            raise ImageError(
                f"a Dockerfile installs from an index, and `{wheel.name}` is from {wheel.url}",
                "build it without --dockerfile, or require a wheel of it",
            )
    title = f"The image {spec.name}, for the steps {', '.join(spec.steps)}. Made by Levada."
    files = {
        "Dockerfile": render(spec, spec.base, title).encode(),
        "requirements.txt": spec.requirements.encode(),
        "sbom.cdx.json": sbom.write_sbom(spec),
    }
    files |= {f"runtime/{path}": data for path, data in spec.runtime_files.items()}
    return files | {f"project/{path}": data for path, data in spec.slice_files.items()}


def render(spec: ImageSpec, base: str, title: str, layers: Sequence[str] = ()) -> str:
    """Give the Dockerfile of an image.

    ``layers`` are files of the context to be unpacked over the root; without them the packages
    are installed from ``requirements.txt``. Raises ImageError for what cannot be written there.
    """
    try:
        import jinja2
    except ImportError as error:
        raise ImageError(f"a Dockerfile needs jinja2 ({error})", "pip install levada") from error
    _check(spec, base)
    environment = jinja2.Environment(  # noqa: S701  a Dockerfile is no HTML
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    text: str = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        title=re.sub(r"\s+", " ", title),
        base=base,
        python=spec.python,
        apt=spec.apt,
        layers=layers,
        environment=f"/{ENVIRONMENT}",
        site=f"/{site_packages(spec.python)}",
        code=CODE_FOLDER,
        project=spec.project,
        variables=_pairs(variables(spec) | {"PATH": f"/{ENVIRONMENT}/bin:${{PATH}}"}),
        labels=_pairs({sbom.LABEL: f"/{sbom.FILE}", **spec.labels}),
        uid=spec.uid,
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def variables(spec: ImageSpec) -> dict[str, str]:
    """Give the variables of an image, apart from PATH."""
    return {
        "HOME": "/tmp",  # noqa: S108  what a read-only container has to write to, if anything
        "LEVADA_PROJECT": spec.project,
        "PYTHONDONTWRITEBYTECODE": "1",
        **spec.environment,
    }


def _check(spec: ImageSpec, base: str) -> None:
    """Refuse what would be read as something else."""
    for package in spec.apt:
        if not _PACKAGE.fullmatch(package):
            raise ImageError(f"{package!r} is no name of a Debian package")
    if not _BASE.fullmatch(base):
        raise ImageError(f"{base!r} does not name a base image")


def _pairs(values: Mapping[str, str]) -> list[tuple[str, str]]:
    pairs = []
    for name in sorted(values):
        value = values[name]
        if not _NAME.fullmatch(name) or "\n" in value or "\r" in value or "\0" in value:
            raise ImageError(f"a Dockerfile cannot set {name!r} to {value!r}")
        text = value.replace("\\", "\\\\").replace('"', '\\"')
        text = text if name == "PATH" else text.replace("$", "\\$")
        pairs.append((name, f'"{text}"'))
    return pairs
