"""`levada` in the environment that has `kfp`, as a user would run it in a project."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import levada

_ROOT = Path(levada.__file__).parents[2]
_POINTS = "[levada.targets]\nkubeflow = levada_backends.kubeflow:TARGET\n"


def run(
    python: Path, folder: Path, beside: Path, *words: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder; what it keeps is in the folder beside it."""
    points = beside / "points" / "levada-0.1.0.dist-info"
    points.mkdir(parents=True, exist_ok=True)
    (points / "entry_points.txt").write_text(_POINTS)
    packages = [_ROOT / name for name in ("runtime", "compiler", "backends", "records", "cli")]
    own = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, [*packages, points.parent])),
        "HOME": str(beside),
        "LEVADA_CACHE_DIR": str(beside / "cache"),
        "NO_PROXY": "*",
    }
    return subprocess.run(
        [str(python), "-m", "levada_cli.main", *words],
        cwd=folder,
        env=own | variables,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
