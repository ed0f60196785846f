"""Shapes of what an engine tells while a run goes on. Only type checkers import this module."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from levada.cache_types import CacheHit, CachePart
    from levada.record_types import ErrorPart, MetricEntry, Record, RecordEnd

    from .outcome import Outcome

    class SaidError(TypedDict, total=False):
        """What another engine says of a failure."""

        type: str
        message: str
        kind: str

    class EventDetails(TypedDict, total=False):
        """The details of an event; `levada.engine.events` says which kind has which."""

        pipeline: str
        run_id: str
        parameters: dict[str, object]  #: as they are shown
        record: Record | RecordEnd | str  #: of an attempt; the folder of a run that starts
        path: str  #: of the record in the store
        step: str
        item: str  #: the loop variables with their values
        seconds: float | None
        metrics: list[MetricEntry] | None
        error: ErrorPart | SaidError | None
        cache: CacheHit | CachePart | None
        warnings: list[str] | None
        delay: float  #: seconds until the next attempt
        reason: str
        force: bool
        text: str
        outcome: Outcome
