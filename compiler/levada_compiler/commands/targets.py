"""``levada targets``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from levada_compiler import targets
from levada_compiler.diagnostics.render.cells import width

from . import console, parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada_compiler.diagnostics.render.colours import Palette
    from levada_compiler.target import Capability, Option, Target


@click.command()
@click.argument("name", metavar="[NAME]", required=False, shell_complete=parameters.complete_target)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@console.COLOUR
@console.examples("levada targets", "levada targets airflow", "levada targets --json")
def command(name: str | None, as_json: bool, colour: str) -> int:
    """List the targets and what each can do."""
    names = [name] if name else list(targets.available(thorough=True))
    found = [targets.load(name)] if name else _loadable(names)
    if as_json:
        sys.stdout.write(json.dumps([_as_object(target) for target in found], indent=2) + "\n")
        return 0
    colours = console.palette(colour, sys.stdout)
    if name:
        sys.stdout.write(_page(found[0], colours))
    else:
        sys.stdout.write(_list(found, colours) + _table(found, colours))
    return 0


def _loadable(names: Sequence[str]) -> list[Target]:
    """All that can be loaded; what cannot is said and left out."""
    found = []
    for name in names:
        try:
            found.append(targets.load(name))
        except targets.TargetError as error:
            console.error(str(error))
    return found


def _as_object(target: Target) -> dict[str, Any]:
    capabilities = target.capabilities
    return {
        "name": target.name,
        "description": target.description,
        "constructs": [_capability(item) for item in capabilities.constructs],
        "settings": [_capability(item) for item in capabilities.settings],
        "options": [{"name": o.name, "note": o.note} for o in capabilities.options or ()],
        "client": getattr(target, "client", None),
    }


def _capability(item: Capability) -> dict[str, Any]:
    return {"name": item.name, "supported": item.supported, "note": item.note}


def _list(found: Sequence[Target], colours: Palette) -> str:
    most = max((len(target.name) for target in found), default=0)
    lines = [
        f"{colours.paint('bold', target.name.ljust(most))}  {target.description}\n"
        for target in found
    ]
    return "".join(lines)


def _table(found: Sequence[Target], colours: Palette) -> str:
    """A row for each construct and setting, a column for each target."""
    rows: dict[str, dict[str, bool]] = {}
    for target in found:
        capabilities = target.capabilities
        for item in (*capabilities.constructs, *capabilities.settings):
            rows.setdefault(item.name, {})[target.name] = item.supported
    first = max(map(width, rows), default=0)
    head = "  ".join(target.name for target in found)
    lines = ["", f"{' ' * first}  {colours.paint('bold', head)}"]
    for name, marks in rows.items():
        cells = [_mark(marks.get(target.name), len(target.name), colours) for target in found]
        lines.append(f"{name}{' ' * (first - width(name))}  {'  '.join(cells)}".rstrip())
    lines += ["", "levada targets NAME says how."]
    return "\n".join(lines) + "\n"


def _mark(supported: bool | None, columns: int, colours: Palette) -> str:
    if supported is None:
        return " " * columns
    word = "yes" if supported else "no"
    return colours.paint("good" if supported else "error", word) + " " * (columns - len(word))


def _page(target: Target, colours: Palette) -> str:
    capabilities = target.capabilities
    lines = [f"{colours.paint('bold', target.name)}: {target.description}"]
    for title, items in (
        ("constructs", capabilities.constructs),
        ("settings", capabilities.settings),
    ):
        most = max((width(item.name) for item in items), default=0)
        lines += ["", colours.paint("bold", title)]
        lines += [
            f"  {_mark(item.supported, 3, colours)}  {item.name}"
            f"{' ' * (most - width(item.name))}  {item.note}".rstrip()
            for item in items
        ]
    lines += _options(capabilities.options or (), colours)
    if not getattr(target, "client", None):
        lines += ["", "It has no client: `levada submit` and `levada deploy` cannot use it."]
    return "\n".join(lines) + "\n"


def _options(options: Sequence[Option], colours: Palette) -> list[str]:
    if not options:
        return []
    most = max(width(option.name) for option in options)
    rows = [f"  {o.name}{' ' * (most - width(o.name))}  {o.note}".rstrip() for o in options]
    return ["", colours.paint("bold", "options"), *rows]
