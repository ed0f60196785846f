"""Shapes of what the cache keeps and compares. Only type checkers import this module."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NotRequired, TypeAlias, TypedDict

    from levada.record_types import ArtifactJson, MapIndex, MetricEntry, OutputEntry

    #: Of a file: its size in bytes, its stamp, its digest (None for a huge one); None if it is
    #: not there. In JSON an array of three.
    FileState: TypeAlias = "tuple[int, str, str | None] | None"

    #: Many files as a blob: ``{"$blob": digest, "count": n}``.
    FilesBlob = TypedDict("FilesBlob", {"$blob": str, "count": int})

    class ObservedPlaces(TypedDict):
        """What an attempt read besides its inputs (`levada.observations`), digests by name.

        A digest is None where a thing cannot be read any more.
        """

        files: dict[str, FileState] | FilesBlob
        folders: dict[str, str | None]
        patterns: dict[str, str]
        modules: dict[str, str | None]
        classes: dict[str, str]
        connections: list[str]  #: ``host:port``
        unseen: list[str]  #: sentences: what is not known

    class Observed(ObservedPlaces):
        """What the cache keeps of what an attempt read."""

        variables: dict[str, str | None]  #: hashes; None for one that is not set

    class ObservedNames(ObservedPlaces):
        """What a record says of what an attempt read."""

        variables: list[str]

    class Reason(TypedDict):
        """Why a result cannot be used again, or what changed since an earlier run."""

        part: str  #: code, environment, inputs, …
        text: str
        name: NotRequired[str]  #: the file, variable, module, input, …
        before: NotRequired[object]
        after: NotRequired[object]

    class KeyParts(TypedDict, total=False):
        """What a key is made of, each part by its digest or its text.

        Empty where only the step's own process can make the key; else ``variables`` and
        ``classes`` alone may be missing.
        """

        step: str
        code: str | None
        environment: str
        inputs: dict[str, str]
        outputs: list[str]
        variables: str
        classes: dict[str, str]

    class Origin(TypedDict):
        """The attempt that gave a result."""

        run_id: str
        node: str
        map_index: MapIndex
        attempt: int

    #: The attempt whose result was used; None for a miss.
    HasOrigin = TypedDict("HasOrigin", {"from": "Origin | None"})

    class CacheHit(TypedDict):
        """What the message of a pod says of the cache."""

        hit: bool

    class CachePart(HasOrigin):
        """What a record says of the cache."""

        key: str  #: 64 hexadecimal digits
        hit: bool
        parts: KeyParts
        reasons: list[Reason]

    #: The attempt that gave a result.
    HasMaker = TypedDict("HasMaker", {"from": Origin})

    class CachedResult(HasMaker):
        """What an attempt gave, for another one to give again."""

        returns: ArtifactJson | None
        outputs: dict[str, OutputEntry]
        metrics: list[MetricEntry]
        params: dict[str, object]
        artifacts: dict[str, ArtifactJson]

    class CacheEntry(CachedResult):
        """A result in the cache: ``levada.cache/2``."""

        schema: str
        key: str
        parts: KeyParts
        created: float  #: seconds since the epoch
        reads: dict[str, str]  #: digests of the fields of the context that the step read
        observed: Observed
