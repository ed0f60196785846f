"""The options of ``levada compile``; what it does is in :mod:`.compiling`."""

from __future__ import annotations

import click
from levada_compiler.render import FORMATS

from . import compiling, console, parameters


@click.command()
@parameters.REFERENCE
@parameters.TARGETS
@parameters.ENVIRONMENT
@parameters.SET
@click.option(
    "--output",
    "-o",
    "folder",
    default=".",
    show_default=True,
    metavar="DIR",
    help="Where to write; `-` prints the files instead.",
)
@click.option(
    "--check", "checking", is_flag=True, help="Write nothing: exit 1 with a diff instead."
)
@click.option(
    "--force", "forcing", is_flag=True, help="Replace files that Levada did not write, too."
)
@click.option("--json", "as_json", is_flag=True, help="Say what was done as JSON on stdout.")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="full", help="How to show diagnostics."
)
@console.COLOUR
@console.examples(
    "levada compile pipeline.py --target airflow -o dags",
    "levada compile pipeline.py:nightly -t airflow -t ir -o build",
    "levada compile pipeline.py -t airflow --env prod --set executor=docker -o dags",
    "levada compile pipeline.py -t airflow -o dags --check    # in CI",
    "levada compile build/nightly.ir.json -t airflow -o dags  # a program that a tool has changed",
)
def command(
    reference: tuple[str, str | None],
    names: tuple[str, ...],
    environment: str | None,
    overrides: tuple[str, ...],
    folder: str,
    checking: bool,
    forcing: bool,
    as_json: bool,
    form: str,
    colour: str,
) -> int:
    """Compile a pipeline for one or more targets.

    Where no pipeline is named, all of the module are compiled that no other one of it calls.
    Nothing is written if there is an error in any of them. Without --target, the targets of
    [tool.levada.targets] in pyproject.toml.
    """
    given = compiling.Options(
        reference, names, folder, checking, forcing, as_json, form, colour, environment, overrides
    )
    return compiling.execute(given)
