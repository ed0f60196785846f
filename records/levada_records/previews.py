"""What people are shown of a stored value, as its materializer wrote it when it was saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from levada import document_schemas, records
from levada.artifact import Artifact
from levada.previews import LIMIT
from levada.store import StoreError, digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from levada.store import Store


def read_preview(
    store: Store, artifact: Artifact | Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Read the preview of an artifact, or of its JSON form in a record.

    None where there is none, where it is missing or damaged, and where it is no preview of a
    schema that is known here: nothing else of the artifact depends on it. At most
    `levada.previews.LIMIT` bytes are read.

    >>> read_preview(store, record["returns"])["kind"]
    'table'
    """
    held = artifact.preview if isinstance(artifact, Artifact) else (artifact or {}).get("preview")
    if not isinstance(held, dict) or not isinstance(held.get("digest"), str):
        return None
    try:
        with store.open_blob(held["digest"]) as blob:
            data = blob.read(LIMIT + 1)
    except (StoreError, OSError):
        return None
    if len(data) > LIMIT or digest_of(data) != held["digest"]:
        return None
    preview = records.parse_document(data)
    return preview if document_schemas.fits(preview, "preview") else None
