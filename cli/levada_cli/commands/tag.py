"""``levada tag``."""

from __future__ import annotations

import sys

import click
from levada_compiler.render.cells import one_line

from . import annotating, console, indexed


@click.command()
@indexed.RUN
@click.argument("tags", metavar="[NAME=VALUE]...", nargs=-1)
@click.option("--remove", metavar="NAME", multiple=True, help="Remove a tag; may be repeated.")
@indexed.STORE
@click.option("--json", "as_json", is_flag=True, help="Print the tags as one JSON object.")
@console.examples(
    "levada tag churn@latest stage=candidate owner=ann",
    "levada tag 20261130-06 --remove stage",
    "levada tag churn@best:metrics.train.auc champion=yes",
    "levada tag churn@latest                    print the tags",
)
def command(
    reference: str,
    tags: tuple[str, ...],
    remove: tuple[str, ...],
    store: str | None,
    as_json: bool,
) -> int:
    """Set or remove tags of a run.

    RUN is the id of a run or its beginning, `churn@latest`, `churn@best:metrics.STEP.METRIC`, or
    the id that an engine gave it. Filter by `tags.NAME` in `levada runs --where`.
    """
    changes = annotating.tag_changes(tags, remove)
    found = annotating.annotate(reference, store, changes, None)
    if as_json:
        annotating.print_json(found)
    else:
        for name, value in sorted(found.tags.items()):
            sys.stdout.write(f"{one_line(name)}={one_line(value)}\n")
    return 0
