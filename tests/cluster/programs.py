"""Kubernetes' own programs and etcd, built once from published Go modules."""

from __future__ import annotations

from pathlib import Path

from tests.engines.go_programs import GoPrograms, required_version

SOURCES = Path(__file__).parent / "go"
API_PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
NODE_PROGRAMS = ("kube-controller-manager", "kube-scheduler", "kubelet", "pause")


def version() -> str:
    """The version of Kubernetes, such as `1.36.3`."""
    return required_version(SOURCES, r"^\s*(?:require )?k8s\.io/kubernetes v(\S+)")


def beside(kind: str) -> Path:
    """A file or folder that belongs to these programs, such as their lock."""
    return _programs().beside(kind)


def folder() -> Path:
    """Where the programs of these sources are, or would be."""
    return _programs().folder()


def location(name: str) -> Path:
    """Where one of them is, or would be."""
    return _programs().location(name)


def missing(*, api_only: bool) -> list[str]:
    """Those to build."""
    return _programs().missing(_wanted(api_only=api_only))


def install(*, api_only: bool) -> None:
    """Build what is missing. Whoever comes while another builds waits for that one."""
    note = f"Kubernetes {version()} is built once, in about ten minutes"
    _programs().install(_wanted(api_only=api_only), note)


def _wanted(*, api_only: bool) -> tuple[str, ...]:
    return API_PROGRAMS if api_only else API_PROGRAMS + NODE_PROGRAMS


def _programs() -> GoPrograms:
    # The version is what the programs think they are.
    major, minor, _ = version().split(".")
    values = {"gitVersion": f"v{version()}", "gitMajor": major, "gitMinor": minor}
    return GoPrograms(
        name="kubernetes",
        version=version(),
        sources=SOURCES,
        packages={name: f"./{name}" for name in API_PROGRAMS + NODE_PROGRAMS},
        linker={f"k8s.io/component-base/version.{name}": text for name, text in values.items()},
    )
