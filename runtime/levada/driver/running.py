"""What the driver knows of the attempts that are not over, and of their Jobs."""

from __future__ import annotations

import time

from .api import Backoff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada.cache import Lookup
    from levada.driver.driver_types import KubernetesObject
    from levada.engine import Attempt

    from .jobs import Key
    from .pods import Trouble


class Running:
    """An attempt that is to be run, or runs. Times are of the monotonic clock."""

    __slots__ = (
        *("attempt", "cancelled", "ended", "force", "job", "key", "looked_up", "place", "pod"),
        *("said", "since", "started", "trouble", "waits_since"),
    )

    def __init__(self, attempt: Attempt, key: Key, looked_up: Lookup | None) -> None:
        self.attempt = attempt
        self.key = key
        self.looked_up = looked_up
        self.started = time.time_ns()
        #: its Job, once it is known which; its completion index in there; the latest of its pods
        self.job: JobOf | None = None
        self.place = 0
        self.pod: KubernetesObject | None = None
        self.waits_since = time.monotonic()
        self.cancelled = self.force = False
        #: what keeps it from starting, and since when
        self.trouble: Trouble | None = None
        self.since = 0.0
        self.said = ""
        #: when it was seen to be complete
        self.ended = 0.0

    @property
    def is_created(self) -> bool:
        """Whether its Job is there."""
        return self.job is not None and self.job.created

    @property
    def state(self) -> KubernetesObject | None:
        """Its Job, as far as the API server has told."""
        return None if self.job is None else self.job.state

    @property
    def name(self) -> str:
        """Its Job's."""
        return "" if self.job is None else self.job.name


class JobOf:
    """A Job of one attempt, or an Indexed Job of those that an entry of the journal names."""

    __slots__ = (
        "backoff",
        "created",
        "due",
        "entry",
        "keys",
        "members",
        "name",
        "state",
        "suspended",
    )

    def __init__(self, name: str, members: list[Running], entry: str = "") -> None:
        self.name = name
        #: the path of the entry; empty for a Job of one
        self.entry = entry
        self.keys = [each.key for each in members]
        #: those that are not over, by their completion indexes
        self.members = dict(enumerate(members))
        self.created = self.suspended = False
        self.state: KubernetesObject | None = None
        #: when its creation is to be tried
        self.due = 0.0
        self.backoff = Backoff()
        for place, each in self.members.items():
            each.job, each.place = self, place

    @property
    def is_suspended(self) -> bool:
        """Whether Kueue holds it back, or a driver has ended it."""
        return self.state is not None and bool(self.state["spec"].get("suspend"))
