"""The runs of a project in Python, for notebooks and scripts: what ``levada.runs`` gives."""

from __future__ import annotations

import json
import os

from levada import project as projects
from levada.index_log import REMOVED
from levada.store import open_store

from levada_records.index.rows import is_metric
from levada_records.outputs import MissingOutput, Output
from levada_records.references import AmbiguousRun, RunNotFound, find_run
from levada_records.runs import Run, read_run
from levada_records.steps import MissingStep, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    import pandas
    import polars
    from levada.store import Store

    from levada_records.index import Index

#: Runs of a table in a notebook.
_MOST_SHOWN = 20


class _Place:
    """Where runs are looked for: a project, and the store and the database of its index."""

    def __init__(self, path: str, store: str | None = None) -> None:
        found = projects.find(os.path.join(os.path.abspath(path), "pyproject.toml"))
        self.root = found.root
        self.url = store or found.store_url
        setting = os.environ.get("LEVADA_INDEX") or found.settings.get("index")
        self._database = str(setting) if setting else None

    def store(self) -> Store:
        """Open the store. Raises StoreError."""
        return open_store(self.url)

    def index(self) -> Index:
        """Open the index, brought up to date. Raises StoreError.

        What a person should know of it is a warning of Python.
        """
        from warnings import warn

        from levada_records.index import open_index

        index = open_index(self.store(), database=self._database)
        for warning in index.warnings:
            warn(warning, stacklevel=4)
        return index

    def run(self, store: Store, pipeline: str, run_id: str) -> Run:
        """Read a run, whose values may be of the project's classes."""
        found = read_run(store, pipeline, run_id)
        found.project = self.root
        return found


class IndexedRun(Run):
    """A run that was found in the index: what a table shows of it is not read from the store."""

    def __init__(self, store: Store, row: Mapping[str, Any]) -> None:
        super().__init__(store, row["pipeline"], row["run_id"])
        self.row = row

    @property
    def status(self) -> str:
        """``succeeded``, ``failed`` or ``cancelled``, else ``running`` or ``damaged``."""
        return str(self.row["status"])

    @property
    def params(self) -> Mapping[str, object]:
        """Its parameters, as they are shown."""
        found: Mapping[str, object] = self.row["params"]
        return found

    @property
    def metrics(self) -> dict[str, float | str]:
        """The last value of each metric by ``<node>.<metric>``: of a loop that of the last item."""
        return {name: metric["last"] for name, metric in _metrics(self.row).items()}

    @property
    def started(self) -> str | None:
        """When it started."""
        started: str | None = self.row["started"]
        return started

    @property
    def seconds(self) -> float | None:
        """How long it took; None if it has not ended."""
        seconds: float | None = self.row["seconds"]
        return seconds


