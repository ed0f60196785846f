"""Values that a run takes once: the clock, and random identifiers.

A pipeline that calls ``datetime.now()`` gets a step of this module in its place. So the value is
recorded, is the same in all tasks of the run, and in a run that goes on after a failure.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from time import time as seconds
from uuid import UUID
from uuid import uuid4 as random_identifier


def now() -> datetime:
    """Return the date and time of the machine that runs it, without a time zone."""
    return datetime.now()


def utc_now() -> datetime:
    """Return the date and time in UTC."""
    return datetime.now(UTC)


def today() -> date:
    """Return the date of the machine that runs it."""
    return date.today()


def time() -> float:
    """Return the seconds since 1970."""
    return seconds()


def uuid4() -> UUID:
    """Return a random identifier."""
    return random_identifier()
