"""``levada compare``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
from levada_records.compare import SECTIONS, compare_runs
from levada_records.compare.sections import is_named
from levada_records.documents import in_parallel
from levada_records.runs import MissingRun, read_run

from levada_cli.terminal import json_text

from . import console, indexed, run_steps, stores
from .compare_text import ComparisonText
from .screens import screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada_records.compare import Comparison
    from levada_records.compare.rows import Section
    from levada_records.index import Index
    from levada_records.runs import Run

#: Runs that are compared at most: more have no letters, and nobody reads so many columns.
MOST = 26


def _sections(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[Section, ...]:
    """The sections of ``--only``, in the order of the comparison."""
    if value is None:
        return SECTIONS
    asked = [name.strip() for name in value.split(",")]
    for name in asked:
        if name not in SECTIONS:
            near = console.did_you_mean(name, SECTIONS)
            raise click.BadParameter(
                f"there is no section `{name}`{near or '; there are ' + ', '.join(SECTIONS)}",
                ctx,
                parameter,
            )
    return tuple(name for name in SECTIONS if name in asked)


@click.command()
@click.argument("references", metavar="RUN RUN ...", nargs=-1, required=True)
@indexed.STORE
@click.option(
    "--only",
    "sections",
    metavar="SECTIONS",
    callback=_sections,
    help=f"Some of: {','.join(SECTIONS)}.",
)
@click.option("--all", "everything", is_flag=True, help="Show what is equal too, and all items.")
@click.option(
    "--maximize", metavar="METRIC", multiple=True, help="A metric whose largest value is best."
)
@click.option(
    "--minimize", metavar="METRIC", multiple=True, help="A metric whose smallest value is best."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@console.COLOUR
@console.examples(
    "levada compare churn@latest 20260101-060000-1f3a9c",
    "levada compare churn@best:metrics.train.auc churn@latest --only params,code",
    "levada compare 20260101 20260102 20260103 --maximize train.auc --minimize loss",
)
def command(
    references: tuple[str, ...],
    store: str | None,
    sections: tuple[Section, ...],
    everything: bool,
    maximize: tuple[str, ...],
    minimize: tuple[str, ...],
    as_json: bool,
    colour: str,
) -> None:
    """Show what differs between runs.

    Parameters, metrics, code by function, packages, inputs, outputs, steps and environment: only
    what differs from the first run. The runs may be of different pipelines and engines. A best
    value is marked with `*`; of three runs or more, also the largest and the smallest one.

    RUN is a run's id or the beginning of one, `churn@latest`, `churn@best:metrics.train.auc`, or
    the id that an engine gave it.
    """
    if len(references) < 2:
        raise click.UsageError(f"name another run to compare `{references[0]}` with")
    if len(references) > MOST:
        raise click.UsageError(f"at most {MOST} runs can be compared, not {len(references)}")
    with run_steps.in_words(), indexed.opened(store) as index:
        runs = _read(index, references)
        comparison = compare_runs(
            runs,
            maximize=maximize,
            minimize=minimize,
            project=stores.here().root,
        )
        _check_metrics(comparison, (*maximize, *minimize))
        if as_json:
            sys.stdout.write(json_text(comparison.as_json(sections, everything=everything)))
            return
        text = ComparisonText(comparison, screen(colour), sections, everything=everything).text()
    sys.stdout.write(text)


def _read(index: Index, references: Sequence[str]) -> list[Run]:
    """Read the runs that some references name."""
    found = [indexed.run(index, reference) for reference in references]
    try:
        return in_parallel(index.store, lambda each: read_run(index.store, *each), found)
    except MissingRun as error:
        raise click.UsageError(str(error)) from error


def _check_metrics(comparison: Comparison, names: tuple[str, ...]) -> None:
    """Refuse the name of a metric that none of the runs has."""
    if not names:
        return
    rows: list[Any] = comparison.all("metrics")
    for name in names:
        if not any(is_named(row["metric"], row["step"], [name]) for row in rows):
            known = {row["metric"] for row in rows} | {row["name"] for row in rows}
            near = console.did_you_mean(name, sorted(known))
            listed = ", ".join(sorted({row["metric"] for row in rows})[:12])
            there = f"; there are {listed}" if listed else ""
            raise click.UsageError(f"these runs have no metric `{name}`{near or there}")
