"""``levada retry``."""

from __future__ import annotations

import sys

import click

from . import console, parameters, remote
from .submit import follow


@click.command()
@remote.RUN
@remote.TARGET
@parameters.ENVIRONMENT
@parameters.SET
@click.option(
    "--from-failed",
    is_flag=True,
    help="Keep what succeeded. That is what is done in any case; a script may say so.",
)
@click.option("--watch", is_flag=True, help="Show what happens until the run is over.")
@click.option("--logs/--no-logs", default=True, help="With --watch: what the steps write, too.")
@remote.JSON
@console.COLOUR
@console.examples("levada retry kubernetes@prod:churn/levada-20260101-060000 --from-failed --watch")
def command(
    run: str,
    name: str | None,
    environment: str | None,
    overrides: tuple[str, ...],
    from_failed: bool,  # noqa: ARG001
    watch: bool,
    logs: bool,
    as_json: bool,
    colour: str,
) -> int:
    """Run again what failed of a run.

    What succeeded is kept; the steps that failed, and those after them, are run.
    """

    def work() -> int:
        place, client, found = remote.find(run, name, environment, overrides)
        again = client.retry(found)
        if watch or as_json:
            return follow(place, client, again, logs=logs, as_json=as_json, colour=colour)
        sys.stderr.write(f"retried at {client.address}\n")
        sys.stdout.write(place.reference(again) + "\n")
        return 0

    return remote.guarded(work)
