"""What each layer of an image is made of, above its base."""

from __future__ import annotations

import hashlib
import posixpath
from typing import TYPE_CHECKING

from . import oci, sbom
from .bytecode import CHECKED, UNCHECKED
from .image import CODE_FOLDER
from .wheel_layer import ENVIRONMENT, PYTHON, site_packages, write_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from .image import ImageSpec, OnEvent, Wheel
    from .interpreters import Interpreter
    from .layers import CachedLayer, LayerCache, LayerWriter

    Fetch = Callable[[Wheel, OnEvent | None, str], Path]

#: Raised when the same inputs are to give other bytes.
_FORMAT = 1
#: Engines stack at most 127 layers (overlayfs); some registries take fewer.
_MOST_LAYERS = 100
_OWN_LAYERS = 3  # environment, levada, project
_LEVADA_STEP = f"#!{PYTHON}\nfrom levada.__main__ import main\nmain()\n"


class Recipe:
    """What each layer of a spec is made of; without an interpreter, without bytecode."""

    def __init__(
        self,
        spec: ImageSpec,
        interpreter: Interpreter | None,
        base_python: str,
        fetch: Fetch,
        tell: OnEvent,
    ) -> None:
        self._spec = spec
        self._interpreter = interpreter
        self._base_python = base_python
        self._fetch = fetch
        self._tell = tell

    def wheels(self, group: Sequence[Wheel], cache: LayerCache) -> tuple[CachedLayer, bool]:
        """The layer of a wheel, or of several small ones."""
        title = ", ".join(f"{wheel.name} {wheel.version}" for wheel in group)
        key = self._key("wheels", *(f"{wheel.filename} {wheel.sha256}" for wheel in group))

        def write(writer: LayerWriter) -> None:
            for wheel in group:
                file = self._fetch(wheel, self._tell, self._spec.name)
                write_wheel(writer, wheel, file, self._spec.python, self._interpreter)

        return cache.layer(key, title, write)

    def environment(self, cache: LayerCache) -> tuple[CachedLayer, bool]:
        """The layer of what makes the packages a virtual environment, and says what is in it."""
        packages = (f"{wheel.filename} {wheel.sha256}" for wheel in self._spec.wheels)
        key = self._key("environment", self._base_python, *packages)

        def write(writer: LayerWriter) -> None:
            home = posixpath.dirname(self._base_python)
            settings = f"home = {home}\ninclude-system-site-packages = false\n"
            writer.add_link(f"{ENVIRONMENT}/bin/python", self._base_python)
            for name in ("python3", f"python{self._spec.python}"):
                writer.add_link(f"{ENVIRONMENT}/bin/{name}", "python")
            writer.add(f"{ENVIRONMENT}/pyvenv.cfg", settings.encode())
            writer.add(sbom.FILE, sbom.write_sbom(self._spec))

        return cache.layer(key, "environment", write)

    def runtime(self, cache: LayerCache) -> tuple[CachedLayer, bool]:
        """The layer of the Levada runtime."""
        site = site_packages(self._spec.python)
        files = {f"{site}/{path}": data for path, data in self._spec.runtime_files.items()}

        def write(writer: LayerWriter) -> None:
            writer.add(f"{ENVIRONMENT}/bin/levada-step", _LEVADA_STEP.encode(), 0o755)
            self._write_files(writer, files, UNCHECKED)

        return cache.layer(self._key("runtime", _digest(files)), "levada", write)

    def project(self, cache: LayerCache) -> tuple[CachedLayer, bool]:
        """The layer of the project's files.

        Its bytecode is checked against the source on import: files may be mounted over these.
        """
        root = CODE_FOLDER.lstrip("/")
        files = {f"{root}/{path}": data for path, data in self._spec.slice_files.items()}

        def write(writer: LayerWriter) -> None:
            for folder in dict.fromkeys((root, self._spec.project.lstrip("/"))):
                writer.add_folder(folder)
            self._write_files(writer, files, CHECKED)

        key = self._key("project", self._spec.project, _digest(files))
        return cache.layer(key, "project", write)

    def _write_files(self, writer: LayerWriter, files: Mapping[str, bytes], flags: int) -> None:
        sources = {path: data for path, data in files.items() if path.endswith(".py")}
        compiled = self._interpreter.compiled(sources, flags) if self._interpreter else {}
        for path in sorted({*files, *compiled}):
            if (packed := compiled.get(path)) is not None:
                writer.add_deflated(path, iter((packed.data,)), packed.size, packed.crc)
            else:
                writer.add(path, files[path])

    def _key(self, kind: str, *parts: str) -> str:
        compiler = self._interpreter.version if self._interpreter else "no bytecode"
        fixed = (kind, _FORMAT, self._spec.python, compiler)
        return hashlib.sha256(oci.encode([*fixed, *parts])).hexdigest()


def grouped(wheels: Sequence[Wheel], below: int) -> list[tuple[Wheel, ...]]:
    """Give the wheels of each layer above ``below`` layers of the base, in the wheels' order.

    Each has its own, until there would be too many: then the smallest share one, at the bottom.
    """
    room = max(1, _MOST_LAYERS - below - _OWN_LAYERS)
    if len(wheels) <= room:
        return [(wheel,) for wheel in wheels]
    by_size = sorted(wheels, key=lambda wheel: (wheel.size or 0, wheel.name))
    merged = set(by_size[: len(wheels) - room + 1])
    shared = tuple(wheel for wheel in wheels if wheel in merged)
    return [shared, *((wheel,) for wheel in wheels if wheel not in merged)]


def _digest(files: Mapping[str, bytes]) -> str:
    parts = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    return hashlib.sha256(oci.encode(parts)).hexdigest()
