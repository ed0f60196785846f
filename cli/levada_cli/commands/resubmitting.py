"""Starts a run again on a target."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from levada_compiler.client import Request

from . import remote, rerunning
from .submit import parameters_of, send

if TYPE_CHECKING:
    from .run_reference import StoredRun

    #: ``--target``, ``--env`` and ``--set``.
    Where = tuple[str | None, str | None, tuple[str, ...]]


def resubmit(
    found: StoredRun,
    which: str,
    source: tuple[str, str | None] | None,
    where: Where,
    given: tuple[str, ...],
    file: str | None,
    *,
    may_be_partial: bool,
    run_id: str | None,
    watch: bool,
    as_json: bool,
    colour: str,
) -> int:
    """Submit the pipeline of a run with its parameters; the exit status.

    What is deployed has to be the code that is asked for.
    """
    name, environment, overrides = where
    place = remote.place(name, environment, overrides, os.path.join(found.project.root, "p.py"))
    client = place.client()
    with rerunning.source(found, which, source, may_be_partial=may_be_partial) as reference:
        compiled = remote.compiled(reference, place, client, overrides, colour)
        if compiled is None:
            return 1
        declared = {each["name"] for each in compiled.plan["parameters"]}
        values = parameters_of(compiled, file, given, _given(found, declared))
        client.verify(compiled)
        return send(
            *(place, client, compiled, Request(values, run_id)),
            watch=watch,
            logs=True,
            as_json=as_json,
            colour=colour,
        )


def _given(found: StoredRun, declared: set[str]) -> dict[str, Any]:
    """The parameters of the run as JSON values; what the pipeline has no longer is left out."""
    shown = rerunning.document(found.run)["parameters"]["display"]
    for name in sorted(shown.keys() - declared):
        rerunning.warn_of_parameter(name)
    return {name: value for name, value in shown.items() if name in declared}
