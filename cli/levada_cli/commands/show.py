"""``levada show``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from levada_cli.terminal import json_text

from . import console, indexed, run_steps

if TYPE_CHECKING:
    from levada_records.runs import Run

    from .shown_run import Screen


@click.command()
@click.argument("reference", metavar="RUN[/STEP]", shell_complete=run_steps.complete)
@indexed.STORE
@click.option("--all", "whole", is_flag=True, help="Show all items of wide loops.")
@click.option("--json", "as_json", is_flag=True, help="Print the run as one JSON object.")
@console.COLOUR
@console.examples(
    "levada show churn@latest",
    "levada show 20260101-060000-1f3a9c",
    "levada show churn@latest/train",
    "levada show 'churn@latest/fit[2]'           an item of a loop",
    "levada show churn@latest --json | jq .metrics",
)
def command(reference: str, store: str | None, whole: bool, as_json: bool, colour: str) -> None:
    """Show what a run did, or one of its steps.

    RUN is a run's id or the beginning of one, `churn@latest`, `churn@best:metrics.train.auc`, or
    the id that an engine gave it. With /STEP, all that is recorded of that step is shown, and the
    end of its log.
    """
    from . import screens  # it brings the records

    with run_steps.in_words(), indexed.opened(store) as index:
        run, rest = run_steps.run_and_rest(index, reference)
        if rest:
            shown = _step(run, rest, screens.screen(colour), as_json=as_json)
        else:
            shown = _run(run, screens.screen(colour), whole=whole, as_json=as_json)
    sys.stdout.write(shown)


def _run(run: Run, screen: Screen, *, whole: bool, as_json: bool) -> str:
    from levada_records.run_json import run_json

    from .shown_run import run_text

    return json_text(run_json(run)) if as_json else run_text(run, screen, whole=whole)


def _step(run: Run, name: str, screen: Screen, *, as_json: bool) -> str:
    from levada_records.cache_reasons import cache_reasons
    from levada_records.run_json import step_json

    from .shown_step import step_text

    step, output = run_steps.step(run, name)
    if output:
        raise click.UsageError(
            f"`{name}` is an output: `levada get` reads it, `levada show` takes `{step.name}`"
        )
    if as_json:
        return json_text(step_json(step, cache_reasons(run, [step])[0]))
    return step_text(run, step, screen)
