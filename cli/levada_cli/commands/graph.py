"""``levada graph``."""

from __future__ import annotations

import os
import sys

import click
from levada_compiler import origin, output_files
from levada_compiler.graph import FORMATS, draw
from levada_compiler.render import render

from . import batch, console, front, parameters, selection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada_compiler.program.ir import Program
    from levada_compiler.render.colours import Palette

    from .selection import Selection

_SUFFIXES = {"mermaid": ".mmd", "svg": ".svg"}

#: What a file is by the end of its name.
_ENDINGS = {".svg": "svg", **dict.fromkeys(("", ".mmd", ".mermaid", ".md", ".txt"), "mermaid")}


@click.command()
@parameters.REFERENCES
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Mermaid text or SVG; by default what the name of the output says, else mermaid.",
)
@click.option(
    "--output",
    "-o",
    "place",
    metavar="FILE|DIR",
    help="Write to a file instead of stdout; of several pipelines to a folder, a file for each.",
)
@click.option("--force", "forcing", is_flag=True, help="Replace a file of another origin, too.")
@console.COLOUR
@console.examples(
    "levada graph pipeline.py",
    "levada graph pipeline.py -o pipeline.svg",
    "levada graph pipeline.py:nightly --format svg > nightly.svg",
    "levada graph pipelines/ --format svg -o docs/graphs",
)
def command(
    references: tuple[tuple[str, str | None], ...],
    form: str | None,
    place: str | None,
    forcing: bool,
    colour: str,
) -> int:
    """Draw pipelines as Mermaid text or SVG.

    Solid arrows are data, dashed ones mere order; boxes are loops, branches and handlers. Takes
    files, folders and globs; without any, those of `[tool.levada] pipelines` in pyproject.toml.
    """
    chosen = selection.select(references)
    colours = console.palette(colour, sys.stderr)
    if not chosen.is_one:
        return _draw_several(chosen, form or "mermaid", place, forcing, colours)
    form = form or _form_of(place)
    checked = front.check(chosen.files[0].reference, ())
    sys.stderr.write(render(checked.diagnostics, checked.sources, colour=colours.enabled))
    if checked.failed or checked.program is None:
        return 1
    picture = draw(checked.program, form)
    if form == "mermaid" and (place or "").lower().endswith(".md"):
        picture = f"```mermaid\n{picture}```\n"  # what code hosts draw in Markdown
    if not place or place == "-":
        sys.stdout.write(picture)
        return 0
    if not output_files.is_replaceable(place):  # /dev/stdout, /dev/null, a pipe
        with open(place, "w", encoding="utf-8") as file:
            file.write(picture)
        return 0
    _write(place, picture, checked.project.root, forcing)
    return 0


def _draw_several(
    chosen: Selection, form: str, folder: str | None, forcing: bool, colours: Palette
) -> int:
    """Draw each pipeline into a file of its name; one that cannot be drawn stops no other."""
    checked = batch.check_in_turn(chosen.files)
    programs = [program for each in checked for program, _ in each.programs]
    place = None if folder == "-" else folder
    if os.path.isfile(place) if place else len(programs) > 1:
        raise click.UsageError("these are several pipelines: give a folder with -o")
    diagnostics = [found for each in checked for found in each.diagnostics]
    sources = {file: text for each in checked for file, text in each.sources.items()}
    sys.stderr.write(render(diagnostics, sources, colour=colours.enabled))
    failed = any(each.failed for each in checked)
    if not place:
        return _print_only(programs, form, failed=failed)
    drawn: dict[str, str] = {}
    for each in checked:
        for program, _ in () if each.failed else each.programs:
            file = os.path.join(place, f"{program.name}{_SUFFIXES[form]}")
            try:
                _refuse_same(drawn.get(file), program)
                _write(file, draw(program, form), each.project.root, forcing)
            except output_files.OutputError as error:
                console.error(str(error))
                failed = True
            else:
                drawn[file] = program.origin
    count = len(drawn)
    sys.stderr.write(f"{count} pipeline{'s' * (count != 1)} drawn in {place}\n")
    return 1 if failed else 0


def _print_only(programs: Sequence[Program], form: str, *, failed: bool) -> int:
    """Print the drawing of the only pipeline of several files, if there is one without errors."""
    if failed:
        return 1
    if not programs:
        sys.stderr.write("0 pipelines drawn: there is none in these files\n")
        return 1
    sys.stdout.write(draw(programs[0], form))
    return 0


def _refuse_same(other: str | None, program: Program) -> None:
    """Raise OutputError if a pipeline of the same name was drawn already."""
    if other is not None:
        raise output_files.OutputError(
            f"`{other}` and `{program.origin}` both have the name `{program.name}`: "
            "give one of them a name by `@pipeline(name=…)`"
        )


def _write(place: str, picture: str, root: str, forcing: bool) -> None:
    folder, name = os.path.split(os.path.abspath(place))
    contents = {name: picture.encode()}
    before = output_files.read(folder, contents)
    if not forcing:
        _refuse_others(place, before[name], picture, root)
    output_files.write(folder, contents, before)


def _form_of(place: str | None) -> str:
    """What a drawing is by the name of its file. Raises UsageError for another kind of file."""
    ending = os.path.splitext(place or "")[1].lower()
    if ending in _ENDINGS or (place and not output_files.is_replaceable(place)):
        return _ENDINGS.get(ending, "mermaid")
    raise click.UsageError(
        f"-o {place}: a drawing is SVG (.svg) or Mermaid text (.mmd, .mermaid, .md, .txt), not"
        f" `{ending}`; give the file one of these names, or say which by --format"
    )


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
