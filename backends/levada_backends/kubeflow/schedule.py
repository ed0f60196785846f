"""Schedules as KFP reads them: by https://pkg.go.dev/github.com/robfig/cron@v1.2.0."""

from __future__ import annotations

from levada import cron

#: Names of time zones that are UTC.
_UTC = ("UTC", "UCT", "UNIVERSAL", "ZULU")
#: So many runs of a recurring run at a time at most (``toModelJob`` of its API server).
MOST_RUNS = 10
_WEEK = 7


def same_zone(one: str, other: str) -> bool:
    """Whether two names are of one time zone; only UTC has several."""
    return one == other or (_is_utc(one) and _is_utc(other))


def _is_utc(zone: str) -> bool:
    return zone.upper().removeprefix("ETC/") in _UTC


def with_seconds(schedule: str) -> str:
    """The schedule with seconds before it; a name such as ``@daily`` has none there either."""
    if schedule.startswith("@"):
        return schedule
    *others, days = schedule.split()
    listed = ",".join(_days(item) for item in days.split(","))
    return " ".join(("0", *others, listed))


def _days(item: str) -> str:
    """Days of the week without a 7, which KFP does not have: Sunday is 0."""
    found = cron.ITEM.fullmatch(item)
    first, last, step = found.group(2, 3, 4) if found else (None, None, None)
    if str(_WEEK) not in (first, last):
        return item
    days = range(_day(first or "0"), _WEEK + 1, int(step or 1))
    return ",".join(str(day) for day in sorted({day % _WEEK for day in days}))


def _day(text: str) -> int:
    return int(text) if text.isdecimal() else cron.DAYS.index(text.lower())
