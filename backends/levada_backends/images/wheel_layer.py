"""What an installer would leave of a wheel, as a layer.

Source: PyPA's "Binary distribution format" (where the files of a wheel go), "Recording installed
projects" (RECORD, INSTALLER) and "Entry points specification" (scripts).
"""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import io
import re
import struct
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from levada_compiler.slotted import dataclass

from .bytecode import UNCHECKED
from .image import ImageError
from .interpreters import Packed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from .image import Wheel
    from .interpreters import Interpreter
    from .layers import LayerWriter

#: The virtual environment in every image, apart from what the base has installed.
ENVIRONMENT = "opt/levada"
PYTHON = f"/{ENVIRONMENT}/bin/python"

_CHUNK = 1 << 20
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # of a file in a zip archive
_ENTRY_POINT = re.compile(r"([\w.]+)\s*:\s*([\w.]+)\s*(\[.*\])?$")
_SCRIPT = """\
#!{python}
import sys
from {module} import {name}
if __name__ == "__main__":
    sys.exit({call}())
"""


@dataclass(frozen=True, slots=True)
class Made:
    """A file whose bytes are made here."""

    data: bytes
    mode: int = 0o644


#: What stands at a path: made here, compiled, or as it is in the wheel.
Content = Made | Packed | zipfile.ZipInfo


def site_packages(python: str) -> str:
    """Give the folder of the packages for a minor version, from the root of the image."""
    return f"{ENVIRONMENT}/lib/python{python}/site-packages"


def write_wheel(
    writer: LayerWriter, wheel: Wheel, file: Path, python: str, interpreter: Interpreter | None
) -> None:
    """Add the files of a wheel to a layer, as installed, with their bytecode.

    Raises ImageError for a file that is not a sound wheel.
    """
    try:
        with file.open("rb") as raw, zipfile.ZipFile(raw) as archive:
            contents = _Installation(archive, wheel, python).contents(interpreter)
            for path in sorted(contents):
                _write(writer, path, contents[path], archive, raw)
    except (zipfile.BadZipFile, struct.error, EOFError, KeyError, UnicodeDecodeError) as error:
        raise ImageError(
            f"{wheel.filename} is not a sound wheel: {error}",
            f"take another version of {wheel.name}, or tell those who publish it",
        ) from error


class _Installation:
    """Where the files of one wheel go, and what an installer adds to them."""

    def __init__(self, archive: zipfile.ZipFile, wheel: Wheel, python: str) -> None:
        self._archive = archive
        self._site = site_packages(python)
        self._python = python
        self._members = {item.filename: item for item in archive.infolist() if not item.is_dir()}
        self._info = self._find_info(wheel)
        self._data = self._info.removesuffix(".dist-info") + ".data"

    def contents(self, interpreter: Interpreter | None) -> dict[str, Content]:
        """Give what stands at each path, from the root of the image."""
        contents: dict[str, Content] = {}
        for name, member in self._members.items():
            path = self._place(name)
            contents[path] = self._script(member) if self._is_script(name) else member
        contents.update(self._entry_points())
        if interpreter is not None:
            contents.update(interpreter.compiled(self._sources(contents), UNCHECKED))
        contents[f"{self._site}/{self._info}/INSTALLER"] = Made(b"levada\n")
        record = f"{self._site}/{self._info}/RECORD"
        contents[record] = Made(self._record(contents, record))
        return contents

    def _find_info(self, wheel: Wheel) -> str:
        found = {name.partition("/")[0] for name in self._members if ".dist-info/" in name}
        tops = [name for name in found if name.endswith(".dist-info")]
        if len(tops) != 1 or f"{tops[0]}/RECORD" not in self._members:
            raise zipfile.BadZipFile(f"it has no RECORD of {wheel.name}")
        return tops[0]

    def _place(self, name: str) -> str:
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
            raise zipfile.BadZipFile(f"a file in it points out of it: {name!r}")
        if parts[0] != self._data:
            return f"{self._site}/{'/'.join(parts)}"
        project = self._info.rpartition("-")[0].rpartition("-")[0] or self._info
        folders = {
            "purelib": self._site,
            "platlib": self._site,
            "scripts": f"{ENVIRONMENT}/bin",
            "data": ENVIRONMENT,
            "headers": f"{ENVIRONMENT}/include/site/python{self._python}/{project}",
        }
        if len(parts) < 3 or parts[1] not in folders:
            raise zipfile.BadZipFile(f"nobody knows where {name!r} goes")
        return f"{folders[parts[1]]}/{'/'.join(parts[2:])}"

    def _is_script(self, name: str) -> bool:
        return name.startswith(f"{self._data}/scripts/")

    def _script(self, member: zipfile.ZipInfo) -> Made:
        data = self._archive.read(member)
        first, newline, rest = data.partition(b"\n")
        if first.startswith((b"#!python", b"#!pythonw")):
            data = f"#!{PYTHON}".encode() + newline + rest
        return Made(data, 0o755)

    def _entry_points(self) -> Iterator[tuple[str, Content]]:
        if (member := self._members.get(f"{self._info}/entry_points.txt")) is None:
            return
        for name, target in read_scripts(self._archive.read(member).decode()):
            module, attribute = target
            first = attribute.partition(".")[0]
            text = _SCRIPT.format(python=PYTHON, module=module, name=first, call=attribute)
            yield f"{ENVIRONMENT}/bin/{name}", Made(text.encode(), 0o755)

    def _sources(self, contents: dict[str, Content]) -> dict[str, bytes]:
        return {
            path: self._archive.read(content)
            for path, content in contents.items()
            if isinstance(content, zipfile.ZipInfo) and _is_imported(path, self._site)
        }

    def _record(self, contents: dict[str, Content], record: str) -> bytes:
        rows = csv.reader(io.StringIO(self._archive.read(f"{self._info}/RECORD").decode()))
        known = {row[0]: (row[1], row[2]) for row in rows if len(row) >= 3}
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        for path in sorted({*contents, record}):
            content = contents.get(path)
            name = _relative(path, self._site)
            if isinstance(content, zipfile.ZipInfo) and path != record:
                table.writerow((name, *known.get(content.filename, ("", content.file_size))))
            elif isinstance(content, Made) and path != record:
                table.writerow((name, _record_hash(content.data), len(content.data)))
            else:
                table.writerow((name, "", ""))
        return text.getvalue().encode()


