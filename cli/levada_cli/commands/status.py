"""``levada status``."""

from __future__ import annotations

import sys

import click

from levada_cli.terminal import json_text

from . import any_run, console, indexed, parameters, remote, results
from .recorded import Recorded
from .submit import follow


@click.command()
@remote.RUN
@remote.TARGET
@parameters.ENVIRONMENT
@parameters.SET
@indexed.STORE
@click.option("--watch", is_flag=True, help="Show what happens until the run is over.")
@click.option("--logs/--no-logs", default=True, help="With --watch: what the steps write, too.")
@remote.JSON
@console.COLOUR
@console.examples(
    "levada status airflow@prod:churn/levada-20260101-060000",
    "levada status churn/levada-20260101-060000 --target airflow --env prod --watch",
)
def command(
    run: str,
    name: str | None,
    environment: str | None,
    overrides: tuple[str, ...],
    store: str | None,
    watch: bool,
    logs: bool,
    as_json: bool,
    colour: str,
) -> int:
    """Say how far a run is.

    RUN is what `levada submit` printed, or a run of the store: an id, the beginning of one,
    PIPELINE/ID or PIPELINE@latest. Exits 1 if the run failed, 130 if it was cancelled, else 0.
    """

    def work() -> int:
        place, client, found = any_run.find(run, name, environment, overrides, store)
        if watch:
            return follow(place, client, found, logs=logs, as_json=as_json, colour=colour)
        recorded = Recorded(place, found)
        result = results.result(place, client, client.status(found), recorded)
        if as_json:
            sys.stdout.write(json_text(result.as_json()))
        else:
            sys.stdout.write(result.text(console.palette(colour, sys.stdout)))
        return result.status

    return remote.guarded(work)
