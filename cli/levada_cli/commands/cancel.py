"""``levada cancel``."""

from __future__ import annotations

import sys

import click

from . import console, parameters, remote


@click.command()
@remote.RUN
@remote.TARGET
@parameters.ENVIRONMENT
@parameters.SET
@console.examples("levada cancel airflow@prod:churn/levada-20260101-060000")
def command(run: str, name: str | None, environment: str | None, overrides: tuple[str, ...]) -> int:
    """End a run.

    What runs is stopped, nothing more is started. A run that is over is left as it is.
    """

    def work() -> int:
        place, client, found = remote.find(run, name, environment, overrides)
        state = client.status(found)
        if state.is_over:
            sys.stderr.write(f"the run is over already: {state.status}\n")
            return 0
        client.cancel(found)
        sys.stderr.write(f"cancelled {place.reference(found)}\n")
        return 0

    return remote.guarded(work)
