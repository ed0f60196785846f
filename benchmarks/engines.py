"""The environments of the tools that Levada is compared with, each its own, outside the tree."""

import compileall
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import levada
import levada_backends
import levada_compiler

UV = "uv==0.13.9"
REQUIREMENTS = {
    "libcst": ["libcst==1.8.6"],
    "kfp": ["kfp==2.17.0"],
    "kfp-images": ["kfp==2.17.0", "docker==7.1.0"],
    "metaflow": ["metaflow==2.19.39"],
    "mlflow": ["mlflow==3.17.2"],
    "clearml": ["clearml==2.1.12"],
    # ZenML lists the installed packages at every run: through uv, or much slower through pip.
    "zenml": ["zenml[local]==0.98.0", UV],
}


def home() -> Path:
    """Where the environments are kept between runs."""
    return Path(os.environ.get("LEVADA_ENGINES") or Path.home() / ".cache/levada/engines")


def ensure(name: str) -> Path:
    """The `bin` folder of an engine's environment, made first if it is missing."""
    requirements = REQUIREMENTS[name]
    key = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()[:12]
    return _made(home() / f"bench-{name}-{key}", requirements) / "bin"


def installed(bin_folder: Path, name: str) -> str:
    """The version that is really there, asked of the environment itself."""
    ask = f"import importlib.metadata as m; print(m.version({name!r}))"
    done = subprocess.run(
        [bin_folder / "python", "-c", ask], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def compile_levada() -> None:
    """Compile Levada's own bytecode ahead, as that of the others is."""
    for package in (levada, levada_compiler, levada_backends):
        compileall.compile_dir(Path(str(package.__file__)).parent, quiet=1)


def _made(folder: Path, requirements: list[str]) -> Path:
    mark = folder / ".complete"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder.with_name(f".{folder.name}.lock")):
        if mark.exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        print(f"installing {' '.join(requirements)} into {folder}", file=sys.stderr)
        _install(folder, requirements)
        draft = folder / ".complete.draft"
        draft.write_text("\n".join(requirements) + "\n")
        draft.rename(mark)
    return folder


def _install(folder: Path, requirements: list[str]) -> None:
    uv = _uv()
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
    # Compiled ahead, as pip does: no competitor compiles its own code while it is timed.
    target = ["--python", str(folder / "bin/python"), "--compile-bytecode"]
    _run([uv, "pip", "install", "--quiet", *target, *requirements])


def _uv() -> str:
    """The `uv` of this machine, or else one that pip installs beside the environments."""
    if found := shutil.which("uv"):
        return found
    folder = home() / f"bench-{UV.replace('==', '-')}"
    uv = folder / "bin/uv"
    with _lock(folder.with_name(f".{folder.name}.lock")):
        if not uv.exists():
            _run([sys.executable, "-m", "venv", "--clear", str(folder)])
            _run([str(folder / "bin/pip"), "install", "--quiet", UV])
    return str(uv)


def _run(command: list[str]) -> None:
    subprocess.run(["nice", "-n", "19", *command], check=True)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
