"""When a run is to end before its plan does: someone asks for it, or it takes too long."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada.driver.driver_types import DriverDocument, JournalEntry


class Ending:
    """Gives the entries of the journal that end a run, and takes them: what counts is the journal.

    ``driver`` has the timeout of the run, and that of the ``finally`` regions which are run after
    its cancellation; ``created`` is when it began. Times are seconds since the epoch.
    """

    def __init__(self, driver: DriverDocument, created: float) -> None:
        self._timeout: float | None = driver.get("timeout")
        self._finally_timeout: float = driver["finally_timeout"]
        self._created = created
        self._asked = ""
        self._cancelled_at: float | None = None
        self._forced = False

    def ask(self, reason: str) -> None:
        """Have the run cancelled; it is noted in the journal first."""
        self._asked = self._asked or reason

    @property
    def due(self) -> float | None:
        """When something ends by itself."""
        if self._cancelled_at is None:
            return self._created + self._timeout if self._timeout else None
        return None if self._forced else self._cancelled_at + self._finally_timeout

    def to_note(self, now: float) -> JournalEntry | None:
        """The entry to be written, if it is time for one."""
        is_due = self.due is not None and now >= self.due
        if self._cancelled_at is not None:
            reason = f"its `finally` regions took longer than {self._finally_timeout:g} s"
            return {"time": now, "cancel": reason, "force": True} if is_due else None
        if is_due:
            self.ask(f"the run took longer than {self._timeout:g} s")
        return {"time": now, "cancel": self._asked} if self._asked else None

    def take(self, entry: JournalEntry) -> tuple[str, bool] | None:
        """Why the run is cancelled, and whether by force, if an entry of the journal says so."""
        if not entry.get("cancel"):
            return None
        self._forced = bool(entry.get("force"))
        self._cancelled_at = entry["time"]
        return entry["cancel"], self._forced
