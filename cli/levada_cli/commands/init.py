"""``levada init``."""

from __future__ import annotations

import keyword
import os
import re
import shlex
import sys
from importlib.resources import files

import click
from levada_compiler import output_files

from . import console

#: Where each file of the skeleton goes.
_FILES = {
    "pipeline.py.txt": "pipeline.py",
    "test_pipeline.py.txt": "test_pipeline.py",
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "gitignore.txt": ".gitignore",
}

#: What a project cannot be started without writing.
_OWN = ("pipeline.py", "test_pipeline.py")


@click.command()
@click.argument("folder", default=".", type=click.Path(file_okay=False))
@click.option("--name", help="Of the pipeline; by default that of the folder.")
@console.examples("levada init my-project", "levada init . --name churn")
def command(folder: str, name: str | None) -> int:
    """Start a project that compiles and runs.

    A pipeline, a test of it, and the settings. Nothing that exists is touched: settings, a README
    or a .gitignore that are there stay.
    """
    base = name or os.path.basename(os.path.abspath(folder))
    pipeline = _identifier(base)
    if name is not None and pipeline != name:
        raise click.UsageError(f"`{name}` cannot be the name of a function here; take `{pipeline}`")
    contents = _contents(pipeline, base)
    before = output_files.read(folder, contents)
    taken = [path for path in _OWN if before[path] is not None]
    if taken:
        raise click.ClickException(f"{_listed(folder, taken)} in the way; nothing was written")
    new = {path: data for path, data in contents.items() if before[path] is None}
    output_files.write(folder, new, before)
    for path in contents:
        word = "wrote" if path in new else "kept"
        sys.stderr.write(f"{word:<9} {output_files.display_path(os.path.join(folder, path))}\n")
    place = output_files.display_path(os.path.join(folder, "pipeline.py"))
    sys.stderr.write(f"\nnext: levada run {shlex.quote(place)}\n")
    return 0


def _contents(pipeline: str, base: str) -> dict[str, bytes]:
    folder = files(__package__) / "skeleton"
    project = re.sub(r"[^A-Za-z0-9._-]+", "-", base).strip("-._") or "pipeline"
    names = {"@pipeline@": pipeline, "@project@": project}
    contents = {}
    for source, path in _FILES.items():
        text = (folder / source).read_text(encoding="utf-8")
        for mark, value in names.items():
            text = text.replace(mark, value)
        contents[path] = text.encode()
    return contents


def _identifier(name: str) -> str:
    """A Python name that is like this one, and not one that the skeleton uses."""
    word = re.sub(r"\W+", "_", name).strip("_") or "pipeline"
    word = f"p_{word}" if word[0].isdigit() else word
    taken = {"pipeline", "step", "measure", "fit", "best", "report", "random", "log_metric"}
    return f"{word}_pipeline" if word in taken or keyword.iskeyword(word) else word


def _listed(folder: str, paths: list[str]) -> str:
    shown = ", ".join(
        f"`{output_files.display_path(os.path.join(folder, path))}`" for path in paths
    )
    return f"{shown} {'is' if len(paths) == 1 else 'are'}"
