"""``levada retry``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from levada_compiler.client import SUCCEEDED, ClientError

from . import any_run, console, indexed, parameters, remote, rerunning
from .local_runs import LocalClient
from .submit import follow

if TYPE_CHECKING:
    from levada_compiler.client import Run


@click.command()
@remote.RUN
@remote.TARGET
@parameters.ENVIRONMENT
@parameters.SET
@indexed.STORE
@click.option(
    "--from-failed",
    is_flag=True,
    help="Keep what succeeded. That is what is done in any case; a script may say so.",
)
@click.option("--watch", is_flag=True, help="Show what happens until the run is over.")
@click.option("--logs/--no-logs", default=True, help="With --watch: what the steps write, too.")
@remote.JSON
@console.COLOUR
@console.examples(
    "levada retry kubernetes@prod:churn/levada-20260101-060000 --from-failed --watch",
    "levada retry churn@latest",
)
def command(
    run: str,
    name: str | None,
    environment: str | None,
    overrides: tuple[str, ...],
    store: str | None,
    from_failed: bool,  # noqa: ARG001
    watch: bool,
    logs: bool,
    as_json: bool,
    colour: str,
) -> int:
    """Run again what failed of a run.

    What succeeded is kept; the steps that failed, and those after them, are run. A local run is
    tried again by a new run, here, with the code as it is now.
    """

    def work() -> int:
        place, client, found = any_run.find(run, name, environment, overrides, store)
        if isinstance(client, LocalClient):
            return _retry_here(
                f"{found.pipeline}/{found.run_id}", store, client, found, as_json, colour
            )
        again = client.retry(found)
        if watch or as_json:
            return follow(place, client, again, logs=logs, as_json=as_json, colour=colour)
        sys.stderr.write(f"retried at {client.address}\n")
        sys.stdout.write(place.reference(again) + "\n")
        return 0

    return remote.guarded(work)


def _retry_here(
    reference: str, store: str | None, client: LocalClient, run: Run, as_json: bool, colour: str
) -> int:
    """Run again what did not succeed of a local run."""
    state = client.status(run)
    if not state.is_over:
        raise ClientError("the run goes on", f"to end it: levada cancel {reference}")
    if state.status == SUCCEEDED:
        raise ClientError("the run succeeded", f"to run it once more: levada rerun {reference}")
    colours = console.palette(colour, sys.stderr)
    stored = rerunning.stored(reference, store)
    with rerunning.code(stored, "current", None, colours) as chosen:
        if chosen is None:
            return 1
        earlier = rerunning.earlier_run(stored.run, chosen.plan)
        return rerunning.start(
            stored,
            chosen,
            link="retry_of",
            earlier=earlier,
            colours=colours,
            as_json=as_json,
        )
