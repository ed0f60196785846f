"""Programs that are built once from published Go modules, and kept outside the tree.

They live in `${LEVADA_ENGINES:-~/.cache/levada/engines}/<name>-<version>-<key>/bin`, where the key
is a digest of everything in the folder of our module that names them. A program is put there when
it is whole. An interrupted build goes on where it stopped: what the compiler made stays beside it
until the last one is done.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import environments

#: The toolchain as a wheel, for a machine that has none that will do.
_GO_LOCK = environments.REQUIREMENTS / "go.txt"
_NOTE_SECONDS = 30


@dataclass(frozen=True)
class GoPrograms:
    """A Go module of ours in `sources`, and the programs that are built with it.

    `packages` has the Go package of each, `linker` values of variables. `changes.json` in the
    module, if there is one, says what is changed in the sources of others, and why.
    """

    name: str
    version: str
    sources: Path
    packages: Mapping[str, str]
    linker: Mapping[str, str] = field(default_factory=dict)

    def folder(self) -> Path:
        """Where the programs of these sources are, or would be."""
        digest = hashlib.sha256()
        for file in sorted(self.sources.rglob("*")):
            if file.is_file():
                digest.update(f"{file.relative_to(self.sources).as_posix()}\0".encode())
                digest.update(file.read_bytes() + b"\0")
        key = digest.hexdigest()[:12]
        return environments.root() / f"{self.name}-{self.version}-{key}"

    def beside(self, kind: str) -> Path:
        """A file or folder that belongs to these programs, such as their lock."""
        return self.folder().with_name(f"{self.folder().name}.{kind}")

    def location(self, program: str) -> Path:
        """Where one of them is, or would be."""
        return self.folder() / "bin" / program

    def missing(self, wanted: tuple[str, ...]) -> list[str]:
        """Those to build."""
        return [program for program in wanted if not self.location(program).is_file()]

    def install(self, wanted: tuple[str, ...], note: str) -> None:
        """Build what is missing. Whoever comes while another builds waits for that one."""
        if not self.missing(wanted):
            return
        environments.root().mkdir(parents=True, exist_ok=True)
        with environments.locked(self.beside("lock")):
            go = _go(self._go_version())
            programs = self.missing(wanted)
            print(note, flush=True)
            for number, program in enumerate(programs, 1):
                self._build(go, program, f"{program} ({number} of {len(programs)})")
            if not self.missing(tuple(self.packages)):
                shutil.rmtree(self._work(), ignore_errors=True)

    def _build(self, go: str, program: str, title: str) -> None:
        target = self.location(program)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{program}.part")
        command = [
            *("nice", "-n", "10", go, "build", "-v", "-trimpath", "-ldflags", self._linker()),
            *(*self._changed(go), "-o", str(part), self.packages[program]),
        ]
        started = time.monotonic()
        print(f"building {title}", flush=True)
        with subprocess.Popen(
            command, cwd=self.sources, env=self._variables(), stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            said = list(_noted(iter(process.stderr), title))
        if process.returncode != 0:
            sys.exit(f"{title} was not built:\n" + "".join(said[-40:]))
        part.replace(target)
        print(f"built {title} in {time.monotonic() - started:.0f} s", flush=True)

    def _changed(self, go: str) -> tuple[str, ...]:
        """Copies of others' modules with what `changes.json` says, and a `go.mod` that has them."""
        file = self.sources / "changes.json"
        if not file.exists():
            return ()
        copies: dict[str, Path] = {}
        for change in json.loads(file.read_text()):
            module = change["module"]
            if module not in copies:
                copies[module] = self._work() / f"changed-{len(copies)}"
                shutil.rmtree(copies[module], ignore_errors=True)
                shutil.copytree(self._module(go, module), copies[module], copy_function=_copy)
            _change(copies[module], change, self.sources)
        lines = [f"replace {module} => {copy}\n" for module, copy in copies.items()]
        (self._work() / "go.mod").write_text((self.sources / "go.mod").read_text() + "".join(lines))
        shutil.copyfile(self.sources / "go.sum", self._work() / "go.sum")
        return ("-modfile", str(self._work() / "go.mod"))

    def _module(self, go: str, path: str) -> Path:
        """Where the sources of a module are, which are fetched."""
        done = subprocess.run(
            [go, "mod", "download", "-json", path],
            cwd=self.sources,
            env=self._variables(),
            check=True,
            capture_output=True,
            text=True,
        )
        return Path(json.loads(done.stdout)["Dir"])

    def _linker(self) -> str:
        """No tables for debuggers; and the values."""
        return " ".join(("-s -w", *(f"-X {name}={value}" for name, value in self.linker.items())))

    def _variables(self) -> Mapping[str, str]:
        """Where Go keeps what it made, and what it fetched: its own places if they are named."""
        self._work().mkdir(parents=True, exist_ok=True)
        work = {"GOCACHE": str(self._work() / "cache"), "GOMODCACHE": str(self._work() / "modules")}
        # -modcacherw: else the modules could not be removed.
        flags = {"GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false"}
        given = {name: os.environ[name] for name in work if name in os.environ}
        fixed = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
        return {**os.environ, **work, **flags, **given, **fixed}

    def _work(self) -> Path:
        return self.beside("build")

    def _go_version(self) -> str:
        return required_version(self.sources, r"^go (\S+)")


def required_version(sources: Path, pattern: str) -> str:
    """What a `go.mod` says where the pattern has its group."""
    found = re.search(pattern, (sources / "go.mod").read_text(), re.MULTILINE)
    assert found is not None, f"go.mod has no {pattern}"
    return found[1]


def _copy(source: str, target: str) -> None:
    """Copy a file that may then be changed; a module's are read-only."""
    if source.endswith((".go", ".mod")):
        shutil.copyfile(source, target)


def _change(module: Path, change: Mapping[str, str], sources: Path) -> None:
    """Replace a text that is there once, or make a file: one of ours, or as another there."""
    file = module / change["file"]
    if "ours" in change:
        shutil.copyfile(sources / change["ours"], file)
        return
    if "same_as" in change:
        shutil.copyfile(module / change["same_as"], file)
        return
    text = file.read_text()
    assert text.count(change["old"]) == 1, f"{change['file']} has not once: {change['old']}"
    file.write_text(text.replace(change["old"], change["new"]))


def _go(wanted: str) -> str:
    """A Go that is new enough: the machine's, or one from the package index."""
    found = shutil.which("go")
    if found and _release(found) >= _numbers(wanted):
        return found
    return str(environments.install("go", _GO_LOCK) / "bin" / "go")


def _release(go: str) -> tuple[int, ...]:
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    return _numbers(said.stdout.strip().removeprefix("go"))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text))


def _noted(lines: Iterator[str], title: str) -> Iterator[str]:
    """The lines, one a package, with a word about it now and then."""
    then = time.monotonic()
    for number, line in enumerate(lines, 1):
        yield line
        if time.monotonic() - then > _NOTE_SECONDS:
            then = time.monotonic()
            print(f"  {title}: {number} packages", flush=True)
