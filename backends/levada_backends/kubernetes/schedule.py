"""A schedule as Kubernetes reads it (github.com/robfig/cron): Sunday is 0 there, never 7."""

from __future__ import annotations

#: One that is always suspended, for a pipeline without a schedule.
NEVER = "0 0 1 1 *"
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "7")


def text(schedule: str) -> str:
    """The schedule, checked by the compiler, in the words of Kubernetes."""
    if schedule.startswith("@"):
        return schedule
    *others, weekday = schedule.split()
    items = [part for item in weekday.split(",") for part in _items(item)]
    return " ".join((*others, ",".join(dict.fromkeys(items))))


def _items(item: str) -> list[str]:
    """The days of a range that goes up to Sunday, one by one."""
    days, slash, step = item.partition("/")
    first, dash, last = days.partition("-")
    if "7" not in (first, last):
        return [item]
    start, end = _day(first), _day(last if dash else first)
    if slash and not dash:
        return ["0"]  # every so many days from Sunday to Sunday
    return [str(day % 7) for day in range(start, end + 1, int(step or 1))]


def _day(text: str) -> int:
    return _DAYS.index(text.lower()) if text.lower() in _DAYS else int(text)
