"""``levada gc``: remove from a store what nobody needs any more."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import click
from levada_compiler.render.cells import escape, one_line
from levada_compiler.render.colours import palette

from . import console, stores

if TYPE_CHECKING:
    from levada_compiler.render.colours import Palette
    from levada_records.collect import Report

_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
#: Runs that are named one by one.
_MOST_NAMED = 20


class Span(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A time as ``90d`` or ``12h``, in seconds."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Give the seconds."""
        if isinstance(value, (int, float)):
            return float(value)
        match = _SPAN.fullmatch(value)
        if match is None:
            self.fail(f"`{one_line(value)}` is not a time; write 90d, 12h, 30m or 0s", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


@click.command()
@click.option("--store", "place", metavar="URL", help="The store; by default that of the project.")
@click.option("--keep", type=Span(), required=True, help="How long a run is kept after its end.")
@click.option(
    "--keep-runs",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="Keep the latest N runs of each pipeline, however old they are.",
)
@click.option("--keep-tagged", is_flag=True, help="Keep every run that has a tag.")
@click.option(
    "--grace",
    type=Span(),
    default="1h",
    show_default=True,
    help="Remove a blob no earlier than this after a call has found that nothing refers to it.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@console.COLOUR
@console.examples(
    "levada gc --keep 90d --dry-run            what would go, and why it may",
    "levada gc --keep 90d --keep-runs 10       the latest 10 runs of each pipeline stay",
    "levada gc --store s3://bucket/prefix --keep 30d --keep-tagged",
)
def command(
    place: str | None,
    keep: float,
    keep_runs: int,
    keep_tagged: bool,
    grace: float,
    dry_run: bool,
    as_json: bool,
    colour: str,
) -> int:
    """Remove old runs, and values that nothing refers to any more.

    A run is removed once it ended longer ago than --keep. It stays if it may be running, has the
    tag `keep`, is named by a model, data or a deployment, or another run that stays was started
    from it.

    Runs may be written meanwhile. The values of removed runs are removed by a later call, at
    least --grace after: run this command regularly, every night for example. Values that are
    younger than a day, or than a run that may be running, stay.
    """
    from levada.store import StoreError
    from levada_records.collect import Policy, collect

    policy = Policy(keep=keep, keep_runs=keep_runs, keep_tagged=keep_tagged, grace=grace)
    store = stores.opened(place or stores.url(stores.here()))
    progress = _Progress()
    try:
        report = collect(store, policy, dry_run=dry_run, progress=progress.show)
    except (StoreError, OSError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        progress.end()
    if as_json:
        sys.stdout.write(f"{json.dumps(report.as_json(), indent=2)}\n")
    else:
        colours = palette(colour, sys.stdout)
        sys.stdout.write("".join(f"{line}\n" for line in _lines(report, keep, colours)))
    return 1 if report.unreadable else 0


class _Progress:
    """What is done so far, on a terminal."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()

    def show(self, what: str, count: int) -> None:
        """Show a count of what was ``read``, ``listed`` or ``removed``."""
        if self._live:
            sys.stderr.write(f"\r\x1b[K{what} {count:,}")
            sys.stderr.flush()

    def end(self) -> None:
        """Remove what was shown."""
        if self._live:
            sys.stderr.write("\r\x1b[K")


def _lines(report: Report, keep: float, colours: Palette) -> list[str]:
    would = "would be removed" if report.dry_run else "removed"
    rows = [
        ("runs", len(report.runs), sum(run.bytes for run in report.runs),
         f"{would}: they ended more than {_span(keep)} ago"),
        ("cache entries", report.entries, report.entry_bytes,
         f"{would}: their values go with these runs"),
        ("blobs", report.blobs, report.blob_bytes,
         f"{would}: nothing refers to them, since an earlier call or longer"),
        ("blobs", report.next_blobs, report.next_bytes,
         f"go with a call after {(report.next_at or '')[:16].replace('T', ' ')} UTC:"
         " nothing refers to them"),
        ("blobs", report.young_blobs, report.young_bytes,
         "stay for now: nothing refers to them, but a run may have just written them"),
        ("log entries", report.log_entries, None, f"{would}: a segment of the index has them"),
        ("temporary files", report.temporary, None, f"{would}: they were left a day ago"),
    ]  # fmt: skip
    shown = [row for row in rows if row[1]]
    lines = [
        f"{colours.paint('bold', f'{count:>9,}')}  {what:15} {_size(size):>10}  {why}"
        for what, count, size, why in shown
    ]
    named = [f"{one_line(run.pipeline)}/{one_line(run.run_id)}" for run in report.runs]
    lines += [f"           {name}" for name in named[:_MOST_NAMED]]
    if len(report.runs) > _MOST_NAMED:
        lines.append(f"           and {len(report.runs) - _MOST_NAMED:,} more runs")
    for reason, count in sorted(report.kept.items()):
        plural = "runs stay" if count != 1 else "run stays"
        lines.append(f"{count:>9,}  {plural}: {escape(reason)}")
    if report.running:
        running = ", ".join(map(one_line, report.running))
        lines.append(f"           what was written since the oldest began stays: {running}")
    if report.foreign:
        foreign = ", ".join(map(one_line, report.foreign[:_MOST_NAMED]))
        rest = len(report.foreign) - _MOST_NAMED
        more = f" and {rest:,} more" if rest > 0 else ""
        lines.append(f"           not Levada's, and left alone: {foreign}{more}")
    if report.unreadable:
        lines += _unreadable(report, colours)
    return lines or ["there is nothing in the store"]


def _unreadable(report: Report, colours: Palette) -> list[str]:
    named = [f"           {one_line(path)}" for path in report.unreadable[:_MOST_NAMED]]
    if len(report.unreadable) > _MOST_NAMED:
        named.append(f"           and {len(report.unreadable) - _MOST_NAMED:,} more")
    return [
        f"{colours.paint('error', 'error')}: no blob is removed: these documents cannot be read,"
        " and may refer to any; restore them, or move them out of the store",
        *named,
    ]


def _span(seconds: float) -> str:
    """Show a time by its largest unit.

    >>> _span(7_776_000)
    '90 d'
    """
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _size(count: int | None) -> str:
    if count is None:
        return ""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
