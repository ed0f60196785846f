"""``levada check``."""

from __future__ import annotations

import sys

import click
from levada_compiler import targets
from levada_compiler.render import FORMATS, render

from . import configuration, console, front, parameters


@click.command()
@click.argument(
    "references",
    metavar="FILE[:PIPELINE]...",
    type=click.Path(),
    nargs=-1,
    required=True,
    callback=parameters.split_each,
)
@parameters.TARGETS
@parameters.ENVIRONMENT
@parameters.SET
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="full",
    show_default=True,
    help="How to show diagnostics.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@console.COLOUR
@console.examples(
    "levada check pipeline.py",
    "levada check pipelines/*.py --target airflow",
    "levada check pipeline.py --format github    # annotations on a pull request",
)
def command(
    references: tuple[tuple[str, str | None], ...],
    names: tuple[str, ...],
    environment: str | None,
    overrides: tuple[str, ...],
    form: str,
    as_json: bool,
    colour: str,
) -> int:
    """Say all that is wrong with a pipeline.

    Runs and writes nothing. Checks every pipeline of a file unless one is named; for the targets
    given, or those of [tool.levada.targets] in pyproject.toml.
    """
    chosen = [targets.load(name) for name in dict.fromkeys(names)] or None
    choice = configuration.Choice(environment, overrides)
    results = [
        front.check(reference, chosen, several="pipelines", choice=choice)
        for reference in references
    ]
    diagnostics = [diagnostic for result in results for diagnostic in result.diagnostics]
    sources = {file: text for result in results for file, text in result.sources.items()}
    colours = console.palette(colour, sys.stdout)
    form = "json" if as_json else form
    sys.stdout.write(render(diagnostics, sources, form, colour=colours.enabled))
    if not diagnostics and form == "full":
        sys.stderr.write(f"{colours.paint('good', 'no problems')} found\n")
    return 1 if any(result.failed for result in results) else 0
