"""``levada graph``."""

from __future__ import annotations

import os
import sys

import click
from levada_compiler import origin, output_files
from levada_compiler.graph import FORMATS, draw
from levada_compiler.render import render

from . import console, front, parameters


@click.command()
@parameters.REFERENCE
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Mermaid text or SVG; by default what the name of the output says, else mermaid.",
)
@click.option("--output", "-o", "place", metavar="FILE", help="Write to a file instead of stdout.")
@click.option("--force", "forcing", is_flag=True, help="Replace a file of another origin, too.")
@console.COLOUR
@console.examples(
    "levada graph pipeline.py",
    "levada graph pipeline.py -o pipeline.svg",
    "levada graph pipeline.py:nightly --format svg > nightly.svg",
)
def command(
    reference: tuple[str, str | None],
    form: str | None,
    place: str | None,
    forcing: bool,
    colour: str,
) -> int:
    """Draw a pipeline as Mermaid text or SVG.

    Solid arrows are data, dashed ones mere order; boxes are loops, branches and handlers.
    """
    checked = front.check(reference, ())
    colours = console.palette(colour, sys.stderr)
    sys.stderr.write(render(checked.diagnostics, checked.sources, colour=colours.enabled))
    if checked.failed or checked.program is None:
        return 1
    is_svg = bool(place) and str(place).lower().endswith(".svg")
    picture = draw(checked.program, form or ("svg" if is_svg else "mermaid"))
    if not place or place == "-":
        sys.stdout.write(picture)
        return 0
    if not output_files.is_replaceable(place):  # /dev/stdout, /dev/null, a pipe
        with open(place, "w", encoding="utf-8") as file:
            file.write(picture)
        return 0
    folder, name = os.path.split(os.path.abspath(place))
    contents = {name: picture.encode()}
    before = output_files.read(folder, contents)
    if not forcing:
        _refuse_others(place, before[name], picture, checked.project.root)
    output_files.write(folder, contents, before)
    return 0


def _refuse_others(place: str, old: bytes | None, new: str, root: str) -> None:
    """Never replace what Levada did not write, or drew of another pipeline."""
    text = (old or b"").decode("utf-8", "replace")
    if text and not origin.is_made(text):
        raise output_files.OutputError(
            f"Levada did not write `{place}`: choose another -o, or replace it with --force"
        )
    if others := origin.conflict(root, text, new):
        raise output_files.OutputError(
            f"`{place}` was made from {others}: choose another -o, or replace it with --force"
        )
