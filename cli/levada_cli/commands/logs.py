"""``levada logs``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from levada.engine import events
from levada_compiler.render.cells import one_line, without_commands
from levada_compiler.render.colours import palette
from levada_compiler.usage import UsageError

from levada_cli.terminal import in_ci

from . import any_run, configuration, console, indexed, parameters, remote, results
from .progress import log_line
from .recorded import Recorded
from .watching import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from levada.engine.events import Event
    from levada_compiler.client import Client, Run, StepState


@click.command()
@remote.RUN
@click.argument("step", metavar="[STEP]", required=False)
@remote.TARGET
@parameters.ENVIRONMENT
@parameters.SET
@indexed.STORE
@click.option("--attempt", type=click.IntRange(min=1), metavar="N", help="By default the last.")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run is over.")
@console.examples(
    "levada logs airflow@prod:churn/levada-20260101-060000",
    "levada logs airflow@prod:churn/levada-20260101-060000 'train[depth=4]' --attempt 1",
    "levada logs airflow@prod:churn/levada-20260101-060000 --follow",
)
def command(
    run: str,
    step: str | None,
    name: str | None,
    environment: str | None,
    overrides: tuple[str, ...],
    store: str | None,
    attempt: int | None,
    follow: bool,
) -> int:
    """Show what the steps of a run wrote.

    STEP is the name of one: `train`, or in a loop `train[depth=4]`, by the item, or `train[2]`, by
    its index. Without it, those of all steps that have started.
    """

    def work() -> int:
        place, client, found = any_run.find(run, name, environment, overrides, store)
        if follow:
            if attempt is not None:
                raise UsageError("--follow shows the last attempt; leave out --attempt")
            Watch(client, found, Recorded(place, found), _printer(step), logs=True).follow()
            return 0
        steps = _chosen(Recorded(place, found).labelled(client.status(found).steps), step)
        for each in steps:
            _print(client, found, each, attempt, alone=len(steps) == 1 and step is not None)
        return 0

    return remote.guarded(work)


def _chosen(steps: Sequence[StepState], name: str | None) -> list[StepState]:
    """The steps of this name, or all that have started and are not there only for control."""
    if name is None:
        return [step for step in steps if step.attempt and not step.is_control]
    by_label = results.labels(steps)
    found = by_label.get(name) or [step for step in steps if step.node == name]
    if not found:
        hint = configuration.near(name, by_label)
        raise UsageError(f"the run has no step `{name}`; {hint}")
    return found


def _print(client: Client, run: Run, step: StepState, attempt: int | None, *, alone: bool) -> None:
    number = attempt or step.attempt
    if not number:
        raise UsageError(f"`{results.label(step)}` has not started: it is {step.status}")
    head = "" if alone else f"{one_line(results.label(step))} | "
    for line in client.log(run, step, number):
        sys.stdout.write(f"{head}{_shown(line)}\n")


def _printer(name: str | None) -> Callable[[Event], None]:
    def show(event: Event) -> None:
        if event.kind == events.LOG and name in (None, event.label, event.name, event.node):
            for line in event.details["text"].split("\n"):
                sys.stdout.write(f"{one_line(event.name)} | {_shown(line)}\n")
            sys.stdout.flush()

    return show


def _shown(line: str) -> str:
    """A line as a terminal may have it, its colours kept; for a program it is data."""
    if sys.stdout.isatty():
        return log_line(line, colours=palette("auto", sys.stdout).enabled)
    return without_commands(line) if in_ci() else line
