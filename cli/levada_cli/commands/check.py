"""``levada check``."""

from __future__ import annotations

import sys

import click
from levada_compiler.render import FORMATS, render
from levada_compiler.usage import UsageError

from . import batch, console, parameters, selection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .batch import Result


@click.command()
@parameters.REFERENCES
@parameters.TARGETS
@parameters.ENVIRONMENT
@parameters.SET
@parameters.STRICT
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
    "levada check pipelines/ --target airflow",
    "levada check    # all pipelines that pyproject.toml names",
    "levada check pipeline.py --format github    # annotations on a pull request",
)
def command(
    references: tuple[tuple[str, str | None], ...],
    names: tuple[str, ...],
    environment: str | None,
    overrides: tuple[str, ...],
    strict: bool,
    form: str,
    as_json: bool,
    colour: str,
) -> int:
    """Say all that is wrong with pipelines.

    Runs and writes nothing. Takes files, folders and globs; without any, those of
    `[tool.levada] pipelines` in pyproject.toml. Checks every pipeline of a file unless one is
    named; for the targets given, or those of `[tool.levada] target`, or those that have a table in
    [tool.levada.targets].
    """
    chosen = selection.select(references)
    request = batch.Request(names, environment, overrides, "pipelines", strict=strict)
    work = batch.Batch(chosen.files, request)
    work.remember()
    results = batch.without_same_names(work.results)
    # What is wrong in a module or the settings that several files share is said once.
    diagnostics = list(dict.fromkeys(each for result in results for each in result.diagnostics))
    sources = {file: text for result in results for file, text in result.sources.items()}
    colours = console.palette(colour, sys.stdout)
    form = "json" if as_json else form
    sys.stdout.write(render(diagnostics, sources, form, colour=colours.enabled))
    if chosen.is_one and results[0].problem:
        raise UsageError(results[0].problem)
    for problem in dict.fromkeys(result.problem for result in results if result.problem):
        console.error(problem)
    if form == "full" and not chosen.is_one:
        sys.stderr.write(_summary(results))
    elif not diagnostics and form == "full":
        sys.stderr.write(f"{colours.paint('good', 'no problems')} found\n")
    return 1 if any(result.failed for result in results) else 0


def _summary(results: Sequence[Result]) -> str:
    """``500 pipelines in 498 files: no problems found``."""
    pipelines = sum(result.programs for result in results)
    files = [result for result in results if not result.is_empty]
    wrong = sum(result.failed for result in files)
    said = f"{wrong} with errors" if wrong else "no errors"
    if not any(result.diagnostics or result.problem for result in results):
        said = "no problems found"
    note = batch.note_of_empty(results)
    return f"{_count(pipelines, 'pipeline')} in {_count(len(files), 'file')}: {said}{note}\n"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
