"""What people see of a stored value without loading it: JSON of at most 64 KiB, a blob beside it.

A materializer that can show its value sets ``sink.preview`` to a function without arguments that
gives a dict with ``kind`` and what the kind has; ``levada/schemas/preview.json`` describes those
that Levada makes. The function is called once the value is stored. What it raises, or what it gives
that is too large, leaves the preview out: it never fails a step. A pickle has no preview.

A preview is no part of the value: neither its digest nor a cache key depends on it.
"""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeAlias

    from levada.artifact import Artifact
    from levada.store import Store
    from levada.trees.tree_types import Tree

    Preview: TypeAlias = "dict[str, Any]"

SCHEMA = "levada.preview/1"
#: Bytes of a preview at most.
LIMIT = 65_536
#: Bytes of a thumbnail or another part that cannot be cut; base64 makes a third more of it.
LARGEST_PART = 46_000
#: Characters of a text. Twice as many are searched for secrets: half of one would not be found.
LONGEST_TEXT = 4096
#: The variable that switches previews off, for a step or for all: ``LEVADA_PREVIEWS=off``.
SWITCH = "LEVADA_PREVIEWS"
_OFF = ("off", "0", "false", "no")
#: The field of a preview that is no text: a picture in base64.
_PICTURE = "png"
#: The fields of which a preview has many entries, the ones that are cut first at the front.
_LISTS = ("head", "values", "names", "parameters", "columns")


def are_on() -> bool:
    """Whether previews are made: the variable does not say that they are off."""
    return os.environ.get(SWITCH, "").lower() not in _OFF


class Previews:
    """Makes the previews of what is saved with one value, and stores those that are asked for."""

    def __init__(self, store: Store, secrets: Iterable[str] = ()) -> None:
        self._store = store
        self._secrets = list(secrets)
        self._leaves: dict[str, Preview] = {}  # by digest of the leaf
        self.warnings: list[str] = []  #: which previews were left out, and why

    def add(self, artifact: Artifact, make: Callable[[], Preview]) -> None:
        """Make the preview of a leaf that has just been stored."""
        if artifact.is_pickle:
            return
        try:
            self._leaves[artifact.digest] = self._masked(_quietly(make))
        except Exception as error:  # noqa: BLE001  whatever the value's library raises
            self._leave_out(artifact, error)

    def attach(self, artifact: Artifact, tree: Tree, *, is_whole: bool = True) -> None:
        """Store the preview of an artifact whose tree is at hand, if there is anything to show.

        Of a small tree there is not, for the record shows its value. One that is not whole has
        parts that are artifacts of their own: these have their previews.
        """
        try:
            preview = self._leaves.get(artifact.digest)
            if preview is None and artifact.is_tree:
                preview = self._of_tree(artifact, tree, is_whole=is_whole)
            if preview is None:
                return
            data = _bounded({"schema": SCHEMA, **preview})
            if data is not None:
                digest = self._store.put_blob(data)
                kind = str(preview["kind"])
                artifact.preview = {"digest": digest, "size": len(data), "kind": kind}
        except Exception as error:  # noqa: BLE001  the value itself is stored
            self._leave_out(artifact, error)

    def _of_tree(self, artifact: Artifact, tree: Tree, *, is_whole: bool) -> Preview | None:
        from levada.values import INLINE

        held = self._leaves if is_whole else {}
        if artifact.size <= INLINE and not held:
            return None
        from levada.previews import trees

        preview = trees.show(tree)
        if preview is None:
            return None
        preview = self._masked(preview)
        return trees.with_parts(preview, held, LIMIT - 1024)

    def _masked(self, preview: Preview) -> Preview:
        shown = dict(preview)
        if self._secrets:
            from levada.redaction import redact_json

            rest = {name: value for name, value in preview.items() if name != _PICTURE}
            shown |= redact_json(rest, self._secrets)
        if preview["kind"] == "text":
            shown["text"] = shown["text"][:LONGEST_TEXT]
        return shown

    def _leave_out(self, artifact: Artifact, error: Exception) -> None:
        from levada.redaction import redact_text

        text = f"no preview of a {artifact.type}: {type(error).__name__}: {str(error)[:200]}"
        self.warnings.append(redact_text(text, self._secrets))


def _quietly(make: Callable[[], Preview]) -> Preview:
    """Call it without the warnings of libraries, which the step's log would have."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


def _bounded(preview: Preview) -> bytes | None:
    """Give a preview's bytes; its long lists are halved until it fits. None if it never does."""
    preview = dict(preview)
    while len(data := _text(preview)) > LIMIT:
        sizes = {name: len(preview[name]) for name in _LISTS if preview.get(name)}
        longest = next((name for name, size in sizes.items() if size > 1), "")
        if longest:
            preview[longest] = _half(preview[longest])
            preview["truncated"] = True
        elif sizes:
            del preview[next(iter(sizes))]
            preview["truncated"] = True
        elif preview.pop("parts", None) is None:
            return None
    return data


def _half(held: Any) -> Any:
    size = len(held) // 2
    return dict(list(held.items())[:size]) if isinstance(held, dict) else held[:size]


def _text(preview: Preview) -> bytes:
    text = json.dumps(preview, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")
