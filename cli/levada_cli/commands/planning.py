"""The plan of a pipeline, compiled anew or as it was compiled the last time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from levada_cli import compile_cache
from levada_cli.output import Product

if TYPE_CHECKING:
    from levada.plan_types import Plan
    from levada_compiler.render.colours import Palette


def plan(reference: tuple[str, str | None], form: str, colours: Palette) -> tuple[str, Plan | None]:
    """The rendered diagnostics, and the plan unless there is an error."""
    key = ["plan", reference[0], reference[1] or "", form, str(colours.enabled)]
    product = compile_cache.replay(key) or _compile(key, reference, form, colours)
    plans = [text for _, _, text in product.files]
    return product.messages, json.loads(plans[0]) if plans else None


def _compile(
    key: list[str], reference: tuple[str, str | None], form: str, colours: Palette
) -> Product:
    """A product whose one file is the plan, and that is remembered; none if there are errors."""
    from levada_compiler.program import plan as plans
    from levada_compiler.render import render

    from . import front

    checked = front.check(reference, ())
    messages = render(checked.diagnostics, checked.sources, form, colour=colours.enabled)
    program = None if checked.failed else checked.program
    if program is None:
        return Product("print", "", (), messages, "[]", False, colours.enabled)
    files = (("plan", "plan.json", json.dumps(plans.plan(program))),)
    product = Product("print", "", files, messages, "[]", False, colours.enabled)
    front.remember(key, product, checked)
    return product