def read_scripts(text: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Give the scripts that an ``entry_points.txt`` asks for: name, (module, attribute)."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise zipfile.BadZipFile(f"its entry_points.txt cannot be read: {error}") from error
    for group in ("console_scripts", "gui_scripts"):
        for name, target in parser.items(group) if parser.has_section(group) else ():
            found = _ENTRY_POINT.match(target.strip())
            if found is None or "/" in name or name in ("", ".", ".."):
                raise zipfile.BadZipFile(f"its script {name!r} is no entry point: {target!r}")
            yield name, (found[1], found[2])


def _is_imported(path: str, site: str) -> bool:
    """Whether a file gets bytecode. Packages of tests do without: no step imports them."""
    if not path.endswith(".py") or not path.startswith(f"{site}/"):
        return False
    return not {"test", "tests"} & set(path.split("/")[:-1])


def _write(
    writer: LayerWriter, path: str, content: Content, archive: zipfile.ZipFile, raw: BinaryIO
) -> None:
    if isinstance(content, Made):
        writer.add(path, content.data, content.mode)
    elif isinstance(content, Packed):
        writer.add_deflated(path, iter((content.data,)), content.size, content.crc)
    else:
        mode = 0o755 if (content.external_attr >> 16) & 0o111 else 0o644
        if content.compress_type == zipfile.ZIP_DEFLATED and not content.flag_bits & 1:
            pieces = _deflated(raw, content)
            writer.add_deflated(path, pieces, content.file_size, content.CRC, mode)
        else:
            writer.add(path, archive.read(content), mode)


def _deflated(raw: BinaryIO, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """Give the bytes of a file as they stand in the archive (APPNOTE.TXT, 4.3.7)."""
    raw.seek(member.header_offset)
    header = _LOCAL_HEADER.unpack(raw.read(_LOCAL_HEADER.size))
    if header[0] != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"it has no {member.filename!r} where it says")
    raw.seek(header[-2] + header[-1], io.SEEK_CUR)
    left = member.compress_size
    while left:
        if not (piece := raw.read(min(left, _CHUNK))):
            raise EOFError("it ends too early")
        left -= len(piece)
        yield piece


def _relative(path: str, site: str) -> str:
    if path.startswith(f"{site}/"):
        return path.removeprefix(f"{site}/")
    return "../../../" + path.removeprefix(f"{ENVIRONMENT}/")


def _record_hash(data: bytes) -> str:
    packed = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
    return f"sha256={packed.decode()}"
