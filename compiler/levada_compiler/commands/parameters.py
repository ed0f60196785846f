"""The parameters that several commands have."""

from __future__ import annotations

import click

from levada_compiler import targets

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
