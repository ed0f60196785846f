"""The pipelines of `programs.py`, compiled by the command line for images that it has pushed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.conformance.engines.docker import Cases


def compiled(project: Cases, name: str, target: str, *push: str) -> Path:
    """Build the images of a pipeline, push them, and compile it; give the folder of its files.

    `push` is the registry, and further options of `levada build`.
    """
    reference = f"programs.py:{name}"
    for words in (
        ("build", reference, "--push", *push),
        ("compile", reference, "--target", target, "-o", "compiled"),
    ):
        done = project.levada(*words)
        assert not done.returncode, done.stderr
    return project.root / "compiled"


def dags(project: Cases, names: Iterable[str], registry: str) -> dict[str, str]:
    """Give the DAG files of pipelines by name, for images in a registry without a certificate."""
    found = {}
    for name in names:
        folder = compiled(project, name, "airflow", registry, "--insecure", registry)
        found[f"{name}.py"] = (folder / f"{name}.py").read_text()
    return found
