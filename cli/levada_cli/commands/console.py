"""Talking to the terminal: colours, diagnostics, and errors of usage."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING

import click
from levada_compiler.render.cells import escape
from levada_compiler.render.colours import CHOICES
from levada_compiler.render.colours import palette as palette

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

COLOUR = click.option(
    "--color",
    "colour",
    type=click.Choice(CHOICES),
    default="auto",
    show_default=True,
    help="Colours; auto is on a terminal, and obeys NO_COLOR and FORCE_COLOR.",
)


def error(message: str) -> None:
    """One line on stderr."""
    colours = palette("auto", sys.stderr)
    sys.stderr.write(f"{colours.paint('error', 'error')}: {escape(message)}\n")


def warning(message: str) -> None:
    """One line on stderr."""
    colours = palette("auto", sys.stderr)
    sys.stderr.write(f"{colours.paint('warning', 'warning')}: {escape(message)}\n")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean `x`?`` or nothing."""
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def examples(*lines: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that adds a block of examples to the help of a command."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        block = "\n".join(f"  {line}" for line in lines)
        text = inspect.cleandoc(function.__doc__ or "")
        function.__doc__ = f"{text}\n\n\b\nExamples:\n{block}\n"
        return function

    return add
