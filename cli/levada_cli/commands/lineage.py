"""``levada lineage``."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from levada_cli.terminal import json_text

from . import console, indexed, run_steps

if TYPE_CHECKING:
    from levada_records.index import Index
    from levada_records.lineage import Lineage

#: What is a digest, or the beginning of one, and may be the id of a run only if it is a date.
_DIGEST = re.compile(r"sha256:[0-9a-f]+|(?=[0-9]*[a-f])[0-9a-f]{7,64}")


@click.command()
@click.argument("reference", metavar="RUN[/STEP[.OUTPUT]]|DIGEST")
@indexed.STORE
@click.option("--up", is_flag=True, help="Only what it was made from.")
@click.option("--down", is_flag=True, help="Only what used it.")
@click.option(
    "--depth", type=click.IntRange(min=1), metavar="N", help="Follow at most so many steps."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "mermaid", "openlineage")),
    default="text",
    show_default=True,
    help="openlineage is one run event a line.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@console.COLOUR
@console.examples(
    "levada lineage churn@latest",
    "levada lineage churn@latest/train --up",
    "levada lineage 'churn@latest/fit[2].model' --down --depth 1",
    "levada lineage sha256:6c301cda718f",
    "levada lineage churn@latest --format mermaid > lineage.mmd",
    "levada lineage churn@latest --format openlineage | curl -T - ...",
)
def command(
    reference: str,
    store: str | None,
    up: bool,
    down: bool,
    depth: int | None,
    form: str,
    as_json: bool,
    colour: str,
) -> None:
    """Show what a result was made from, and what used it.

    Steps are followed up and down: within a run, into the runs whose results the cache gave, and
    into runs of other pipelines and engines that were given the same content.

    RUN is a run's id or the beginning of one, or `churn@latest`: what that run returned. With /STEP
    it is what that step gave, with .OUTPUT one of its outputs. DIGEST is that of an artifact, or
    its beginning.
    """
    from levada_records.lineage import lineage_json, mermaid, openlineage

    if as_json and form != "text":
        raise click.UsageError(f"--json and --format {form} exclude each other")
    both = up == down
    with run_steps.in_words(), indexed.opened(store) as index:
        found = _followed(index, reference, up=up or both, down=down or both, depth=depth)
        if as_json:
            sys.stdout.write(json_text(lineage_json(found)))
        elif form == "mermaid":
            sys.stdout.write(mermaid(found))
        elif form == "openlineage":
            sys.stdout.writelines(f"{line}\n" for line in openlineage(found))
        else:
            from .lineage_text import LineageText
            from .screens import screen

            text = LineageText(found, screen(colour), up=up or both, down=down or both).text()
            sys.stdout.write(text)


def _followed(index: Index, reference: str, *, up: bool, down: bool, depth: int | None) -> Lineage:
    """The lineage of what a reference names. Raises click.UsageError."""
    from levada_records.lineage import Tracer, UnknownArtifact

    tracer = Tracer(index.store, index)
    try:
        if _DIGEST.fullmatch(reference):
            tracer.of_digest(reference)
        else:
            run, rest = run_steps.run_and_rest(index, reference)
            if rest:
                tracer.of_step(run, *run_steps.step(run, rest))
            else:
                tracer.of_run(run)
    except UnknownArtifact as error:
        raise click.UsageError(str(error)) from error
    return tracer.follow(up=up, down=down, depth=depth)
