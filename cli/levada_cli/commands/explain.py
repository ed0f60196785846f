"""``levada explain``."""

from __future__ import annotations

import json
import sys

import click
from click.shell_completion import CompletionItem
from levada_compiler import rule_pages

from . import console

#: Columns that a sentence has at least, on however narrow a terminal.
_NARROWEST = 30


def _complete(_: click.Context, __: click.Parameter, start: str) -> list[CompletionItem]:
    rules = rule_pages.listing()
    return [CompletionItem(rule, help=rules[rule]) for rule in rules if rule.startswith(start)]


@click.command()
@click.argument("rule", metavar="[ID]", required=False, shell_complete=_complete)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@console.COLOUR
@console.examples(
    "levada explain                        # all ids", "levada explain maybe-unassigned"
)
def command(rule: str | None, as_json: bool, colour: str) -> int:
    """Explain a diagnostic by its id.

    What it says, why, an example, and the way out. Without an id, lists all.
    """
    if rule is None:
        return _list(as_json, colour)
    page = rule_pages.find(rule)
    if page is None:
        near = console.did_you_mean(rule, rule_pages.listing())
        more = near or "; `levada explain` lists them"
        raise click.UsageError(f"there is no diagnostic `{rule}`{more}")
    if as_json:
        answer = {"id": rule, "summary": rule_pages.summary(page), "page": page}
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    else:
        sys.stdout.write(_coloured(page, colour))
    return 0


def _list(as_json: bool, colour: str) -> int:
    rules = rule_pages.listing()
    if as_json:
        items = [{"id": rule, "summary": text} for rule, text in rules.items()]
        sys.stdout.write(json.dumps(items, indent=2) + "\n")
        return 0
    paint = console.palette(colour, sys.stdout).paint
    width = max(map(len, rules), default=0)
    for rule, text in rules.items():
        first, *more = _lines(text, width + 2)
        sys.stdout.write(f"{paint('bold', rule.ljust(width))}  {first}\n")
        sys.stdout.writelines(f"{'':{width}}  {line}\n" for line in more)
    return 0


def _lines(text: str, indent: int) -> list[str]:
    """The text in lines that the terminal has room for beside a column; whole for a program."""
    if not sys.stdout.isatty():
        return [text]
    import shutil
    import textwrap

    room = shutil.get_terminal_size().columns - indent
    return textwrap.wrap(text, max(room, _NARROWEST)) or [""]


def _coloured(page: str, colour: str) -> str:
    """Headings in bold; the page is Markdown and reads well as it is."""
    paint = console.palette(colour, sys.stdout).paint
    inside = False
    lines = []
    for line in page.rstrip().splitlines():
        if line.startswith("<!--") and not inside:  # what the page is kept up to date by
            continue
        inside ^= line.startswith("```")
        lines.append(paint("bold", line) if line.startswith("#") and not inside else line)
    return "\n".join(lines) + "\n"
