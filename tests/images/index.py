"""The index that the plans under test require from; see `cases/plans.md`."""

from __future__ import annotations

from pathlib import Path

from tests.images.wheelhouse import sdist, wheel

ONE = "ONE = 1\n"


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
    return folder
