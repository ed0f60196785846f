"""The plan of a pipeline, compiled anew or as it was compiled the last time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from levada_cli import compile_cache
from levada_cli.output import Product

if TYPE_CHECKING:
    from levada.plan_types import Plan
    from levada_compiler.render.colours import Palette

    from .stored_types import StoredTypes

_PLAN, _FILES, _TYPES = "plan.json", "files.json", "types.json"


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


def plan(reference: tuple[str, str | None], form: str, colours: Palette) -> Planned:
    """Compile a pipeline to a plan, or take the plan of the last time if nothing changed."""
    key = ["plan", reference[0], reference[1] or "", form, str(colours.enabled)]
    product = compile_cache.replay(key) or _compile(key, reference, form, colours)
    texts = {name: json.loads(text) for _, name, text in product.files}
    return Planned(product.messages, texts.get(_PLAN), texts.get(_FILES, []), texts.get(_TYPES, {}))


def _compile(
    key: list[str], reference: tuple[str, str | None], form: str, colours: Palette
) -> Product:
    """A product of the plan and its files, which is remembered; of nothing if there are errors."""
    from levada_compiler.program import plan as plans
    from levada_compiler.render import render

    from . import front
    from .stored_types import stored_types

    checked = front.check(reference, ())
    messages = render(checked.diagnostics, checked.sources, form, colour=colours.enabled)
    program = None if checked.failed else checked.program
    if program is None:
        return Product("print", "", (), messages, "[]", False, colours.enabled)
    names = sorted({checked.project.relative(path) for path in checked.files})
    files = (
        ("plan", _PLAN, json.dumps(plans.plan(program))),
        ("plan", _FILES, json.dumps(names)),
        ("plan", _TYPES, json.dumps(stored_types(program, checked))),
    )
    product = Product("print", "", files, messages, "[]", False, colours.enabled)
    front.remember(key, product, checked)
    return product
