"""``levada runs``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from . import console, indexed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from levada_records.index import Index
    from levada_records.query.places import Place

    Row = dict[str, Any]


@click.command()
@click.argument("pipeline", required=False, shell_complete=indexed.complete_pipeline)
@click.option("--where", metavar="EXPRESSION", help="Only runs of which this is true.")
@click.option(
    "--sort",
    metavar="NAME,...",
    help="Sort by these; a - before a name: largest first. By default: newest first.",
)
@click.option("--columns", metavar="NAME,...", help="What to show of each run.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Show so many."
)
@click.option("--all", "every", is_flag=True, help="Show all.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--parquet", metavar="FILE", help="Write a Parquet file (by pyarrow or polars).")
@click.option("--force", is_flag=True, help="With --parquet: replace the file.")
@click.option("--rebuild", is_flag=True, help="Read the whole store into the index anew, first.")
@indexed.STORE
@console.COLOUR
@console.examples(
    "levada runs                                       the last runs of all pipelines",
    "levada runs churn --where \"status == 'failed'\"",
    "levada runs churn --where 'metrics.train.auc > 0.9 and params.depth in [4, 8]'",
    "levada runs churn --sort -metrics.train.auc --limit 5",
    "levada runs --columns run,status,params.depth,metrics.train.loss.min,tags.owner",
    "levada runs churn --all --csv > runs.csv",
)
def command(
    pipeline: str | None,
    where: str | None,
    sort: str | None,
    columns: str | None,
    limit: int,
    every: bool,
    as_json: bool,
    as_csv: bool,
    parquet: str | None,
    force: bool,
    rebuild: bool,
    store: str | None,
    colour: str,
) -> int:
    """List runs: filtered, sorted, as a table or for other programs.

    The runs of PIPELINE, or of all. EXPRESSION is one of Python, on the fields of a run: pipeline,
    run_id, status, started, finished, seconds, engine, environment, trigger, user, commit, branch,
    dirty, note, peak_memory, cpu_seconds, `params.NAME`, `metrics.STEP.METRIC` (the last value;
    .min, .max and .count), `tags.NAME`, `error.type`, `counts.failed`. What a run does not have is
    None. --sort and --columns take the same names.
    """
    if sum([as_json, as_csv, parquet is not None]) > 1:
        raise click.UsageError("--json, --csv and --parquet exclude each other")
    with indexed.opened(store, sync=not rebuild) as index:
        if rebuild:
            indexed.rebuild(index)
        most = None if every else limit
        rows, places = _selected(index, pipeline, where, sort, columns, most)
        if not rows and pipeline is not None:
            _refuse_unknown(index, pipeline)
    has_more = most is not None and len(rows) > most
    rows = rows[:most]
    if as_json:
        _print_json(rows)
    elif as_csv:
        _print_csv(_columns(rows, places))
    elif parquet is not None:
        from .parquet import write

        write(parquet, _columns(rows, places), force=force)
    else:
        _print_table(rows, places, pipeline, colour)
    if has_more:
        sys.stderr.write("there are more runs: --limit N, or --all\n")
    return 0


def _selected(
    index: Index,
    pipeline: str | None,
    where: str | None,
    sort: str | None,
    columns: str | None,
    limit: int | None,
) -> tuple[list[Row], list[tuple[str, Place]] | None]:
    """The rows, one more than the limit, and the columns that were asked for."""
    from levada_records.query import QueryError, places, select

    warnings: list[str] = []
    try:
        shown = None if columns is None else places(index, _names(columns, "--columns"))
        rows = select(
            index,
            pipeline=pipeline,
            where=where,
            order_by=_names(sort, "--sort") if sort is not None else (),
            limit=None if limit is None else limit + 1,
            warnings=warnings,
            fields=[place for _, place in shown or ()],
        )
        found = list(rows)
    except QueryError as error:
        raise click.UsageError(str(error)) from error
    for warning in warnings:
        console.warning(warning)
    return found, shown


def _names(text: str, option: str) -> list[str]:
    """The names between the commas; none of them is in quotes with a comma in it."""
    names = [name.strip() for name in text.split(",")]
    if not all(name.removeprefix("-") for name in names):
        raise click.UsageError(f"{option} takes names with a comma between them, not `{text}`")
    return names


def _refuse_unknown(index: Index, pipeline: str) -> None:
    """Say so if no run at all is of this pipeline."""
    from levada_records.references import pipelines

    known = pipelines(index)
    if known and pipeline not in known:
        near = console.did_you_mean(pipeline, known)
        there = near or f"; there are: {', '.join(known[:8])}{', …' * (len(known) > 8)}"
        raise click.UsageError(f"there are no runs of a pipeline `{pipeline}`{there}")


def _columns(rows: Sequence[Row], places: list[tuple[str, Place]] | None) -> dict[str, list[Any]]:
    """The values for a file, by name of their column."""
    from levada_records.query import value_at

    from .run_table import flat

    if places is None:
        return flat(rows)
    return {name: [value_at(row, place) for row in rows] for name, place in places}


def _print_json(rows: Sequence[Row]) -> None:
    from levada_records.query import as_json

    from levada_cli.terminal import json_text

    sys.stdout.write(json_text([as_json(row) for row in rows]))


def _print_csv(columns: dict[str, list[Any]]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for values in zip(*columns.values(), strict=True):
        writer.writerow([_csv_cell(value) for value in values])


def _csv_cell(value: Any) -> Any:
    import json

    if isinstance(value, (bool, list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return value


def _print_table(
    rows: Sequence[Row],
    places: list[tuple[str, Place]] | None,
    pipeline: str | None,
    colour: str,
) -> None:
    from . import run_table

    if not rows:
        sys.stderr.write("no runs\n")
        return
    if places is None:
        columns = run_table.by_default(rows, pipeline=pipeline)
    else:
        columns = run_table.chosen(places)
    made = run_table.table(
        rows,
        columns,
        console.palette(colour, sys.stdout),
        columns_of_screen=run_table.screen_width(sys.stdout),
        keeps_all=places is not None,
    )
    sys.stdout.write("".join(f"{line}\n" for line in made.lines))
    if made.left_out:
        from levada_compiler.render.cells import one_line

        names = ", ".join(map(one_line, made.left_out))
        sys.stderr.write(f"no room for: {names} (choose by --columns)\n")
