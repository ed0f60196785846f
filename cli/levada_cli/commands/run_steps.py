"""Runs and their steps, as they are named on the command line: ``RUN/STEP.OUTPUT``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from . import console, indexed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from levada_records.index import Index
    from levada_records.runs import Run
    from levada_records.steps import Step

#: Runs that a shell is offered.
_MOST_COMPLETED = 50
#: Items that are listed where it is not clear which one is meant.
_MOST_ALIKE = 12


@contextmanager
def in_words() -> Iterator[None]:
    """Say in one line what is wrong with a store or with what is stored."""
    from levada.artifact import ArtifactError
    from levada.store import StoreError

    try:
        yield
    except (StoreError, ArtifactError) as error:
        raise click.ClickException(str(error)) from error


def run_and_rest(index: Index, reference: str) -> tuple[Run, str]:
    """Find the run of ``RUN`` or ``RUN/REST``; gives it with the rest, which may be empty.

    A run may be named with slashes, as ``churn/20260101-060000``, and so may an item of a loop.
    Raises click.UsageError, and StoreError.
    """
    from levada_records.references import ReferenceError_, RunNotFound, find_run
    from levada_records.runs import MissingRun, read_run

    problems: list[str] = []
    for name, rest in _splits(reference):
        try:
            return read_run(index.store, *find_run(index, name)), rest
        except RunNotFound as error:
            problems.append(str(error))
        except (ReferenceError_, MissingRun) as error:
            raise click.UsageError(str(error)) from error
    # With a slash, what comes before the last one was most likely meant to be the run.
    raise click.UsageError(problems[:2][-1])


def complete(ctx: click.Context, _: click.Parameter, start: str) -> list[str]:
    """The runs, and after a slash the steps, for the shell: from the index here, without a sync."""
    try:
        with indexed.opened(ctx.params.get("store"), sync=False) as index:
            return _completions(index, start)
    except Exception:  # noqa: BLE001  a completion says nothing
        return []


def _completions(index: Index, start: str) -> list[str]:
    from levada_records.references import pipelines

    name, slash, rest = start.rpartition("/")
    if slash and index.store.local_folders():  # a bucket would be asked at each key
        run, _ = run_and_rest(index, name)
        labels = dict.fromkeys(each.label for each in run.steps)
        return [f"{name}/{label}" for label in labels if label.startswith(rest)]
    query = "SELECT run_id FROM runs ORDER BY started DESC LIMIT ?"
    ids = [str(run_id) for (run_id,) in index.execute(query, [_MOST_COMPLETED])]
    latest = [f"{pipeline}@latest" for pipeline in pipelines(index)]
    return [each for each in [*latest, *ids] if each.startswith(start)]


def step(found: Run, text: str) -> tuple[Step, str]:
    """Find the step of ``STEP`` or ``STEP.OUTPUT``; gives it with the output, which may be empty.

    A step of a loop is named by its iteration, ``fit[2]``, or by its item, ``fit[lr=0.1]``. Raises
    click.UsageError with what there is instead.
    """
    best: tuple[Step, str] | None = None
    for each in found.steps:
        for name in {each.label, each.name}:
            rest = text.removeprefix(name)
            is_named = text.startswith(name) and (not rest or rest[0] == ".")
            # `sub.fit` may be the step `fit` of `sub`, and an output `fit` of the step `sub`.
            if is_named and (best is None or len(rest) < len(best[1]) + 1):
                best = each, rest[1:]
    if best is None:
        raise click.UsageError(_no_step(found, text))
    return best


def _splits(reference: str) -> Iterator[tuple[str, str]]:
    """Yield the ways to read a reference: all of it a run, or up to one of its slashes."""
    yield reference, ""
    head, bracket, _ = reference.partition("[")
    at = len(head)
    while (at := head.rfind("/", 0, at)) >= 0:
        yield head[:at], reference[at + 1 :]
    at = len(head)
    while bracket and (at := reference.find("/", at + 1)) >= 0:
        yield reference[:at], reference[at + 1 :]


def _looks_like(name: str, text: str) -> bool:
    """Whether a text is an item, or an output of it, but for the item's number: `fit[x=1 #2]`."""
    start, mark, number = name.rpartition(" #")
    is_numbered = bool(mark) and number.removesuffix("]").replace(".", "").isdecimal()
    return is_numbered and f"{text}.".startswith(f"{start}].")


def _no_step(found: Run, text: str) -> str:
    names = list(dict.fromkeys(name for each in found.steps for name in (each.name, each.label)))
    if not names:
        return f"run {found.run_id} has no step `{text}`: none has started"
    alike = [name for name in names if _looks_like(name, text)]
    if alike:
        shown = ", ".join(f"`{name}`" for name in alike[:_MOST_ALIKE])
        more = f" and {len(alike) - _MOST_ALIKE} more" if len(alike) > _MOST_ALIKE else ""
        return f"{len(alike)} items look like `{text}`: {shown}{more}; name one of them"
    near = console.did_you_mean(text, names)
    nodes = sorted({each.node for each in found.steps})
    in_loop = [each.name for each in found.steps if each.node == text]
    if in_loop:
        shown = ", ".join(f"`{name}`" for name in in_loop[:3])
        return f"`{text}` is in a loop: name one of its {len(in_loop)} items, as {shown}"
    there = near or f"; it has {', '.join(nodes[:12])}{', …' * (len(nodes) > 12)}"
    return f"run {found.run_id} has no step `{text}`{there}"
