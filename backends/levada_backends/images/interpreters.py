"""The Python on this machine that compiles for an image of its minor version."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
import sys
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

from levada_compiler.slotted import dataclass

from . import bytecode
from .image import ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_FRAME = struct.Struct("<III")
_ASK = """\
import json, sys, zlib
print(json.dumps([sys.implementation.cache_tag, sys.version, zlib.ZLIB_RUNTIME_VERSION]))
"""


@dataclass(frozen=True, slots=True)
class Packed:
    """A file's bytes, deflated: how long it is, its CRC-32, and what stands in its place."""

    size: int
    crc: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A CPython: its program, its tag in the names of ``.pyc`` files, and all of its version.

    ``version`` is part of what a layer is made of: patch releases may compile differently.
    """

    program: str
    tag: str
    version: str

    def compiled(self, files: Mapping[str, bytes], flags: int) -> dict[str, Packed]:
        """Compile sources by their paths in the image; give the ``.pyc`` files by theirs.

        Files that are not Python of this version are left out. Raises ImageError.
        """
        if not files:
            return {}
        order = sorted(files)
        request = b"".join(_frame(path, files[path], flags) for path in order)
        command = [self.program, "-I", "-S", "-X", "utf8", bytecode.__file__]
        done = subprocess.run(command, input=request, capture_output=True, check=False)
        answer = io.BytesIO(done.stdout)
        found = {}
        for path in order:
            if len(head := answer.read(_FRAME.size)) < _FRAME.size:
                said = done.stderr.decode(errors="replace").strip() or f"exit {done.returncode}"
                raise ImageError(f"{self.program} could not compile {path}: {said}")
            size, crc, length = _FRAME.unpack(head)
            data = answer.read(length)
            if size:
                found[self._bytecode_path(path)] = Packed(size, crc, data)
        return found

    def _bytecode_path(self, path: str) -> str:
        folder, _, name = path.rpartition("/")
        return f"{folder}/__pycache__/{name.removesuffix('.py')}.{self.tag}.pyc"


@lru_cache(maxsize=16)
def find(python: str) -> Interpreter | None:
    """Give a CPython of a minor version (``3.11``), this one if it is; None if there is none."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if python == running and sys.implementation.name == "cpython":
        tag = str(sys.implementation.cache_tag)
        return Interpreter(sys.executable, tag, _version(sys.version, zlib.ZLIB_RUNTIME_VERSION))
    if (program := shutil.which(f"python{python}")) is None:
        return None
    asked = subprocess.run([program, "-I", "-S", "-c", _ASK], capture_output=True, check=False)
    if asked.returncode != 0:  # what stands there may only point to a Python that is not installed
        return None
    tag, version, zlib_version = json.loads(asked.stdout)
    return Interpreter(program, tag, _version(version, zlib_version))


def _version(python: str, zlib_version: str) -> str:
    return f"{python.split()[0]}, zlib {zlib_version}"


def _frame(path: str, source: bytes, flags: int) -> bytes:
    name = f"/{path}".encode("utf-8", "surrogateescape")
    return _FRAME.pack(len(name), len(source), flags) + name + source
