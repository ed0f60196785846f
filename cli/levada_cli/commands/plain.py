"""Command lines that are read without click, which takes 35 ms to import."""

from __future__ import annotations

import os
import sys

from levada_compiler.slotted import dataclass
from levada_compiler.usage import UsageError

from . import front

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command's options, each with the name that it gives.

    Of ``lists`` several may stand; ``choices`` are the values that some may have.
    """

    flags: Mapping[str, str]
    values: Mapping[str, str]
    lists: tuple[str, ...]
    choices: Mapping[str, Collection[str]]


def run(
    arguments: list[str], line: CommandLine, execute: Callable[[dict[str, Any]], int]
) -> int | None:
    """Carry out a plain command line; None where click has to read it, or to explain it."""
    given = read(arguments, line)
    if given is None or os.environ.get("_LEVADA_COMPLETE"):
        return None
    try:
        return execute(given)
    except Exception as error:
        if isinstance(error, UsageError) or _is_of_click(error):
            return None
        raise


def _is_of_click(error: Exception) -> bool:
    click = sys.modules.get("click")
    return click is not None and isinstance(error, click.ClickException)


def read(arguments: list[str], line: CommandLine) -> dict[str, Any] | None:
    """The options where they are what click would read: whole names, values as own words."""
    found: dict[str, Any] = {}
    words = iter(arguments)
    for word in words:
        if word in line.flags:
            found[line.flags[word]] = True
        elif word in line.values:
            value = next(words, "-")
            if value.startswith("-"):
                return None
            name = line.values[word]
            found[name] = (*found.get(name, ()), value) if name in line.lists else value
        elif word.startswith("-") or not word:
            return None
        else:
            found["references"] = (*found.get("references", ()), front.split_reference(word))
    known = all(found[name] in line.choices[name] for name in line.choices if name in found)
    return found if known else None
