"""``levada run``."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click
from levada import project as projects
from levada_compiler.render import FORMATS

from levada_cli.terminal import json_text

from . import arguments, console, containers, interpreter, parameters, planning, readiness, stores
from .progress import Progress
from .summary import summary

if TYPE_CHECKING:
    from levada.engine import Event, Outcome
    from levada.plan_types import Plan
    from levada.store import Store
    from levada_compiler.render.colours import Palette


@click.command()
@parameters.REFERENCE
@parameters.PARAM
@parameters.PARAMS_FILE
@click.option(
    "--max-parallel",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many steps run at once; by default one a CPU.",
)
@click.option("--store", metavar="URL", help="Where results and records are kept.")
@click.option("--run-id", metavar="ID", help="The name of the run; by default made up.")
@click.option("--no-cache", is_flag=True, help="Run every step, and keep no results for later.")
@click.option(
    "--executor",
    "executor_name",
    type=click.Choice(("process", "docker")),
    default="process",
    show_default=True,
    help="What each step runs in: a process here, or a container of its image.",
)
@click.option(
    "--mount",
    "folders",
    multiple=True,
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    help="A folder that containers see too, where it is here; repeatable.",
)
@click.option(
    "--network",
    metavar="NAME",
    help="The Docker network of containers; by default the engine's own. `host` is this machine's.",
)
@click.option("--explain-cache", is_flag=True, help="Say why each step was cached or was not.")
@click.option("--json", "as_json", is_flag=True, help="The outcome as one JSON object on stdout.")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="full", help="How to show diagnostics."
)
@parameters.STRICT
@console.COLOUR
@console.examples(
    "levada run pipeline.py",
    'levada run pipeline.py --param depth=4 --param \'names=["a", "b"]\'',
    "levada run pipeline.py --params-file prod.toml --max-parallel 8",
    "levada run pipeline.py --executor docker --mount data",
    "levada run pipeline.py --json | jq .outputs",
)
def command(
    reference: tuple[str, str | None],
    given: tuple[str, ...],
    file: str | None,
    max_parallel: int | None,
    store: str | None,
    run_id: str | None,
    no_cache: bool,
    executor_name: str,
    folders: tuple[str, ...],
    network: str | None,
    explain_cache: bool,
    as_json: bool,
    form: str,
    strict: bool,
    colour: str,
) -> int:
    """Run a pipeline here, each step in its own process or container.

    A step whose code and inputs did not change takes its results from the last time. Exits 1 if
    the run fails.
    """
    colours = console.palette(colour, sys.stderr)
    found = planning.plan(reference, form, colours, strict=strict)
    sys.stderr.write(found.messages)
    planned = found.plan
    if planned is None:
        return 1
    project = projects.find(reference[0])
    values = {**arguments.read_file(file), **arguments.parse(given, planned["parameters"])}
    opened = stores.opened(store or stores.url(project))
    if executor_name == "docker":
        executors, messages = containers.executors(reference, folders, network, form, colours)
        sys.stderr.write(messages)
        if executors is None:
            return 1
    elif folders:
        raise click.UsageError("--mount is for --executor docker: a process sees all folders")
    elif network:
        raise click.UsageError("--network is for --executor docker: a process has this machine's")
    else:
        executors = None
        interpreter.check(planned, project)
    if not readiness.is_ready(planned, found.types, colours, in_containers=executors is not None):
        return 1
    return start(
        planned,
        values,
        opened,
        colours,
        explain_cache=explain_cache,
        as_json=as_json,
        project=project,
        run_id=run_id,
        max_parallel=max_parallel,
        cache=not no_cache,
        executor=executors,
        files=found.files,
    )


def start(
    planned: Plan,
    values: dict[str, Any],
    store: Store,
    colours: Palette,
    *,
    explain_cache: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Run a plan here, and show it; the exit status is how it ended.

    ``options`` are those of `levada.engine.run`.
    """
    explain = (lambda event: _why(event, store)) if explain_cache else None
    progress = Progress(sys.stderr, colours, explain)
    with progress:
        outcome = _run(planned, values, store=store, on_event=progress.show, **options)
    with suppress(OSError):  # the terminal may be gone, which is no failure of the run
        sys.stderr.write(summary(outcome, progress, colours))
        sys.stderr.flush()
    if as_json:
        sys.stdout.write(json_text(outcome.as_json()))
    return _status(outcome)


def _run(planned: Plan, values: dict[str, Any], **options: Any) -> Outcome:
    """The engine's run; what is wrong with the request is wrong usage."""
    from levada import engine
    from levada.store import StoreError

    try:
        return engine.run(planned, values, **options)
    except engine.ParameterError as error:
        for problem in error.problems[:-1]:
            console.error(problem)
        raise click.UsageError(error.problems[-1]) from error
    except engine.RunExistsError as error:
        raise click.UsageError(str(error)) from error
    except StoreError as error:
        raise click.ClickException(str(error)) from error


def _why(event: Event, store: Store) -> str:
    """Why a step was or was not cached."""
    from levada.cache import explain

    record: Any = event.details.get("record") or {}  # `Record`
    if not record.get("cache"):
        return "the cache is off for it"
    word = "cached" if record["cache"]["hit"] else "not cached"
    return f"{word}: " + "; ".join(reason["text"] for reason in explain(record, store))


def _status(outcome: Outcome) -> int:
    if outcome.status == "succeeded":
        return 0
    return 130 if outcome.status == "cancelled" else 1
