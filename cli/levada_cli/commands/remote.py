"""From the commands to the client of a target: found, made, and its errors put into words."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click
from levada import project as projects
from levada.store import StoreError
from levada_compiler import targets
from levada_compiler.client import ClientError, Compiled, not_installed
from levada_compiler.render.colours import palette
from levada_compiler.slotted import dataclass, replace
from levada_compiler.usage import UsageError

from . import compiling, configuration, console, front, parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from levada.project import Project
    from levada_compiler.client import Client, Run
    from levada_compiler.target import Target

TARGET = click.option(
    "--target",
    "-t",
    "name",
    metavar="NAME",
    shell_complete=parameters.complete_target,
    help="Where; by default the one target of the project that can be submitted to.",
)
JSON = click.option(
    "--json", "as_json", is_flag=True, help="Say what was done as one JSON object on stdout."
)
RUN = click.argument("run", metavar="RUN")


@dataclass(frozen=True, slots=True)
class Place:
    """A target in an environment, as the project configures it."""

    target: Target
    environment: str | None
    options: Mapping[str, object]
    project: Project

    def client(self) -> Client:
        """Its client."""
        reference = getattr(self.target, "client", None)
        if not reference:
            raise UsageError(
                f"the target `{self.target.name}` has no client: "
                "it can be compiled for, not submitted to"
            )
        module, _, name = reference.partition(":")
        make = getattr(self._imported(module), name)
        made: Client = make(self.options, self.project.root)
        return made

    def _imported(self, module: str) -> Any:
        """The client's module. Raises ClientError if a package that it needs is not installed."""
        try:
            return import_module(module)
        except ModuleNotFoundError as error:
            if str(error.name).partition(".")[0] == module.partition(".")[0]:
                raise
            name = self.target.name
            extra = name if targets.is_own(self.target) else ""
            raise not_installed(error, name, extra) from error

    def reference(self, run: Run) -> str:
        """The run in one word, which `levada status` and the others take."""
        environment = f"@{self.environment}" if self.environment else ""
        return f"{self.target.name}{environment}:{run.pipeline}/{run.run_id}"


def guarded(action: Callable[[], int]) -> int:
    """The status of ``action``; what the client cannot do becomes an error with a way out."""
    try:
        return action()
    except ClientError as error:
        console.error(str(error))
        if error.way_out:
            colours = palette("auto", sys.stderr)
            sys.stderr.write(f"{colours.paint('help', 'help')}: {error.way_out}\n")
        return 1
    except StoreError as error:
        console.error(str(error))
        return 1


def place(
    name: str | None, environment: str | None, overrides: tuple[str, ...], file: str
) -> Place:
    """The target that is asked for, or the only one that the project of ``file`` has."""
    project = projects.find(file)
    configured = configuration.tables(project)
    names = configuration.default_targets(project, configured)
    target = targets.load(name) if name else _only(names)
    choice = configuration.Choice(environment, overrides)
    store = configuration.bucket(project)
    found = configuration.resolve(configured, [target], choice, store)
    return Place(target, environment, front.own_options(found, target), project)


def compiled(
    reference: tuple[str, str | None],
    at: Place,
    client: Client,
    overrides: tuple[str, ...],
    colour: str,
) -> Compiled | None:
    """The pipeline compiled for this place; None if there are errors, which are shown."""
    from levada_compiler.render import render

    choice = configuration.Choice(at.environment, overrides)
    checked = front.check(reference, [at.target], choice=choice)
    colours = palette(colour, sys.stderr)
    sys.stderr.write(render(checked.diagnostics, checked.sources, colour=colours.enabled))
    if checked.failed or not checked.programs:
        return None
    # Recorded code is in a folder for the moment: it runs in the place of the project.
    return next(each_compiled(replace(checked, project=at.project), at, client))


def each_compiled(checked: front.Checked, at: Place, client: Client) -> Iterator[Compiled]:
    """Yield each program of a file as it is compiled for this place."""
    from levada_compiler.program import plan

    for program, pins in checked.programs:
        one = replace(checked, programs=((program, pins),))
        files = compiling.emit(one, {at.target.name: client.folder or "-"})
        texts = {path: text for _, path, text in files}
        yield Compiled(program.name, texts, plan.plan(program))


def find(
    reference: str, name: str | None, environment: str | None, overrides: tuple[str, ...]
) -> tuple[Place, Client, Run]:
    """The run that a reference names: ``[TARGET[@ENVIRONMENT]:]PIPELINE/RUN_ID``."""
    head, slash, run_id = reference.partition("/")
    where, _, pipeline = head.rpartition(":")
    own, _, own_environment = where.partition("@")
    if not slash or not run_id or not pipeline:
        raise UsageError(
            f"`{reference}` names no run: it is [TARGET[@ENVIRONMENT]:]PIPELINE/RUN_ID, "
            "as `levada submit` prints it"
        )
    at = place(
        name or own or None,
        environment or own_environment or None,
        overrides,
        os.path.join(os.getcwd(), "pipeline.py"),
    )
    client = at.client()
    return at, client, client.find(pipeline, run_id)


def _only(configured: Iterable[str]) -> Target:
    """The one configured target that has a client."""
    found = [targets.load(name) for name in configured]
    able = [target for target in found if getattr(target, "client", None)]
    if len(able) == 1:
        return able[0]
    names = [target.name for target in able] or [
        name for name in targets.available() if getattr(targets.load(name), "client", None)
    ]
    raise UsageError(f"--target is missing; there are: {', '.join(names) or 'none'}")
