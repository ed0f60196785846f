"""What of Kubeflow Pipelines can be built from published Go modules.

    python -m tests.engines.kubeflow install

builds `compile`: KFP's own compiler to Argo, as its API server calls it, and Argo's validation.
One version of KFP's root module is published, that of KFP 2.0.5 (December 2023); `go/changes.json`
has what is changed in it, as later releases have it.
"""

from __future__ import annotations

from pathlib import Path

from .go_programs import GoPrograms

VERSION = "2.0.5"
_SOURCES = Path(__file__).parent / "go"

COMPILER = GoPrograms(
    name="kubeflow-go", version=VERSION, sources=_SOURCES, packages={"compile": "./compile"}
)


def is_installed() -> bool:
    """Whether the compiler is there."""
    return not COMPILER.missing(("compile",))


def install() -> None:
    """Build it where it is missing."""
    note = f"the compiler of Kubeflow Pipelines {VERSION} is built once, in about two minutes"
    COMPILER.install(("compile",), note)
