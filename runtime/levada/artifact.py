"""What a stored value is called: its artifact, and what can go wrong with one."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from levada.record_types import ArtifactJson, PreviewJson

TREE_FORMAT = "json"
PICKLE_FORMAT = "pickle"
#: What is loaded may be this many bytes, or _MAX_RATIO times what is stored if that is more.
MAX_EXPANDED = 1 << 30
_MAX_RATIO = 100
_REQUIRED = ("digest", "size", "format", "materializer", "type")


class ArtifactError(Exception):
    """A value cannot be stored or loaded. The message says why, and a way out."""


class MaterializerError(ArtifactError):
    """No materializer can keep this value exactly, or none may load it here.

    ``path`` says where in the value the reason is: ``.results[3]``.
    """

    path = ""

    def inside(self, step: str) -> MaterializerError:
        """Say that the place is one step deeper in a value: ``[3]``, ``.name``."""
        self.path = step + self.path
        return self

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} (found at value{_shortened(self.path)})" if self.path else message


def _shortened(path: str) -> str:
    """The start and the end of a long path."""
    return path if len(path) <= 80 else f"{path[:40]}…{path[-39:]}"


class NoField(MaterializerError, AttributeError):  # noqa: N818
    """A stored value has no field of that name that can be read without loading it."""


class CorruptArtifact(ArtifactError):  # noqa: N818
    """What is stored is not what its digest, its format or its tag says."""


def fits(expanded: int, stored: int) -> bool:
    """Whether so many bytes may come of what is stored in so many."""
    return expanded <= max(MAX_EXPANDED, _MAX_RATIO * stored)


def check_expansion(expanded: int, stored: int) -> None:
    """Bound what is loaded before memory is taken for it. Raises CorruptArtifact."""
    if not fits(expanded, stored):
        raise CorruptArtifact(
            f"a stored value of {stored:,} bytes claims to be {expanded:,} bytes when it is loaded,"
            f" which is more than {MAX_EXPANDED:,} and more than {_MAX_RATIO} times its size"
        )


def brief(content: object) -> str:
    """Give the start of a text for messages, whatever the size and depth of the content."""
    from reprlib import Repr

    short = Repr()
    short.maxlevel, short.maxlist, short.maxdict, short.maxstring = 3, 4, 4, 80
    return short.repr(content)[:200]


class Artifact:
    """A stored value: where its bytes are and how they become the value again.

    ``digest`` is ``sha256:<hex>`` of the blob, ``size`` its length in bytes, ``format`` what the
    bytes are (``json``, ``npy``, ``parquet``, …), ``materializer`` who wrote them, ``type`` the
    value's class as ``module:qualname`` and ``meta`` what the materializer wants to know on load.
    ``preview`` says which blob shows it to people; it is no part of what the artifact is.
    """

    __slots__ = ("digest", "format", "materializer", "meta", "preview", "size", "type")

    def __init__(
        self,
        digest: str,
        size: int,
        format: str,  # noqa: A002
        materializer: str,
        type: str,  # noqa: A002
        meta: dict[str, Any] | None = None,
        preview: PreviewJson | None = None,
    ) -> None:
        self.digest = digest
        self.size = size
        self.format = format
        self.materializer = materializer
        self.type = type
        self.meta = {} if meta is None else meta
        self.preview = preview

    @classmethod
    def from_json(cls, data: object) -> Artifact:
        """Read the JSON form. Raises CorruptArtifact for anything else."""
        if not isinstance(data, dict) or not all(name in data for name in _REQUIRED):
            raise CorruptArtifact(f"this is not an artifact: {brief(data)}")
        if (
            type(data["size"]) is not int
            or data["size"] < 0
            or not isinstance(data.get("meta", {}), dict)
        ):
            raise CorruptArtifact(f"this is not an artifact: {brief(data)}")
        if not all(isinstance(data[name], str) for name in _REQUIRED if name != "size"):
            raise CorruptArtifact(f"this is not an artifact: {brief(data)}")
        return cls(
            **{name: data[name] for name in _REQUIRED},
            meta=data.get("meta"),
            preview=_preview(data.get("preview")),
        )

    def check_size(self, size: int) -> None:
        """Make sure that the blob has the size that is declared. Raises CorruptArtifact."""
        if size != self.size:
            raise CorruptArtifact(
                f"{self.digest} has {size} bytes, and not the {self.size} that a stored value says"
            )

    def as_json(self) -> ArtifactJson:
        """Give the JSON form, as it stands in records; trees leave the preview out."""
        content: ArtifactJson = {
            "digest": self.digest,
            "size": self.size,
            "format": self.format,
            "materializer": self.materializer,
            "type": self.type,
            "meta": self.meta,
        }
        if self.preview is not None:
            content["preview"] = self.preview
        return content

    def share_texts(self) -> None:
        """Take the texts that other artifacts have too from these: JSON makes each anew."""
        self.format, self.type = sys.intern(self.format), sys.intern(self.type)
        self.materializer = sys.intern(self.materializer)

    @property
    def is_tree(self) -> bool:
        """Whether the blob is a tree in canonical JSON."""
        return self.materializer == "tree" and self.format == TREE_FORMAT

    @property
    def is_pickled(self) -> bool:
        """Whether loading it runs code: it is a pickle or has one inside."""
        return self.is_pickle or bool(self.meta.get(PICKLE_FORMAT))

    @property
    def is_pickle(self) -> bool:
        """Whether the blob is a pickle, whatever else its format claims."""
        return PICKLE_FORMAT in (self.format, self.materializer)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Artifact):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in (*_REQUIRED, "meta"))

    def __hash__(self) -> int:
        return hash((self.digest, self.format, self.type))

    def __repr__(self) -> str:
        return f"Artifact({self.digest}, {self.size} bytes, {self.format}, {self.type})"


def _preview(data: Any) -> PreviewJson | None:
    """Take what an artifact says of its preview; what is malformed is as if it were not there."""
    if not isinstance(data, dict):
        return None
    digest, size, kind = data.get("digest"), data.get("size"), data.get("kind")
    if not isinstance(digest, str) or type(size) is not int or not isinstance(kind, str):
        return None
    return {"digest": digest, "size": size, "kind": kind}
