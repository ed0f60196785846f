"""The error of an index."""

from __future__ import annotations


class IndexUnusable(Exception):  # noqa: N818
    """The database of an index cannot be used. The message says why, and a way out."""


class DamagedIndexError(IndexUnusable):
    """The database was damaged, and is empty now: a sync builds it again."""
