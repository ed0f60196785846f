"""Tags and notes that people give runs: checked, written, and read again."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click
from levada_compiler.slotted import dataclass

from . import indexed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from levada_records.index import Index

#: What `levada runs --where` can name as `tags.NAME` or `tags["NAME"]`.
_NAME = re.compile(r"[\w./-]{1,100}")
_LONGEST_VALUE = 1000
_LONGEST_NOTE = 64 << 10


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
        if len(value) > _LONGEST_VALUE:
            raise click.UsageError(
                f"the tag `{name}` has {len(value):,} characters, more than {_LONGEST_VALUE:,}:"
                " write a note"
            )
        changes[_name(name)] = _text(value, f"the tag `{name}`")
    for name in removed:
        if changes.get(_name(name)) is not None:
            raise click.UsageError(f"the tag `{name}` cannot be set and removed at once")
        changes[name] = None
    return changes


def annotate(
    reference: str, store: str | None, tags: Mapping[str, str | None], note: str | None
) -> Annotated:
    """Write tags and a note, if there are any to write, and return what the run has then."""
    from levada.store import StoreError

    if note is not None and len(_text(note, "the note").encode()) > _LONGEST_NOTE:
        raise click.UsageError(f"the note is longer than {_LONGEST_NOTE >> 10} KiB")
    with indexed.opened(store) as index:
        pipeline, run_id = indexed.run(index, reference)
        before_tags, before_note = _current(index, pipeline, run_id)
        if tags or note is not None:
            from levada.index_log import write_annotation

            place = (index.store, pipeline, run_id)
            try:
                write_annotation(*place, tags=tags, note=note, user=_user())
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
    data = sys.stdin.buffer.read(_LONGEST_NOTE + 1)
    try:
        return data.decode("utf-8").rstrip("\n")
    except UnicodeDecodeError as error:
        if len(data) > _LONGEST_NOTE:
            return "x" * len(data)  # `annotate` says that it is too long
        raise click.UsageError("the note on stdin is no text in UTF-8") from error


def _current(index: Index, pipeline: str, run_id: str) -> tuple[dict[str, str], str | None]:
    """The tags and the note of a run, as the index has them."""
    import json

    query = "SELECT tags, note FROM runs WHERE pipeline = ? AND run_id = ?"
    ((tags, note),) = index.execute(query, [pipeline, run_id])
    found = json.loads(str(tags)) if tags else {}
    return dict(found), None if note is None else str(note)


def _user() -> str | None:
    from getpass import getuser

    try:
        return getuser()
    except (KeyError, OSError):  # no such user on this machine, as in some containers
        return None


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise click.UsageError(
            f"`{name}` is no name of a tag: up to 100 letters, digits, `_`, `.`, `/` and `-`"
        )
    return name


def _text(text: str, what: str) -> str:
    if any(each == "\0" or "\ud800" <= each <= "\udfff" for each in text):
        raise click.UsageError(f"{what} has characters in it that are no text in UTF-8")
    return text
