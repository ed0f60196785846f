"""Tags and notes that people give runs: what they may be, and how they are written."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from levada.store import Store

#: What `levada runs --where` can name as `tags.NAME` or `tags["NAME"]`.
_NAME = re.compile(r"[\w./-]{1,100}")
_LONGEST_VALUE = 1000
LONGEST_NOTE = 64 << 10


class InvalidAnnotation(ValueError):  # noqa: N818
    """A tag or a note is not what one may be. The message says why."""


def check_tags(tags: Mapping[str, str | None]) -> None:
    """Raise InvalidAnnotation if a name or a value of a tag cannot be one; None removes a tag."""
    for name, value in tags.items():
        if value is not None and len(value) > _LONGEST_VALUE:
            raise InvalidAnnotation(
                f"the tag `{name}` has {len(value):,} characters, more than {_LONGEST_VALUE:,}:"
                " write a note"
            )
        if not _NAME.fullmatch(name):
            raise InvalidAnnotation(
                f"`{name}` is no name of a tag: up to 100 letters, digits, `_`, `.`, `/` and `-`"
            )
        _check_text(value or "", f"the tag `{name}`")


def check_note(note: str) -> None:
    """Raise InvalidAnnotation if a text cannot be a note; an empty one removes the note."""
    _check_text(note, "the note")
    if len(note.encode()) > LONGEST_NOTE:
        raise InvalidAnnotation(f"the note is longer than {LONGEST_NOTE >> 10} KiB")


def _check_text(text: str, what: str) -> None:
    if any(each == "\0" or "\ud800" <= each <= "\udfff" for each in text):
        raise InvalidAnnotation(f"{what} has characters in it that are no text in UTF-8")


def annotate(
    store: Store, pipeline: str, run_id: str, tags: Mapping[str, str | None], note: str | None
) -> list[str]:
    """Write tags and a note at a run; gives sentences on what went wrong all the same.

    Raises InvalidAnnotation, and StoreError or OSError where nothing was written.
    """
    from levada import environment
    from levada.index_log import write_annotation

    check_tags(tags)
    if note is not None:
        check_note(note)
    write_annotation(store, pipeline, run_id, tags=tags, note=note, user=environment.user_name())
    return store.take_warnings()
