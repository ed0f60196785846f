"""The cases: a pipeline module in `cases/`, and in `goldens/<pipeline>/` the files it must give.

`python -m tests.targets.kubernetes.emission` writes the goldens anew; read the difference before
you commit it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml
from levada_backends.kubernetes import TARGET
from levada_compiler.compilation import compile_file
from levada_compiler.diagnostics.diagnostic import Severity
from levada_compiler.target_checks import check

FOLDER = Path(__file__).parent
GOLDENS = FOLDER / "goldens"
#: The options of each case.
CASES: dict[str, dict[str, object]] = {
    "minimal": {},
    "programs": {"store": "/store", "store_claim": "store"},
    "nightly": {
        "namespace": "science",
        "image": "registry.example.com/steps:2",
        "driver_image": "registry.example.com/driver",
        "store": "/store",
        "store_claim": "science-store",
        "user": False,
        "secret": "science-secrets",
        "image_pull_secrets": ["registry"],
        "priority_classes": {"10": "batch-high"},
        "priority_class": "batch",
        "queue": "default",
        "labels": {"team": "science", "levada.dev/role": "none"},
        "annotations": {"sidecar.istio.io/inject": "false"},
        "stuck_after": "10m",
        "timeout": "6h",
        "keep": "1d",
        "network_policy": True,
        "admission_policy": True,
    },
}


def emit(case: str) -> dict[str, str]:
    """The files that a case gives."""
    compilation = compile_file(FOLDER / "cases" / f"{case}.py")
    assert compilation.program is not None, compilation.diagnostics
    options = {**CASES[case], "compiler": "0.1.0"}
    found = check(TARGET, compilation.program, options)
    assert not [one for one in found if one.severity is Severity.ERROR], found
    return TARGET.emit(compilation.program, options)


def golden(case: str) -> dict[str, str]:
    """The files that it must give."""
    folder = {path.split("/")[0] for path in emit(case)}.pop()
    places = _read(GOLDENS)
    return {place: text for place, text in places.items() if place.startswith(f"{folder}/")}


def _read(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def objects(case: str) -> list[dict[str, Any]]:
    """All objects of a case, but for the kustomization."""
    texts = (text for path, text in emit(case).items() if not path.endswith("kustomization.yaml"))
    return [document for text in texts for document in yaml.safe_load_all(text)]


if __name__ == "__main__":
    shutil.rmtree(GOLDENS, ignore_errors=True)
    for name in CASES:
        for path, text in emit(name).items():
            place = GOLDENS / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
