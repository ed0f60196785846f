"""Make a base image of the Python that runs this, where no registry can be reached.

    python -m levada_backends.images.make_base base.tar

The image has this CPython with its standard library (without tests, Tk and pip), the shared
libraries that it loads and those that wheels may expect (PEP 600's list, as far as they are here),
CA certificates, time zones, and a user 65532; no shell, no package manager. It is an OCI archive:
``oci:base.tar`` names it, ``docker load`` takes it. Linux only; about three seconds.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import platform
import re
import stat
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from . import oci
from .image import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_UID = 65532
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_LIBRARY = re.compile(r"(?:(\S+) => )?(/\S+) \(0x[0-9a-f]+\)")
#: What wheels for manylinux may use without bringing it (PEP 600), apart from X11 and the like.
_EXPECTED = (
    *("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1"),
    *("libresolv.so.2", "libanl.so.1", "libstdc++.so.6", "libgcc_s.so.1", "libz.so.1"),
)
_LEFT_OUT = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo"}
    | {"ensurepip", "lib2to3", "__phello__"}
)
_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
_FILES = {
    "etc/passwd": f"root:x:0:0:root:/root:\nnonroot:x:{_UID}:{_UID}:nonroot:/tmp:\n",
    "etc/group": f"root:x:0:\nnonroot:x:{_UID}:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def make_base(target: Path) -> str:
    """Write the image; give its digest. Raises ImageError, and OSError where the disk does."""
    if sys.platform != "linux" or platform.machine() not in _ARCHITECTURES:
        raise ImageError("a base image can only be made on Linux, on x86-64 or ARM64")
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as layer:
        _Root(layer).fill()
    plain = raw.getvalue()
    packed = gzip.compress(plain, compresslevel=6, mtime=0)
    config = oci.encode(_config(oci.digest_of(plain)))
    manifest = oci.Manifest(
        oci.describe(oci.CONFIG, config), (oci.describe(oci.LAYER_GZIP, packed),)
    ).encode()
    blobs = {oci.digest_of(config): config, oci.digest_of(packed): packed}
    beside = target.with_name(target.name + ".part")
    try:
        with beside.open("wb") as file:
            oci.write_archive(file, f"levada-base:{_minor()}", manifest, blobs)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return oci.digest_of(manifest)


class _Root:
    """The root folder of the image, written entry by entry, each once."""

    def __init__(self, layer: tarfile.TarFile) -> None:
        self._layer = layer
        self._seen: set[str] = set()

    def fill(self) -> None:
        prefix = Path(sys.base_prefix)
        library = Path(sysconfig.get_path("stdlib", vars={"installed_base": str(prefix)}))
        program = Path(os.path.realpath(sys.executable))
        self._file(f"usr/local/bin/python{_minor()}", program)
        for name in ("python3", "python"):
            self._link(f"usr/local/bin/{name}", f"python{_minor()}")
        binaries = [program, *self._tree(library, f"usr/local/lib/python{_minor()}")]
        self._libraries(binaries)
        for certificates in filter(Path.exists, map(Path, _CERTIFICATES)):
            self._file("etc/ssl/certs/ca-certificates.crt", certificates)
        if (zones := Path("/usr/share/zoneinfo")).is_dir():
            for _ in self._tree(zones, "usr/share/zoneinfo"):
                continue
        for path, text in _FILES.items():
            self._data(path, text.encode(), 0o644)
        self._folder("tmp", 0o1777)

    def _tree(self, source: Path, target: str) -> Iterator[Path]:
        """Add a folder's files, and yield its shared objects."""
        for folder, folders, files in os.walk(source):
            folders[:] = sorted(set(folders) - _LEFT_OUT)
            place = os.path.normpath(f"{target}/{os.path.relpath(folder, source)}")
            for name in sorted(files):
                path = Path(folder) / name
                if name.endswith((".a", ".opt-1.pyc", ".opt-2.pyc")) or not path.is_file():
                    continue
                self._file(f"{place}/{name}", path)
                if name.endswith(".so"):
                    yield path

    def _libraries(self, binaries: Iterable[Path]) -> None:
        """Add what the loader would load: all into the folder of libc, which it always searches."""
        found: dict[str, str] = {}
        for binary in binaries:
            found |= _needs(binary)
        folder = Path(found.get("libc.so.6", "/lib/libc.so.6")).parent
        for name in _EXPECTED:
            for path in (folder / name, Path(f"/usr{folder}/{name}")):
                if path.exists():
                    found |= {name: str(path), **_needs(path)}
                    break
        for name, source in sorted(found.items()):
            # The program itself names the loader by its whole path.
            is_loader = name.startswith("/")
            self._file(name.lstrip("/") if is_loader else f"{folder}/{name}"[1:], Path(source))

    def _file(self, path: str, source: Path) -> None:
        mode = 0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644
        self._data(path, source.read_bytes(), mode)

    def _data(self, path: str, data: bytes, mode: int) -> None:
        if member := self._new(path, tarfile.REGTYPE, mode):
            member.size = len(data)
            self._layer.addfile(member, io.BytesIO(data))

    def _link(self, path: str, target: str) -> None:
        if member := self._new(path, tarfile.SYMTYPE, 0o777):
            member.linkname = target
            self._layer.addfile(member)

    def _folder(self, path: str, mode: int = 0o755) -> None:
        if member := self._new(path, tarfile.DIRTYPE, mode):
            self._layer.addfile(member)

    def _new(self, path: str, kind: bytes, mode: int) -> tarfile.TarInfo | None:
        if path in self._seen:
            return None
        if parent := path.rpartition("/")[0]:
            self._folder(parent)
        self._seen.add(path)
        member = tarfile.TarInfo(path)
        member.type = kind
        member.mode = mode
        return member


def _needs(binary: Path) -> dict[str, str]:
    """Give the libraries of a program or library, as the loader finds them: name to path."""
    done = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False)
    return {match[1] or match[2]: match[2] for match in _LIBRARY.finditer(done.stdout)}


def _config(diff_id: str) -> dict[str, object]:
    return {
        "architecture": _ARCHITECTURES[platform.machine()],
        "os": "linux",
        "created": oci.EPOCH,
        "config": {
            "User": f"{_UID}:{_UID}",
            "Env": [
                "PATH=/usr/local/bin:/usr/bin:/bin",
                "LANG=C.UTF-8",
                "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
            ],
            "Cmd": ["python3"],
            "Labels": {"org.opencontainers.image.title": f"Python {_minor()} of a Levada host"},
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": oci.EPOCH, "created_by": "levada make_base"}],
    }


def _minor() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; give its exit code."""
    parser = argparse.ArgumentParser(description="Make a base image of this Python.")
    parser.add_argument("file", type=Path, help="the OCI archive to write")
    target: Path = parser.parse_args(words).file
    try:
        digest = make_base(target)
    except (ImageError, OSError) as error:
        sys.stderr.write(f"make_base: {error}\n")
        return 2
    sys.stdout.write(f"oci:{target}@{digest}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
