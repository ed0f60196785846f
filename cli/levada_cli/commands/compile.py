"""The options of ``levada compile``; what it does is in :mod:`.compiling`."""

from __future__ import annotations

import click
from levada_compiler.render import FORMATS

from . import compiling, console, parameters


@click.command()
@parameters.REFERENCES
@parameters.TARGETS
@parameters.ENVIRONMENT
@parameters.SET
@click.option(
    "--output",
    "-o",
    "folder",
    metavar="DIR",
    help="Where to write; `-` prints the files instead. By default the `output` of the target in "
    "pyproject.toml, else the current folder.",
)
@click.option(
    "--check", "checking", is_flag=True, help="Write nothing: exit 1 with a diff instead."
)
@click.option(
    "--prune",
    "pruning",
    is_flag=True,
    help="Remove files of the output folders whose pipeline is no longer in the source.",
)
@click.option(
    "--force", "forcing", is_flag=True, help="Replace files that Levada did not write, too."
)
@click.option("--json", "as_json", is_flag=True, help="Say what was done as JSON on stdout.")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="full", help="How to show diagnostics."
)
@parameters.STRICT
@console.COLOUR
@console.examples(
    "levada compile pipeline.py --target airflow -o dags",
    "levada compile pipeline.py:nightly -t airflow -t ir -o build",
    "levada compile pipeline.py -t airflow --env prod --set executor=docker -o dags",
    "levada compile pipelines/ -t airflow -o dags --prune",
    "levada compile --check    # in CI: all pipelines that pyproject.toml names",
    "levada compile build/nightly.ir.json -t airflow -o dags  # a program that a tool has changed",
)
def command(
    references: tuple[tuple[str, str | None], ...],
    names: tuple[str, ...],
    environment: str | None,
    overrides: tuple[str, ...],
    folder: str,
    checking: bool,
    pruning: bool,
    forcing: bool,
    as_json: bool,
    form: str,
    strict: bool,
    colour: str,
) -> int:
    """Compile pipelines for one or more targets.

    Takes files, folders and globs; without any, those of `[tool.levada] pipelines` in
    pyproject.toml. Where no pipeline of a file is named, all are compiled that no other one of
    the file calls. A file with an error is not written at all; the others are. Without --target,
    the targets of `[tool.levada] target`, or those that have a table in [tool.levada.targets].
    """
    given = compiling.Options(
        references,
        names,
        folder,
        checking,
        pruning,
        forcing,
        as_json,
        form,
        colour,
        environment,
        overrides,
        strict,
    )
    return compiling.execute(given)
