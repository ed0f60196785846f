"""``levada graph``."""

from __future__ import annotations

import os
import sys

import click

from levada_compiler import output
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
@click.option("--force", "forcing", is_flag=True, help="Replace a file that is no drawing, too.")
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
    if not output.is_replaceable(place):  # /dev/stdout, /dev/null, a pipe
        with open(place, "w", encoding="utf-8") as file:
            file.write(picture)
        return 0
    folder, name = os.path.split(os.path.abspath(place))
    contents = {name: picture.encode()}
    before = output.read(folder, contents)
    if not forcing and not _is_drawing(before[name]):
        raise output.OutputError(
            f"`{place}` is no drawing of Levada: choose another -o, or replace it with --force"
        )
    output.write(folder, contents, before)
    return 0


def _is_drawing(content: bytes | None) -> bool:
    """Whether a file is a drawing that this command has made, or there is nothing to lose."""
    first = (content or b"").partition(b"\n")[0]
    is_svg = first.startswith(b"<svg ") and first.endswith(b'role="img">')
    return not content or first.startswith(b"flowchart ") or is_svg
