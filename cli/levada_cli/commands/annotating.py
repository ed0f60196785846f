"""Tags and notes that people give runs: checked, written, and read again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from levada_compiler.slotted import dataclass
from levada_records.annotations import (
    LONGEST_NOTE,
    InvalidAnnotation,
    check_note,
    check_tags,
)
from levada_records.annotations import annotate as write_at_run

from . import console, indexed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from levada_records.index import Index


@dataclass(frozen=True, slots=True)
class Annotated:
    """A run with its tags and its note."""

    pipeline: str
    run_id: str
    tags: Mapping[str, str]
    note: str | None


def tag_changes(tags: Sequence[str], removed: Sequence[str]) -> dict[str, str | None]:
    """The tags to set, and to remove, which have None; what is no tag is wrong usage."""
    changes: dict[str, str | None] = {}
    for word in tags:
        name, equals, value = word.partition("=")
        if not equals:
            raise click.UsageError(f"`{word}` is no tag: write NAME=VALUE, or --remove {word}")
        changes[name] = value
    for name in removed:
        if changes.get(name) is not None:
            raise click.UsageError(f"the tag `{name}` cannot be set and removed at once")
        changes[name] = None
    try:
        check_tags(changes)
    except InvalidAnnotation as error:
        raise click.UsageError(str(error)) from error
    return changes


def annotate(
    reference: str, store: str | None, tags: Mapping[str, str | None], note: str | None
) -> Annotated:
    """Write tags and a note, if there are any to write, and return what the run has then."""
    from levada.store import StoreError

    try:
        check_note(note or "")
    except InvalidAnnotation as error:
        raise click.UsageError(str(error)) from error
    with indexed.opened(store) as index:
        pipeline, run_id = indexed.run(index, reference)
        before_tags, before_note = _current(index, pipeline, run_id)
        if tags or note is not None:
            try:
                for warning in write_at_run(index.store, pipeline, run_id, tags, note):
                    console.warning(warning)
            except (StoreError, OSError) as error:
                raise click.ClickException(f"nothing was written: {error}") from error
    merged = {**before_tags, **tags}
    kept = {name: value for name, value in merged.items() if value is not None}
    return Annotated(pipeline, run_id, kept, (before_note if note is None else note) or None)


def print_json(found: Annotated) -> None:
    """Print a run's tags and its note."""
    from levada_cli.terminal import json_text

    document = {
        "pipeline": found.pipeline,
        "run_id": found.run_id,
        "tags": dict(sorted(found.tags.items())),
        "note": found.note,
    }
    sys.stdout.write(json_text(document))


def from_stdin() -> str:
    """The text on stdin; not more of it than a note may have."""
    data = sys.stdin.buffer.read(LONGEST_NOTE + 1)
    try:
        return data.decode("utf-8").rstrip("\n")
    except UnicodeDecodeError as error:
        if len(data) > LONGEST_NOTE:
            return "x" * len(data)  # `annotate` says that it is too long
        raise click.UsageError("the note on stdin is no text in UTF-8") from error


def _current(index: Index, pipeline: str, run_id: str) -> tuple[dict[str, str], str | None]:
    """The tags and the note of a run, as the index has them."""
    import json

    query = "SELECT tags, note FROM runs WHERE pipeline = ? AND run_id = ?"
    ((tags, note),) = index.execute(query, [pipeline, run_id])
    found = json.loads(str(tags)) if tags else {}
    return dict(found), None if note is None else str(note)
