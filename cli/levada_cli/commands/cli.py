"""The commands and how they are found: each is in a module of its own, imported when asked for."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click
from levada_compiler.usage import UsageError

from . import console

#: The commands in the order of ``levada --help``, each in the module of its name. What they do is
#: said here, as in their docstrings, so that none has to be imported to say it.
_COMMANDS = {
    "compile": "Compile pipelines for one or more targets.",
    "check": "Say all that is wrong with pipelines.",
    "run": "Run a pipeline here, each step in its own process or container.",
    "rerun": "Start a run again, with its parameters.",
    "replay": "Run one step of a run on its recorded inputs, here.",
    "build": "Build the images that the steps of pipelines run in.",
    "image": "Explain why a package or a file is in the image of a step.",
    "deploy": "Put pipelines where their engine finds them.",
    "submit": "Start a run of a deployed pipeline.",
    "runs": "List runs: filtered, sorted, as a table or for other programs.",
    "tag": "Set or remove tags of a run.",
    "note": "Write a note on a run, or print it.",
    "status": "Say how far a run is.",
    "show": "Show what a run did, or one of its steps.",
    "get": "Read an output of a run.",
    "logs": "Show what the steps of a run wrote.",
    "cancel": "End a run.",
    "retry": "Run again what failed of a run.",
    "compare": "Show what differs between runs.",
    "lineage": "Show what a result was made from, and what used it.",
    "graph": "Draw pipelines as Mermaid text or SVG.",
    "explain": "Explain a diagnostic by its id.",
    "store": "Try a store, or copy one.",
    "gc": "Remove old runs, and values that nothing refers to any more.",
    "targets": "List the targets and what each can do.",
    "init": "Start a project that compiles and runs.",
    "completion": "Print a script for shell completion.",
}

#: So many arguments are repeated in a message about them.
_MOST_WORDS = 3


class _Group(click.Group):
    """Finds commands by name, imports them late, and suggests one for a name that is not."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"{__package__}.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            near = console.did_you_mean(args[0], _COMMANDS)
            raise click.UsageError(f"there is no command `{args[0]}`{near}", ctx)
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from levada import __version__

        click.echo(f"levada {__version__}")
        ctx.exit()


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print the version.",
)
@console.examples(
    "levada init my-project          a project to start from",
    "levada check pipeline.py        what is wrong with a pipeline",
    "levada run pipeline.py          run it here",
    "levada compile pipeline.py --target airflow -o dags",
)
def cli() -> None:
    """Compile a plain-Python pipeline into what your orchestrator natively runs."""


def run(arguments: list[str]) -> int:
    """Run the command line and give the exit status.

    Not by ``cli.main``, which takes broken pipes and interrupts for itself.
    """
    instruction = os.environ.get("_LEVADA_COMPLETE")
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "levada", "_LEVADA_COMPLETE", instruction)
    try:
        with cli.make_context("levada", arguments or ["--help"]) as context:
            status = _invoke(context)
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.UsageError as error:
        _explain_usage(error)
        return error.exit_code
    except click.ClickException as error:
        console.error(error.format_message())
        return error.exit_code
    return status if isinstance(status, int) else 0


def _invoke(context: click.Context) -> object:
    try:
        return cli.invoke(context)
    except UsageError as error:
        path = f"{context.command_path} {context.invoked_subcommand}"
        _explain(str(error), path)
        return click.UsageError.exit_code


def _explain_usage(error: click.UsageError) -> None:
    message = error.format_message()
    if message.startswith("Got unexpected extra argument"):
        message = _shortened(message)
    _explain(message, error.ctx.command_path if error.ctx else None)


def _shortened(message: str) -> str:
    """Click's list of the arguments that are too many, cut where it has many of them."""
    head, bracket, listed = message.partition("(")
    words = listed.rstrip(").").split(" ")
    if len(words) <= _MOST_WORDS:
        return message
    shown = " ".join(words[:_MOST_WORDS])
    return f"{head}{bracket}{shown} and {len(words) - _MOST_WORDS} more)"


def _explain(message: str, path: str | None) -> None:
    console.error(message.rstrip("."))
    if path:
        sys.stderr.write(f"see `{path} --help`\n")
