"""A run in one word, as people write it on a command line.

==============================  =================================================================
``20261201-060000-1f3a9c``      the id of a run, or its beginning
``churn/20261201-060000``       the same of one pipeline
``churn@latest``                the run of a pipeline that started last, of those not removed
``churn@best:metrics.x.auc``    the succeeded run with the largest value; ``@best:min:…`` smallest
``manual__2026-12-01T06:00``    the id that an engine gave a run, or to its job
==============================  =================================================================
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada_records.index import Index

#: Runs that a message lists, and among which one of a similar id is looked for.
_LISTED = 8
_COMPARED = 1000
#: What an engine says of a run that names this run alone: of the rest, much is of many runs.
_IDS = ("run_id", "dag_run_id", "job", "uid", "workflow")


class ReferenceError_(Exception):  # noqa: N801, N818  `ReferenceError` is Python's
    """A reference does not name one run. The message says why, and what to write."""


class RunNotFound(ReferenceError_):
    """No run is meant."""


class AmbiguousRun(ReferenceError_):
    """Several runs are meant; ``candidates`` are some of them, as (pipeline, run id)."""

    def __init__(self, message: str, candidates: Sequence[tuple[str, str]]) -> None:
        super().__init__(message)
        self.candidates = list(candidates)


def find_run(index: Index, reference: str, *, pipeline: str | None = None) -> tuple[str, str]:
    """Return the pipeline and the run id of the one run that a reference means.

    With ``pipeline`` only its runs are looked at. Raises RunNotFound and AmbiguousRun.

    >>> find_run(index, "churn@latest")  # doctest: +SKIP
    ('churn', '20261201-060000-1f3a9c')
    """
    if not reference or not _is_text(reference):
        raise RunNotFound("a run has to be named: its id, the beginning of it, or churn@latest")
    head, at, which = reference.partition("@")
    if at and (which == "latest" or which.partition(":")[0] == "best"):
        return _chosen(index, head or pipeline, which, reference)
    named, slash, run_id = reference.partition("/")
    if slash and run_id:
        # `airflow@prod:churn/…` is how `levada submit` says where the run is, too.
        own = named.rpartition(":")[2]
        if _is_pipeline(index, own):
            return _by_id(index, run_id, own, reference)
    return _by_id(index, reference, pipeline, reference)


def _chosen(index: Index, pipeline: str | None, which: str, reference: str) -> tuple[str, str]:
    """Return the run that ``latest`` or ``best:…`` means."""
    from levada_records.query import QueryError, select

    if pipeline is not None and not _is_pipeline(index, pipeline):
        raise RunNotFound(_no_pipeline(index, pipeline))
    whose = f"of `{pipeline}`" if pipeline else "in this store"
    if which == "latest":
        rows = list(select(index, pipeline=pipeline, limit=1))
        if not rows:
            raise RunNotFound(f"there is no run {whose}")
        return rows[0]["pipeline"], rows[0]["run_id"]
    word, _, field = which.partition(":")
    least = field.startswith("min:")
    field = field.removeprefix("min:").removeprefix("max:")
    if word != "best" or not field:
        raise RunNotFound(
            f"`{reference}` names no run: write @latest, @best:metrics.STEP.METRIC or @best:min:…"
        )
    order = field if least else f"-{field}"
    try:
        where = f"status == 'succeeded' and {field} is not None"
        rows = list(select(index, pipeline=pipeline, where=where, order_by=order, limit=1))
    except QueryError as error:
        raise RunNotFound(f"`{reference}` names no run: {error.message}") from None
    if not rows:
        raise RunNotFound(f"no run {whose} has succeeded with a value of `{field}`")
    return rows[0]["pipeline"], rows[0]["run_id"]


def _by_id(index: Index, run_id: str, pipeline: str | None, reference: str) -> tuple[str, str]:
    """Return the run with an id, with an id that begins so, or that an engine calls so."""
    for found in (
        _matching(index, pipeline, "run_id = ?", [run_id]),
        _matching(index, pipeline, "run_id >= ? AND run_id < ?", [run_id, _after(run_id)]),
        _with_engine_id(index, pipeline, run_id),
    ):
        if len(found) == 1:
            return found[0][:2]
        if found:
            raise AmbiguousRun(_ambiguous(reference, found), [(each[0], each[1]) for each in found])
    raise RunNotFound(_not_found(index, pipeline, run_id, reference))


def _matching(
    index: Index, pipeline: str | None, condition: str, parameters: Sequence[object]
) -> list[tuple[str, str, str, str]]:
    """Return the pipelines, ids, states and starts of some runs that meet a condition."""
    own = " AND pipeline = ?" if pipeline is not None else ""
    query = (
        "SELECT pipeline, run_id, status, started FROM runs"
        f" WHERE {condition}{own} ORDER BY started DESC, pipeline, run_id LIMIT {_LISTED + 1:d}"
    )
    given = [*parameters, pipeline] if own else parameters
    rows = index.execute(query, given)
    return [(str(p), str(r), str(s or ""), str(t or "")) for p, r, s, t in rows]


def _with_engine_id(
    index: Index, pipeline: str | None, run_id: str
) -> list[tuple[str, str, str, str]]:
    """Return the runs that an engine gave this id."""
    conditions = [f"{index.sql.json_text('engine_ids', name)} = ?" for name in _IDS]
    return _matching(index, pipeline, f"({' OR '.join(conditions)})", [run_id] * len(_IDS))


def _after(prefix: str) -> str:
    """Return a text after all that begin with a prefix: ids have no character beyond this one."""
    return f"{prefix}\U0010ffff"


def _is_text(reference: str) -> bool:
    return not any(each == "\0" or "\ud800" <= each <= "\udfff" for each in reference)


def _is_pipeline(index: Index, name: str) -> bool:
    return bool(list(index.execute("SELECT 1 FROM runs WHERE pipeline = ? LIMIT 1", [name])))


def pipelines(index: Index) -> list[str]:
    """Return the names of all pipelines that have runs, sorted."""
    return [str(name) for (name,) in index.execute("SELECT DISTINCT pipeline FROM runs ORDER BY 1")]


# ---------------------------------------------------------------------------- messages


def _no_pipeline(index: Index, pipeline: str) -> str:
    from levada_records.query.places import did_you_mean

    return f"no run of a pipeline `{pipeline}`{did_you_mean(pipeline, pipelines(index))}"


def _ambiguous(reference: str, found: Sequence[tuple[str, str, str, str]]) -> str:
    lines = [
        f"  {pipeline}/{run_id}  {status}  {started[:19]}".rstrip()
        for pipeline, run_id, status, started in found[:_LISTED]
    ]
    more = ["  …"] if len(found) > _LISTED else []
    return "\n".join([f"`{reference}` means several runs; write more of it:", *lines, *more])


def _not_found(index: Index, pipeline: str | None, run_id: str, reference: str) -> str:
    """Return a message with what is most like the reference."""
    from difflib import get_close_matches

    names = pipelines(index)
    if not names:
        return f"there is no run `{reference}`: this store has no runs"
    if reference in names:
        return f"`{reference}` is a pipeline: write `{reference}@latest` for its last run"
    if reference.partition("@")[0] in names and "/" not in reference:
        return f"`{reference}` names no run: write @latest, or @best:metrics.STEP.METRIC"
    rows = _newest(index, pipeline)
    # The beginning decides: most of an id is its time.
    near = get_close_matches(run_id, rows, n=1, cutoff=0.7)
    hint = f"; did you mean `{near[0]}`?" if near else "; `levada runs` lists those that there are"
    whose = f" of `{pipeline}`" if pipeline is not None else ""
    return f"there is no run{whose} `{reference}`{hint}"


def _newest(index: Index, pipeline: str | None) -> list[str]:
    own = "WHERE pipeline = ? " if pipeline is not None else ""
    query = f"SELECT run_id FROM runs {own}ORDER BY started DESC LIMIT {_COMPARED:d}"
    return [str(run) for (run,) in index.execute(query, [pipeline] if own else [])]
