"""``levada submit``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
from levada_compiler.client import ClientError, Request

from levada_cli.terminal import json_text

from . import arguments, console, parameters, remote, results, watching
from .progress import Progress
from .recorded import Recorded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from levada_compiler.client import Client, Compiled, Run

    from .remote import Place


@click.command()
@parameters.REFERENCE
@remote.TARGET
@parameters.ENVIRONMENT
@parameters.SET
@parameters.PARAM
@parameters.PARAMS_FILE
@click.option("--run-id", metavar="ID", help="The name of the run; by default made up.")
@click.option("--watch", is_flag=True, help="Show what happens until the run is over.")
@click.option("--logs/--no-logs", default=True, help="With --watch: what the steps write, too.")
@click.option(
    "--as-deployed",
    is_flag=True,
    help="Run what is there, even if it is not what is compiled here.",
)
@click.option("--unpause", is_flag=True, help="Switch the pipeline on if it is paused there.")
@remote.JSON
@console.COLOUR
@console.examples(
    "levada submit pipeline.py --target airflow --env prod",
    "levada submit pipeline.py --param depth=4 --watch",
    "levada submit pipeline.py --watch --json | jq .outputs",
    "RUN=$(levada submit pipeline.py) && levada status $RUN",
)
def command(
    reference: tuple[str, str | None],
    name: str | None,
    environment: str | None,
    overrides: tuple[str, ...],
    given: tuple[str, ...],
    file: str | None,
    run_id: str | None,
    watch: bool,
    logs: bool,
    as_deployed: bool,
    unpause: bool,
    as_json: bool,
    colour: str,
) -> int:
    """Start a run of a deployed pipeline.

    What is deployed has to be what is compiled here. Prints a name for the run that `levada
    status`, `logs`, `cancel` and `retry` take. With --watch exits 1 if the run fails, 130 if it
    is cancelled.
    """

    def work() -> int:
        place = remote.place(name, environment, overrides, reference[0])
        client = place.client()
        compiled = remote.compiled(reference, place, client, overrides, colour)
        if compiled is None:
            return 1
        values = parameters_of(compiled, file, given)
        if not as_deployed:
            client.verify(compiled)
        request = Request(values, run_id, unpause)
        return send(
            place, client, compiled, request, watch=watch, logs=logs, as_json=as_json, colour=colour
        )

    return remote.guarded(work)


def send(
    place: Place,
    client: Client,
    compiled: Compiled,
    request: Request,
    *,
    watch: bool,
    logs: bool,
    as_json: bool,
    colour: str,
) -> int:
    """Start a run, and say so or show it; the exit status."""
    run = client.submit(compiled, request)
    if watch:
        return follow(place, client, run, logs=logs, as_json=as_json, colour=colour)
    _tell(place, client, run, as_json)
    return 0


def parameters_of(
    compiled: Compiled,
    file: str | None,
    given: tuple[str, ...],
    earlier: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What was given, if the pipeline takes it; else what an ``earlier`` run was given."""
    from levada.engine.parameters import ParameterError, resolve

    declared = compiled.plan["parameters"]
    values = {
        **(earlier or {}),
        **arguments.read_file(file),
        **arguments.parse(given, declared),
    }
    try:
        resolved = resolve(declared, values)
    except ParameterError as error:
        for problem in error.problems[:-1]:
            console.error(problem)
        raise click.UsageError(error.problems[-1]) from error
    return {name: resolved[name] for name in values}


def _tell(place: Place, client: Client, run: Run, as_json: bool) -> None:
    if as_json:
        found = results.Result(place, client.status(run), None, {})
        sys.stdout.write(json_text(found.as_json()))
        return
    sys.stderr.write(f"submitted to {client.address}\n" + (f"{run.url}\n" if run.url else ""))
    sys.stdout.write(place.reference(run) + "\n")


def follow(
    place: Place, client: Client, run: Run, *, logs: bool, as_json: bool, colour: str
) -> int:
    """Show a run until it is over; the exit status is its result."""
    colours = console.palette(colour, sys.stderr)
    recorded = Recorded(place, run)
    try:
        with Progress(sys.stderr, colours) as progress:
            state = watching.Watch(client, run, recorded, progress.show, logs=logs).follow()
    except KeyboardInterrupt:
        sys.stderr.write(f"the run goes on; to end it: levada cancel {place.reference(run)}\n")
        raise
    except ClientError:
        again = f"levada status {place.reference(run)} --watch"
        sys.stderr.write(f"the run is not watched any more; to go on: {again}\n")
        raise
    found = results.result(place, client, state, recorded)
    sys.stderr.write(found.text(colours))
    if as_json:
        sys.stdout.write(json_text(found.as_json()))
    return found.status
