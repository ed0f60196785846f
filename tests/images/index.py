"""The index that the plans under test require from; see `cases/plans.md`."""

from __future__ import annotations

from pathlib import Path

from tests.images.wheelhouse import sdist, wheel

ONE = "ONE = 1\n"
#: A build backend: what stands beside pyproject.toml goes into the wheel.
MAKER = """
import pathlib, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    info = pathlib.Path("PKG-INFO").read_text()
    name, version = (line.partition(": ")[2] for line in info.splitlines()[1:3])
    files = {path.name: path.read_text() for path in pathlib.Path().glob("*.py")}
    files[f"{name}-{version}.dist-info/METADATA"] = info
    head = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    files[f"{name}-{version}.dist-info/WHEEL"] = head
    files[f"{name}-{version}.dist-info/RECORD"] = ""
    wheel = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, wheel), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel
"""


def make_index(folder: Path) -> Path:
    """Write all of its files."""
    needs = ["beta", "gamma[fast]", "win; sys_platform == 'win32'"]
    for version in ("1.0", "2.0"):
        core = {"alpha/__init__.py": "", "alpha/core.py": ONE}
        wheel(folder, "alpha-kit", version, core, needs)
        wheel(folder, "beta", version, {"beta.py": ONE})
    wheel(folder, "gamma", "1.0", {"gamma.py": ONE}, ["delta; extra == 'fast'"], extras=["fast"])
    wheel(folder, "delta", "1.0", {"delta.py": ONE})
    wheel(folder, "cloud-storage", "1.0", {"cloud/storage/__init__.py": ONE}, ["cloud-core"])
    wheel(folder, "cloud-core", "1.0", {"cloud/core.py": ONE})
    for name in ("pandas", "pyarrow", "pydantic"):
        wheel(folder, name, "1.0", {f"{name}/__init__.py": ONE})
    sdist(folder, "omega", "1.0", {"omega.py": "value = 3\n"})
    wheel(folder, "maker", "1.0", {"maker.py": MAKER})
    sdist(folder, "sigma", "1.0", {"sigma.py": "value = 4\n"}, backend="maker")
    return folder
