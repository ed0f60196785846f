"""The parameters that several commands have."""

from __future__ import annotations

import os

import click
from levada_compiler import targets
from levada_compiler.usage import UsageError

from . import configuration
from .front import split_reference


def split(_: click.Context, __: click.Parameter, value: str) -> tuple[str, str | None]:
    """``FILE`` or ``FILE:PIPELINE``."""
    return split_reference(value)


def split_each(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, str | None], ...]:
    """:func:`split` for several."""
    return tuple(split_reference(value) for value in values)


REFERENCE = click.argument(
    "reference", metavar="FILE[:PIPELINE]", type=click.Path(), callback=split
)

#: What is empty where the project's settings say which pipelines there are.
REFERENCES = click.argument(
    "references",
    metavar="[FILE[:PIPELINE]|DIR|GLOB]...",
    type=click.Path(),
    nargs=-1,
    callback=split_each,
)


def complete_target(_: click.Context, __: click.Parameter, start: str) -> list[str]:
    """The targets, for the shell."""
    return [name for name in targets.available() if name.startswith(start)]


TARGETS = click.option(
    "--target",
    "-t",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_target,
    help="What to compile for; may be repeated.",
)


def complete_environment(ctx: click.Context, _: click.Parameter, start: str) -> list[str]:
    """The environments of the project's targets, for the shell."""
    from levada import project as projects

    given = ctx.params.get("reference") or next(iter(ctx.params.get("references") or ()), None)
    file = given[0] if given else os.path.join(os.getcwd(), "pipeline.py")
    try:
        tables = configuration.tables(projects.find(file))
        found = {
            name for target, t in tables.items() for name in configuration.environments(t, target)
        }
    except UsageError:
        return []
    return sorted(name for name in found if name.startswith(start))


ENVIRONMENT = click.option(
    "--env",
    "environment",
    metavar="NAME",
    shell_complete=complete_environment,
    help="An environment of the targets: [tool.levada.targets.<target>.environments.<name>].",
)

SET = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the targets, as TOML or text, or empty to unset it; repeatable.",
)

STRICT = click.option(
    "--strict", is_flag=True, help="Warnings are errors, but for those that pyproject.toml allows."
)

PARAM = click.option(
    "--param", "-p", "given", multiple=True, metavar="NAME=VALUE", help="A parameter; repeatable."
)

PARAMS_FILE = click.option(
    "--params-file",
    "file",
    type=click.Path(),
    metavar="FILE",
    help="Parameters as JSON, YAML or TOML; --param goes before it.",
)
