"""``levada image``."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click
from levada_compiler.render import render

from . import console, front, image_session, stores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada_backends.images.explain import Explanation, Item
    from levada_compiler.program.ir import Program
    from levada_compiler.render.colours import Palette


@click.command()
@click.argument("step", metavar="STEP")
@click.argument("names", metavar="[PACKAGE_OR_FILE]...", nargs=-1)
@click.option(
    "--file",
    "-f",
    "given",
    metavar="FILE[:PIPELINE]",
    help="The pipeline; by default the one in levada.lock that has the step.",
)
@click.option("--platform", metavar="OS/ARCH", help="linux/amd64 or linux/arm64.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@console.COLOUR
@console.examples(
    "levada image train",
    "levada image train numpy --file pipeline.py    # the chain of imports that brings it",
    "levada image train helpers.py",
)
def command(
    step: str,
    names: tuple[str, ...],
    given: str | None,
    platform: str | None,
    as_json: bool,
    colour: str,
) -> int:
    """Explain why a package or a file is in the image of a step.

    Without a name, all that is there because of the step. Builds and writes nothing.
    """

    def work() -> int:
        reference = front.split_reference(given) if given else _locked(step)
        checked = front.check(reference, ())
        if checked.failed or checked.program is None:
            return _refuse(checked.diagnostics, checked.sources, colour)
        module = image_session.load()
        wish = module.Wish(platform=platform or "")
        with module.Session(checked.program, checked.project, wish) as session:
            plan = session.plan(offline=True)
            if plan.diagnostics:
                return _refuse(*front.shown(plan.diagnostics, checked), colour)
            key = _key(checked.program, step, plan.needs)
            explanation = image_session.load("explain").Explanation(plan, key)
            items = [each for name in names for each in explanation.find(name)]
            _show(explanation, items or explanation.items(), bool(names), as_json, colour)
        return 0

    return image_session.guarded(work)


def _locked(step: str) -> tuple[str, str | None]:
    """The pipeline of the lock here that has the step."""
    from pathlib import Path

    root = stores.here().root
    images = image_session.load("lock").read(Path(root)).images
    found = {
        (image.file, image.pipeline)
        for image in images
        for key in image.inputs.steps
        if step in (key, key.partition(":")[2])
    }
    if len(found) == 1:
        file, pipeline = found.pop()
        return os.path.join(root, file), pipeline
    listed = ", ".join(f"`--file {file}:{pipeline}`" for file, pipeline in sorted(found))
    if found:
        reason = f"several have it: {listed}"
    elif not os.path.exists(os.path.join(root, "levada.lock")):
        reason = "there is no levada.lock here, which `levada build` writes"
    else:
        reason = "levada.lock has no such step"
    raise click.UsageError(f"give the pipeline of `{step}` with --file; {reason}")


def _key(program: Program, step: str, known: Any) -> str:
    keys = [each.key for each in program.steps if step in (each.key, each.function)]
    if len(keys) == 1 and keys[0] in known:
        return keys[0]
    if len(keys) == 1:
        raise click.UsageError(f"`{step}` runs in an image of its own (`image=`)")
    if keys:
        raise click.UsageError(f"several steps are called `{step}`: {', '.join(keys)}")
    near = console.did_you_mean(step, [each.function for each in program.steps])
    raise click.UsageError(f"`{program.name}` has no step `{step}`{near}")


def _refuse(diagnostics: Any, sources: Any, colour: str) -> int:
    colours = console.palette(colour, sys.stderr)
    sys.stderr.write(render(diagnostics, sources, colour=colours.enabled))
    return 1


def _show(
    explanation: Explanation, items: Sequence[Item], in_full: bool, as_json: bool, colour: str
) -> None:
    if as_json:
        sys.stdout.write(json.dumps(_document(explanation, items), indent=2) + "\n")
        return
    colours = console.palette(colour, sys.stdout)
    sys.stdout.write(_chains(items, colours) if in_full else _listing(explanation, items, colours))


def _document(explanation: Explanation, items: Sequence[Item]) -> dict[str, Any]:
    spec = explanation.image.spec
    return {
        "step": explanation.needs.step.key,
        "image": spec.name,
        "steps": list(spec.steps),
        "base": explanation.image.inputs.base,
        "items": [
            {"kind": item.kind, "name": item.name, "size": item.size, "because": list(item.chain)}
            for item in items
        ],
    }


def _chains(items: Sequence[Item], colours: Palette) -> str:
    """Each item with its whole chain, one clause a line."""
    blocks = []
    for item in items:
        lines = [f"{colours.paint('bold', item.name)}{_size(item)}"]
        lines += [f"  {clause}" for clause in item.chain]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _listing(explanation: Explanation, items: Sequence[Item], colours: Palette) -> str:
    """A line for each item, with the first clause of its chain."""
    spec, step = explanation.image.spec, explanation.needs.step
    others = [key.partition(":")[2] for key in spec.steps if key != step.key]
    shared = f", which {', '.join(others)} {'share' if len(others) > 1 else 'shares'}"
    lines = [
        f"{colours.paint('bold', step.function)} runs in {spec.name}{shared if others else ''}",
        f"  base  {explanation.image.inputs.base}",
    ]
    most = max((len(item.name) for item in items), default=0)
    for title, kind in (("packages", "package"), ("files", "module"), ("data files", "data")):
        group = [item for item in items if item.kind == kind]
        if group:
            lines += ["", colours.paint("bold", title)]
            lines += [f"  {item.name.ljust(most)}  {item.chain[0]}" for item in group]
    lines += ["", f"levada image {step.function} NAME says the whole chain."]
    return "\n".join(lines) + "\n"


def _size(item: Item) -> str:
    return f" ({image_session.in_words(item.size)})" if item.size is not None else ""
