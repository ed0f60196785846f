"""Runs found by an expression: ``metrics.train.auc > 0.9 and params.depth == 4``.

`select` is the entry point. An expression has the grammar and the meaning of Python's, evaluated on
the row of a run; it becomes SQL with parameters, so nothing that a user writes is executed.
"""

from __future__ import annotations

from levada_records.query.rows import as_json, places, select, value_at
from levada_records.query.syntax import QueryError

__all__ = ["QueryError", "as_json", "places", "select", "value_at"]
