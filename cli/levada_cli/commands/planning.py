"""The plan of a pipeline, compiled anew or as it was compiled the last time."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from levada_compiler.render.cells import one_line

from levada_cli import compile_cache
from levada_cli.output import Product

if TYPE_CHECKING:
    from levada.plan_types import Plan
    from levada_compiler.render.colours import Palette

    from .stored_types import StoredTypes

_PLAN, _FILES, _TYPES = "plan.json", "files.json", "types.json"
_WARNINGS = "warnings.json"


class Planned:
    """A plan, and the files that it was made from, relative to the project's root.

    ``types`` says what the results of its steps are stored with. ``messages`` are the rendered
    diagnostics; without a ``plan`` there is an error in them.
    """

    __slots__ = ("files", "messages", "plan", "types")

    def __init__(
        self, messages: str, plan: Plan | None, files: list[str], types: StoredTypes
    ) -> None:
        self.messages = messages
        self.plan = plan
        self.files = files
        self.types = types


def plan(
    reference: tuple[str, str | None], form: str, colours: Palette, *, strict: bool = False
) -> Planned:
    """Compile a pipeline to a plan, or take the plan of the last time if nothing changed.

    With ``strict`` warnings are errors. In the form `full` they are shown once for each change of
    the source, and after that only counted.
    """
    key = ["plan", reference[0], reference[1] or "", form, str(colours.enabled), str(strict)]
    before = compile_cache.replay(key)
    product = before or _compile(key, reference, form, colours, strict=strict)
    texts = {name: json.loads(text) for _, name, text in product.files}
    messages = product.messages
    if before is not None and form == "full" and texts.get(_WARNINGS):
        messages = _count(texts[_WARNINGS], reference[0], colours)
    return Planned(messages, texts.get(_PLAN), texts.get(_FILES, []), texts.get(_TYPES, {}))


def _count(warnings: int, file: str, colours: Palette) -> str:
    """One line for the warnings of a source that was run before as it is."""
    word = colours.paint("warning", f"{warnings} warning{'s' * (warnings != 1)}")
    return f"{word} as before: see `levada check {one_line(shlex.quote(file))}`\n"


def _compile(
    key: list[str],
    reference: tuple[str, str | None],
    form: str,
    colours: Palette,
    *,
    strict: bool,
) -> Product:
    """A product of the plan and its files, which is remembered; of nothing if there are errors."""
    from levada_compiler.program import plan as plans
    from levada_compiler.render import render

    from . import configuration, front
    from .stored_types import stored_types

    choice = configuration.Choice(strict=strict)
    checked = front.check(reference, (), choice=choice)
    messages = render(checked.diagnostics, checked.sources, form, colour=colours.enabled)
    program = None if checked.failed else checked.program
    if program is None:
        return Product("print", "", (), messages, "[]", False, colours.enabled)
    names = sorted({checked.project.relative(path) for path in checked.files})
    files = (
        ("plan", _PLAN, json.dumps(plans.plan(program))),
        ("plan", _FILES, json.dumps(names)),
        ("plan", _WARNINGS, json.dumps(len(checked.diagnostics))),
        ("plan", _TYPES, json.dumps(stored_types(program, checked))),
    )
    product = Product("print", "", files, messages, "[]", False, colours.enabled)
    front.remember(key, product, checked)
    return product
