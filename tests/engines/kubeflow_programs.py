"""What of Kubeflow Pipelines, and of Argo, can be built from published Go modules.

The `COMPILER` is KFP's own to Argo, as its API server calls it, and Argo's validation. The `SERVER`
is all else that runs pipelines on a Kubernetes. One version of KFP's root module is published, of
KFP 2.0.5 (December 2023); `go/changes.json` has what is changed in it, as later releases have it.
"""

from __future__ import annotations

from pathlib import Path

from .go_programs import GoPrograms

VERSION = "2.0.5"
_NAME = "kubeflow-go"
_SOURCES = Path(__file__).parent / "go"
_KFP = "github.com/kubeflow/pipelines/backend/src"
_ARGO = "github.com/argoproj/argo-workflows/v3/cmd"

COMPILER = GoPrograms(
    name=_NAME, version=VERSION, sources=_SOURCES, packages={"compile": "./compile"}
)
SERVER = GoPrograms(
    name=_NAME,
    version=VERSION,
    sources=_SOURCES,
    packages={
        "apiserver": f"{_KFP}/apiserver",
        "persistence-agent": f"{_KFP}/agent/persistence",
        "scheduled-workflow": f"{_KFP}/crd/controller/scheduledworkflow",
        "driver": f"{_KFP}/v2/cmd/driver",
        "launcher-v2": f"{_KFP}/v2/cmd/launcher-v2",
        "workflow-controller": f"{_ARGO}/workflow-controller",
        "argoexec": f"{_ARGO}/argoexec",
    },
)


def is_installed(programs: GoPrograms = COMPILER) -> bool:
    """Whether they are there."""
    return not programs.missing(tuple(programs.packages))


def install(programs: GoPrograms = COMPILER) -> None:
    """Build them where they are missing."""
    what = "compiler" if programs is COMPILER else "server"
    note = f"the {what} of Kubeflow Pipelines {VERSION} is built once, in some minutes"
    programs.install(tuple(programs.packages), note)