class Runs:
    """Runs that meet a condition: iterated lazily, the newest first, or as a table."""

    def __init__(
        self,
        place: _Place,
        pipeline: str | None,
        where: str | None,
        order_by: str | Sequence[str],
        limit: int | None,
    ) -> None:
        self._place = place
        self._pipeline = pipeline
        self._where = where
        self._order_by = order_by
        self._limit = limit

    def __iter__(self) -> Iterator[Run]:
        """Yield the runs. Raises QueryError if the condition makes no sense, and StoreError."""
        store: Store | None = None
        for row in self.rows():
            store = store or self._place.store()
            run = IndexedRun(store, row)
            run.project = self._place.root
            yield run

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield what the index says of each run, as a dict. Raises QueryError and StoreError."""
        yield from self._rows(self._limit)

    def _rows(self, limit: int | None) -> list[dict[str, Any]]:
        """Read all rows before one is used: a query that is not over keeps others from writing."""
        from levada_records.query import select

        with self._place.index() as index:
            found = select(
                index,
                pipeline=self._pipeline,
                where=self._where,
                order_by=self._order_by,
                limit=limit,
            )
            return list(found)

    def table(self, most: int | None = None) -> dict[str, list[Any]]:
        """Return columns of equal length: ``params.depth``, ``metrics.train.auc``, ``tags.owner``.

        A run without a value has None there.
        """
        limits = [limit for limit in (self._limit, most) if limit is not None]
        rows = [_flat(row) for row in self._rows(min(limits, default=None))]
        names = dict.fromkeys(name for row in rows for name in row)
        ordered = sorted(names, key=lambda name: ("." in name, name if "." in name else ""))
        return {name: [row.get(name) for row in rows] for name in ordered}

    def to_pandas(self) -> pandas.DataFrame:
        """Return the runs as a frame of pandas, a row each, with the columns of :meth:`table`."""
        import pandas

        frame = pandas.DataFrame(self.table())
        for name in ("started", "finished"):
            if name in frame:
                frame[name] = pandas.to_datetime(
                    frame[name], utc=True, format="ISO8601", errors="coerce"
                )
        return frame

    def to_polars(self) -> polars.DataFrame:
        """Return the runs as a frame of polars, a row each, with the columns of :meth:`table`."""
        import polars

        table = self.table()
        columns = {name: _of_one_type(column) for name, column in table.items()}
        frame = polars.DataFrame(columns, strict=False)
        times = [name for name in ("started", "finished") if name in table]
        form = "%Y-%m-%dT%H:%M:%S%.fZ"
        return frame.with_columns(
            polars.col(name)
            .cast(polars.String)
            .str.to_datetime(form, time_zone="UTC", strict=False)
            for name in times
        )

    def _repr_html_(self) -> str:
        from levada_records.html import runs_html

        return runs_html(self.table(_MOST_SHOWN + 1), _MOST_SHOWN)


class RunsOfProject:
    """Finds the runs of a project: called, those that meet a condition; `get` finds one."""

    def __init__(self) -> None:
        self._place: _Place | None = None

    def __call__(
        self,
        pipeline: str | None = None,
        *,
        where: str | None = None,
        order_by: str | Sequence[str] = (),
        limit: int | None = None,
    ) -> Runs:
        """Return the runs of a pipeline, or of all, the newest first.

        ``where`` is a condition as of ``levada runs --where``; ``order_by`` names what to sort by,
        with ``-`` before it for the largest first.

        >>> runs("churn", where="metrics.train.auc > 0.9", order_by="-metrics.train.auc", limit=3)
        """
        return Runs(self._here(), pipeline, where, order_by, limit)

    def get(self, reference: str) -> Run:
        """Return a run: by its id, the beginning of that, or as ``churn@latest``.

        Raises RunNotFound, also of a run that `levada gc` has removed, AmbiguousRun, and
        StoreError.

        >>> get("churn@best:metrics.train.auc").step("train").outputs["model"].load()
        """
        place = self._here()
        with place.index() as index:
            found = find_run(index, reference)
            day = _removed(index, *found)
            if day is not None:
                raise RunNotFound(f"levada gc has removed the run {'/'.join(found)} on {day}")
            return place.run(index.store, *found)

    def project(self, path: str | os.PathLike[str], *, store: str | None = None) -> None:
        """Look for runs in the store of this project from now on, or in another store.

        Values are loaded with the classes of this project. Without it, it is the project of the
        current folder. Raises ProjectError.
        """
        self._place = _Place(os.fspath(path), store)

    def _here(self) -> _Place:
        return self._place or _Place(os.getcwd())


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with a column for each parameter, metric and tag."""
    found = {name: value for name, value in row.items() if not isinstance(value, (dict, list))}
    found.pop("error", None)
    found |= {f"params.{name}": value for name, value in sorted(row["params"].items())}
    found |= {
        f"metrics.{name}": float(metric["last"]) for name, metric in sorted(_metrics(row).items())
    }
    found |= {f"tags.{name}": value for name, value in sorted(row["tags"].items())}
    return found


def _metrics(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of a row that are as Levada writes them."""
    return {name: metric for name, metric in row["metrics"].items() if is_metric(metric)}


def _removed(index: Index, pipeline: str, run_id: str) -> str | None:
    """Return the day on which `levada gc` removed a run; None if it did not."""
    sql = "SELECT tags FROM runs WHERE pipeline = ? AND run_id = ?"
    for (tags,) in index.execute(sql, [pipeline, run_id]):
        day = json.loads(tags or "{}").get(REMOVED)
        return None if day is None else str(day)
    return None


def _of_one_type(column: list[Any]) -> list[Any]:
    """Return a column that a typed frame can hold: of several types, all become text."""
    kinds = {type(value) for value in column if value is not None}
    if len(kinds) < 2 or kinds <= {int, float}:
        return column
    return [None if value is None else str(value) for value in column]


runs = RunsOfProject()
get = runs.get
project = runs.project

__all__ = [
    "AmbiguousRun",
    "MissingOutput",
    "MissingStep",
    "Output",
    "Run",
    "RunNotFound",
    "Runs",
    "Step",
    "get",
    "project",
    "runs",
]
