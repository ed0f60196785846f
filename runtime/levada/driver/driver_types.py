"""Shapes of the driver's documents and of Kubernetes objects. Only type checkers import this."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NotRequired, TypeAlias, TypedDict

    from levada.record_types import RecordEnd, Status

    #: An object of the Kubernetes API, or a part of one: JSON whose fields the API defines.
    KubernetesObject: TypeAlias = "dict[str, Any]"

    #: [node, map index, attempt] in the journal.
    NotedAttempt: TypeAlias = "list[Any]"

    class DriverDocument(TypedDict):
        """What the target says of a pipeline's Jobs: ``levada.driver/1``. Times are in seconds."""

        schema: str
        max_parallel: int
        indexed_from: int  #: from how many items on a fan-out runs in Indexed Jobs
        timeout: float | None  #: of the run
        finally_timeout: float  #: of ``finally`` regions after the run's cancellation
        stuck_after: float  #: for a pod that does not start
        unschedulable_after: float  #: for a pod that no node takes
        jobs: dict[str, int]  #: place in ``templates`` by the id of the call
        templates: list[KubernetesObject]

    class JournalEntry(TypedDict):
        """What the drivers of a run took note of."""

        time: float  #: seconds since the epoch
        ended: NotRequired[list[NotedAttempt]]  #: attempts that are over
        start: NotRequired[list[NotedAttempt]]  #: attempts that one Job runs
        cancel: NotRequired[str]  #: why the run is to end
        force: NotRequired[bool]  #: whether its ``finally`` regions end too

    class PeakMemory(TypedDict):
        """The memory of a container that the kernel ended something in, for a lack of it."""

        peak: int | None  #: bytes

    class LostPart(TypedDict):
        """How an attempt ended that left no record."""

        status: int  #: as of waitpid
        end: str  #: ``timeout`` or nothing
        memory: NotRequired[PeakMemory]

    class PodMessage(TypedDict, total=False):
        """What the pod of an attempt says at its end (`levada.stored_attempt`)."""

        record: RecordEnd
        path: str  #: of the record in the store
        status: Status
        lost: LostPart
