"""``levada note``."""

from __future__ import annotations

import sys

import click
from levada_compiler.render.cells import escape

from . import annotating, console, indexed


@click.command()
@indexed.RUN
@click.argument("text", required=False)
@indexed.STORE
@click.option("--json", "as_json", is_flag=True, help="Print the note as one JSON object.")
@console.examples(
    "levada note churn@latest 'learning rate was too high'",
    "levada note churn@latest                   print the note",
    "levada note churn@latest - < notes.md      from stdin",
    "levada note churn@latest ''                remove it",
)
def command(reference: str, text: str | None, store: str | None, as_json: bool) -> int:
    """Write a note on a run, or print it.

    RUN is the id of a run or its beginning, `churn@latest`, `churn@best:metrics.STEP.METRIC`, or
    the id that an engine gave it. A new note takes the place of the one before.
    """
    if text == "-":
        text = annotating.from_stdin()
    found = annotating.annotate(reference, store, {}, text)
    if as_json:
        annotating.print_json(found)
    elif text is None and found.note:
        sys.stdout.write(f"{escape(found.note).rstrip()}\n")
    return 0
