"""The index of a store's runs: a table that a client keeps of what the log of the store says.

::

    with open_index(store) as index:
        for pipeline, run_id in index.execute("SELECT pipeline, run_id FROM runs"):
            ...

The store is the truth. An index may go at any time; the next client builds it again.
"""

from __future__ import annotations

from .client import Index, open_index
from .errors import IndexUnusable
from .follow import SyncReport
from .tables import COLUMNS, POSTGRESQL, SQLITE, Dialect, quote_column, quote_text

__all__ = [
    "COLUMNS",
    "POSTGRESQL",
    "SQLITE",
    "Dialect",
    "Index",
    "IndexUnusable",
    "SyncReport",
    "open_index",
    "quote_column",
    "quote_text",
]
