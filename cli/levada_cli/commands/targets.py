"""``levada targets``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click
from levada.settings import SETTINGS
from levada_compiler import targets
from levada_compiler.foreign_target import TargetFaultError
from levada_compiler.render.cells import width

from . import console, parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada_compiler.options import Option
    from levada_compiler.render.colours import Palette
    from levada_compiler.target import Capability, Target


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
        except (targets.TargetError, TargetFaultError) as error:
            console.error(str(error))
    return found


def _as_object(target: Target) -> dict[str, Any]:
    capabilities = target.capabilities
    return {
        "name": target.name,
        "description": target.description,
        "constructs": [_capability(item) for item in capabilities.constructs],
        "settings": [_capability(item) for item in capabilities.settings],
        "options": [_option(item) for item in _definitions(target)],
        "client": getattr(target, "client", None),
    }


def _capability(item: Capability) -> dict[str, Any]:
    return {
        "name": item.name,
        "supported": item.supported,
        "ignored": item.ignored,
        "note": item.note,
    }


def _in_order(settings: Sequence[Capability]) -> list[Capability]:
    """The settings in the order of their definitions."""
    order = {name: number for number, name in enumerate(SETTINGS)}
    return sorted(settings, key=lambda item: order.get(item.name, len(order)))


def _option(item: Option[Any]) -> dict[str, Any]:
    return {
        "name": item.name,
        "type": item.kind.annotation,
        "note": item.doc,
        "default": item.otherwise,
        "example": item.example,
    }


def _definitions(target: Target) -> list[Option[Any]]:
    table = target.capabilities.options
    return [] if table is None else list(table.definitions().values())


def _list(found: Sequence[Target], colours: Palette) -> str:
    most = max((len(target.name) for target in found), default=0)
    lines = [
        f"{colours.paint('bold', target.name.ljust(most))}  {target.description}\n"
        for target in found
    ]
    return "".join(lines)


def _table(found: Sequence[Target], colours: Palette) -> str:
    """A row for each construct and setting, a column for each target."""
    rows: dict[str, dict[str, Capability]] = {}
    for target in found:
        capabilities = target.capabilities
        for item in (*capabilities.constructs, *_in_order(capabilities.settings)):
            rows.setdefault(item.name, {})[target.name] = item
    first = max(map(width, rows), default=0)
    columns = {target.name: max(len(target.name), len("ignored")) for target in found}
    head = "  ".join(name.ljust(size) for name, size in columns.items()).rstrip()
    lines = ["", f"{' ' * first}  {colours.paint('bold', head)}"]
    for name, marks in rows.items():
        cells = [_mark(marks.get(target), size, colours) for target, size in columns.items()]
        lines.append(f"{name}{' ' * (first - width(name))}  {'  '.join(cells)}".rstrip())
    lines += ["", "levada targets NAME says how."]
    return "\n".join(lines) + "\n"


def _mark(item: Capability | None, columns: int, colours: Palette) -> str:
    if item is None:
        return " " * columns
    word = "yes" if item.supported else "ignored" if item.ignored else "no"
    shown = colours.paint("good" if item.supported else "error", word)
    return shown + " " * (columns - len(word))


def _page(target: Target, colours: Palette) -> str:
    capabilities = target.capabilities
    lines = [f"{colours.paint('bold', target.name)}: {target.description}"]
    for title, items in (
        ("constructs", capabilities.constructs),
        ("settings", _in_order(capabilities.settings)),
    ):
        most = max((width(item.name) for item in items), default=0)
        lines += ["", colours.paint("bold", title)]
        lines += [
            f"  {_mark(item, 7, colours)}  {item.name}"
            f"{' ' * (most - width(item.name))}  {item.note}".rstrip()
            for item in items
        ]
    lines += _options(_definitions(target), colours)
    if not getattr(target, "client", None):
        lines += ["", "It has no client: `levada submit` and `levada deploy` cannot use it."]
    return "\n".join(lines) + "\n"


def _options(options: Sequence[Option[Any]], colours: Palette) -> list[str]:
    if not options:
        return []
    most = max(width(option.name) for option in options)
    lines = ["", colours.paint("bold", "options")]
    for option in options:
        otherwise = f" (default: {option.otherwise})" if option.otherwise else ""
        lines.append(f"  {option.name}{' ' * (most - width(option.name))}  {option.doc}{otherwise}")
    return lines
