"""The files that the code of a run is in, kept in the store as one blob.

A commit may never be pushed, a project may be in no repository, and a store outlives both. With its
sources a run can be started again, and compared with others function by function. The blob is JSON
(``levada.sources/1``)::

    {"schema": "levada.sources/1",
     "files": {"churn.py": {"text": "…"}, "keys.py": {"text": "…", "masked": true},
               "data/large.csv": {"left_out": "it has 3,000,000 bytes"}}}

Paths are POSIX paths relative to the project's root; those of packages that the project takes from
folders may begin with ``../``. Bytes that are no UTF-8 are lone surrogates (PEP 383). It is one
blob, for in a bucket each one is a request in every run.
"""

from __future__ import annotations

import json
import os

from levada import git
from levada.redaction import redact_bytes, redact_tokens
from levada.regular_files import regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NotRequired, TypeAlias, TypedDict

    from levada.store import Store

    class SourceFile(TypedDict):
        """A file with its text; or why its text is not kept, in words."""

        text: NotRequired[str]
        masked: NotRequired[bool]  #: a secret in it is masked, so it is not quite the same
        executable: NotRequired[bool]
        left_out: NotRequired[str]

    SourceFiles: TypeAlias = dict[str, SourceFile]

SCHEMA = "levada.sources/1"
MAX_FILE = 1_000_000  # bytes of a kept file
MAX_BYTES = 8_000_000  # of all kept files together
#: Bytes of a blob of them: of a character JSON may make six.
_MOST_BYTES = 8 * MAX_BYTES
#: Files that say which packages the code ran with, kept where they are at the project's root.
LOCKS = ("levada.lock", "uv.lock", "pylock.toml", "poetry.lock", "requirements.txt")
_INSTALLED = "site-packages/"


def keep(root: str, files: Iterable[str], store: Store, secrets: Iterable[str] = ()) -> str | None:
    """Store the text of the files of a run, and the project's locks; return the blob's digest.

    ``files`` are paths relative to the project at ``root``. Files of installed distributions are
    left to the packages that the run names. ``secrets``, and what looks like one, are masked, and
    files whose names say that they hold credentials are left out. None if there are no files.
    Raises StoreError.
    """
    own = sorted({name for name in files if not name.startswith(_INSTALLED)})
    if not own:
        return None
    locks = [name for name in LOCKS if os.path.isfile(os.path.join(root, name))]
    hidden, left = list(secrets), MAX_BYTES
    kept: SourceFiles = {}
    for name in sorted({*own, *locks}):
        kept[name] = _file(root, name, left, hidden)
        left -= len(kept[name].get("text", ""))
    content = {"schema": SCHEMA, "files": kept}
    return store.put_blob(json.dumps(content, separators=(",", ":")).encode())


def read(store: Store, digest: str) -> SourceFiles:
    """Return the files that :func:`keep` stored, by path.

    Raises StoreError if the blob is not there or damaged, and ValueError if it is no such blob.
    """
    with store.open_blob(digest) as blob:
        if blob.seek(0, os.SEEK_END) > _MOST_BYTES:
            raise ValueError(f"{digest} is too large for a blob of sources")
    try:
        content = json.loads(store.read_blob(digest))
    except RecursionError:
        raise ValueError(f"{digest} is a damaged blob of sources") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ValueError(f"{digest} is not a blob of sources of this version of Levada")
    files = content.get("files")
    if not isinstance(files, dict) or not all(map(_is_file, files.values())):
        raise ValueError(f"{digest} is a damaged blob of sources")
    return files


def content(file: SourceFile) -> bytes:
    """Return the bytes of a file that was kept."""
    return file["text"].encode("utf-8", "surrogateescape")


def _is_file(file: Any) -> bool:
    if not isinstance(file, dict):
        return False
    return isinstance(file.get("text"), str) or isinstance(file.get("left_out"), str)


def _file(root: str, name: str, left: int, secrets: list[str]) -> SourceFile:
    if git.is_sensitive(name):
        return {"left_out": "its name says that it holds credentials"}
    try:
        with open(os.path.join(root, *name.split("/")), "rb", opener=regular) as file:
            data = file.read(MAX_FILE + 1)
            status = os.fstat(file.fileno())
    except OSError as error:
        return {"left_out": f"it could not be read: {error.strerror}"}
    if len(data) > MAX_FILE:
        return {"left_out": f"it has {status.st_size:,} bytes, and {MAX_FILE:,} are kept"}
    if len(data) > left:
        return {"left_out": f"all files together have more than {MAX_BYTES:,} bytes"}
    masked = redact_bytes(redact_tokens(data), secrets)
    text: SourceFile = {"text": masked.decode("utf-8", "surrogateescape")}
    if masked != data:
        text["masked"] = True
    if status.st_mode & 0o100:
        text["executable"] = True
    return text
