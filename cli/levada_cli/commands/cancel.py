"""``levada cancel``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from levada_compiler.client import RUNNING

from . import any_run, console, indexed, parameters, remote
from .local_runs import LocalClient

if TYPE_CHECKING:
    from levada_compiler.client import Run

    from .remote import Place


@click.command()
@remote.RUN
@remote.TARGET
@parameters.ENVIRONMENT
@parameters.SET
@indexed.STORE
@console.examples(
    "levada cancel airflow@prod:churn/levada-20260101-060000",
    "levada cancel churn@latest",
)
def command(
    run: str,
    name: str | None,
    environment: str | None,
    overrides: tuple[str, ...],
    store: str | None,
) -> int:
    """End a run.

    What runs is stopped, nothing more is started. A run that is over is left as it is. A local run
    whose process is gone is marked as cancelled.
    """

    def work() -> int:
        place, client, found = any_run.find(run, name, environment, overrides, store)
        if isinstance(client, LocalClient):
            return _cancel_here(place, client, found)
        state = client.status(found)
        if state.is_over:
            sys.stderr.write(f"the run is over already: {state.status}\n")
            return 0
        client.cancel(found)
        sys.stderr.write(f"cancelled {place.reference(found)}\n")
        return 0

    return remote.guarded(work)


def _cancel_here(place: Place, client: LocalClient, run: Run) -> int:
    if client.ended(run):
        sys.stderr.write(f"the run is over already: {client.status(run).status}\n")
        return 0
    has_process = client.status(run).status == RUNNING
    client.cancel(run)
    reference = place.reference(run)
    if not client.ended(run):
        sys.stderr.write(f"told {reference} to end, and it goes on; the next time it is killed\n")
        return 1
    gone = "" if has_process else ": its process was gone, and it is marked as cancelled now"
    sys.stderr.write(f"cancelled {reference}{gone}\n")
    return 0
