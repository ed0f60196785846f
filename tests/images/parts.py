"""What images are made of in tests: real wheels, a base of this Python, the runtime of this tree.

Run as a script it builds one image without an engine and prints its digest:
``python -m tests.images.parts CACHE BASE WHEELS``.
"""

from __future__ import annotations

import base64
import ensurepip
import hashlib
import os
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import levada
from levada_backends.images.direct import DirectBuilder
from levada_backends.images.image import ImageSpec, Wheel
from levada_backends.images.layers import LayerCache

if TYPE_CHECKING:
    from collections.abc import Mapping

    from levada_backends.images.image import OnEvent

    from ..engines.docker import Docker

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
#: An address at which no engine answers.
NO_ENGINE = "unix:///nonexistent/docker.sock"

PIPELINE = b"""\
import greeting
from levada import pipeline, step


@step
def greet(name: str) -> str:
    return greeting.greet(name)


@pipeline
def hello(name: str = "world"):
    return greet(name)
"""

#: A wheel with one of everything: packages, a script of each kind, data, headers, a subpackage.
GREETING = {
    "greeting/__init__.py": b"def greet(name):\n    return f'hello {name}'\n\n\ndef main():\n"
    b"    print(greet('you'))\n",
    "greeting/words.txt": b"hello\n" * 3000,
    "greeting/not_python.py": b"def {{ template }}:\n",
    "greeting/tests/__init__.py": b"",
    "greeting-1.0.data/purelib/greeting_pure.py": b"PURE = 1\n",
    "greeting-1.0.data/platlib/greeting_plat.py": b"PLAT = 1\n",
    "greeting-1.0.data/scripts/greet-script": b"#!python\nprint('script')\n",
    "greeting-1.0.data/scripts/greet-shell": b"#!/bin/sh\necho shell\n",
    "greeting-1.0.data/data/share/greeting/card.txt": b"card\n",
    "greeting-1.0.data/headers/greeting.h": b"#define GREETING\n",
    "greeting-1.0.dist-info/entry_points.txt": b"[console_scripts]\ngreet = greeting:main\n"
    b"[other.group]\nx = greeting\n",
}


def make_wheel(
    folder: Path, name: str = "greeting", files: Mapping[str, bytes] | None = None
) -> Wheel:
    """Write a wheel of version 1.0 as a build backend would; its ``url`` is that of the file."""
    info = f"{name}-1.0.dist-info"
    contents = {
        **(GREETING if files is None else files),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},{record_hash(data)},{len(data)}\n" for path, data in contents.items()]
    contents[f"{info}/RECORD"] = "".join((*rows, f"{info}/RECORD,,\n")).encode()
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in contents.items():
            item = zipfile.ZipInfo(member, (2020, 1, 1, 0, 0, 0))
            item.external_attr = 0o644 << 16
            item.compress_type = zipfile.ZIP_STORED if len(data) < 20 else zipfile.ZIP_DEFLATED
            archive.writestr(item, data)
    return locked(path)


def locked(path: Path) -> Wheel:
    """Give the locked wheel of a file."""
    name, version = path.name.split("-")[:2]
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return Wheel(name, version, path.name, path.resolve().as_uri(), digest, len(data))


def fetch(wheel: Wheel, on_event: OnEvent | None = None, image: str = "") -> Path:
    """Give the file of a wheel that is on this machine."""
    del on_event, image
    return Path(wheel.url.removeprefix("file://"))


def runtime_files() -> dict[str, bytes]:
    """Give the Levada runtime of this tree."""
    folder = Path(levada.__file__).parent
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        f"levada/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in files
        if "__pycache__" not in path.parts
    }


def make_spec(base: str, *wheels: Wheel, pipeline: bytes = PIPELINE) -> ImageSpec:
    """Give what is in the image of the step above."""
    return ImageSpec(
        name="hello/greet",
        steps=("pipeline:greet",),
        python=PYTHON,
        platform="linux/amd64",
        base=base,
        wheels=tuple(sorted(wheels)),
        requirements="".join(f"{w.name}=={w.version} --hash=sha256:{w.sha256}\n" for w in wheels),
        runtime_files=runtime_files(),
        slice_files={"pipeline.py": pipeline},
        labels={"dev.levada.steps": "pipeline:greet"},
    )


def with_shell(docker: Docker, base: str, folder: Path) -> str:
    """Give a base with a shell and pip's wheel, as those of distributions have."""
    folder.mkdir()
    bundled = Path(ensurepip.__file__).parent
    with tarfile.open(folder / "more.tar", "w") as archive:
        archive.add(os.path.realpath("/bin/sh"), "bin/sh")
        archive.add(bundled, f"usr/local/lib/python{PYTHON}/ensurepip")
    file = base.removeprefix("oci:").partition("@")[0]
    loaded = docker.run("load", "--input", file).stdout.rpartition(": ")[2].strip()
    (folder / "Dockerfile").write_text(f"FROM {loaded}\nADD more.tar /\n")
    docker.run("build", "--tag", "with-shell:1", str(folder))
    return "with-shell:1"


def record_hash(data: bytes) -> str:
    """Give a hash as RECORD has it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


if __name__ == "__main__":
    cache, base, *files = sys.argv[1:]
    builder = DirectBuilder(LayerCache(Path(cache)), fetch, docker_host=NO_ENGINE)
    spec = make_spec(base, *(locked(Path(file)) for file in files))
    print(builder.build(spec).digest)
