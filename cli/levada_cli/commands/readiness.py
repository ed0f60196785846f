"""What a run needs of this machine, looked for before its first step starts.

A missing secret, or a package without which a result cannot be stored, would else be found when its
step comes to it, after minutes of work.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from levada_compiler.render.cells import one_line
from levada_compiler.slotted import dataclass

from . import console

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from levada.plan_types import CallNode, Node, Plan
    from levada_compiler.render.colours import Palette

    from .stored_types import StoredTypes

#: Steps that a message names.
_MOST = 3


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that is missing, and the calls that it is missing for, in the plan's order.

    ``is_certain`` says that one of the calls runs unless an earlier step fails: it is not in a
    branch, nor in a block whose failure is handled.
    """

    what: str
    calls: tuple[str, ...]
    is_certain: bool


def is_ready(
    planned: Plan, types: StoredTypes, colours: Palette, *, in_containers: bool = False
) -> bool:
    """Say what is missing; whether the run may start all the same.

    What only a branch needs is a warning. ``in_containers`` says that the steps run in images,
    which have their packages.
    """
    found = lacks(planned, {} if in_containers else types, os.environ)
    for lack in found:
        names = [f"`{one_line(name)}`" for name in lack.calls[:_MOST]]
        more = len(lack.calls) - len(names)
        listed = ", ".join(names) + (f" and {more} more" if more else "")
        if lack.is_certain:
            console.error(f"{listed}: {lack.what}")
        else:
            word = colours.paint("warning", "warning")
            sys.stderr.write(f"{word}: {one_line(f'{listed}, if it runs: {lack.what}')}\n")
    return not any(lack.is_certain for lack in found)


def lacks(planned: Plan, types: StoredTypes, variables: Mapping[str, str]) -> list[Lack]:
    """What the calls of a plan need and is not here: variables of secrets, packages, formats."""
    found: dict[str, list[tuple[str, bool]]] = {}
    for call, is_certain in _calls(planned["body"], is_certain=True):
        for what in (*_secrets(call, variables), *_formats(call, types)):
            found.setdefault(what, []).append((call["id"], is_certain))
    return [
        Lack(what, tuple(name for name, _ in calls), any(certain for _, certain in calls))
        for what, calls in found.items()
    ]


def _calls(nodes: Sequence[Node], *, is_certain: bool) -> Iterator[tuple[CallNode, bool]]:
    """All calls, each with whether it runs unless an earlier one fails.

    Loops are taken to have items.
    """
    for node in nodes:
        if node["kind"] == "call":
            yield node, is_certain
        elif node["kind"] == "branch":
            yield from _calls([*node["then"], *node["otherwise"]], is_certain=False)
        elif node["kind"] == "guard":
            is_handled = node["handler"] is not None
            yield from _calls(node["body"], is_certain=is_certain and not is_handled)
            yield from _calls(node["handler"] or [], is_certain=False)
            yield from _calls(node["final"], is_certain=is_certain)
        elif node["kind"] in ("loop", "group"):
            yield from _calls(node["body"], is_certain=is_certain)


def _secrets(call: CallNode, variables: Mapping[str, str]) -> Iterator[str]:
    for variable, reference in (call["settings"].get("secrets") or {}).items():
        if variable not in variables:
            yield f"the secret `{reference}` is missing; set the environment variable {variable}"


def _formats(call: CallNode, types: StoredTypes) -> Iterator[str]:
    """What the declared results of a call cannot be stored without."""
    kept = types.get(call["step"])
    if kept is None:
        return
    for kind, package in kept["packages"]:
        if not _is_installed(package):
            yield (
                f"a `{kind}` is stored with the package `{package}`, which is not installed here;"
                f" pip install {package}, and add it to the project's dependencies"
            )
    if not call["settings"].get("allow_pickle"):
        for kind in kept["plain"]:
            yield (
                f"no format is known for a `{kind}`, which it returns; make it a dataclass,"
                " register a materializer for it, or write @step(allow_pickle=True)"
            )


def _is_installed(package: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False
