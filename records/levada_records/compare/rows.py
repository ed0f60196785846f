"""What two or more runs have in common and what not: a row for each name, a value for each run."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

    from levada.json_types import Json

    Section: TypeAlias = Literal[
        "params", "metrics", "code", "packages", "inputs", "outputs", "steps", "environment"
    ]

    class RunRow(TypedDict):
        """One of the runs that are compared; a comparison has them in the order they were given."""

        run_id: str
        pipeline: str
        status: str
        started: str | None
        finished: str | None
        seconds: float | None
        engine: str | None
        tags: dict[str, str]
        note: str | None
        problems: list[str]  #: what of the run cannot be read

    class Row(TypedDict):
        """A name, and what it stands for in each run; None in a run that does not have it."""

        name: str
        values: list[Any]  #: JSON
        missing: list[int]  #: the runs that do not have the name, by their places
        same: bool

    class ParameterRow(Row):
        """A parameter of the pipeline, or ``step.name`` of what a step logged by `log_params`."""

    class MetricRow(Row):
        """A metric of a step: its last value in each run, a number or ``"NaN"`` and the like."""

        step: str
        metric: str
        changes: list[float | None]  #: value less that of the first run
        percents: list[float | None]  #: the same as a percentage of the first run's value
        largest: int | None  #: the run with the largest value; None where several have it
        smallest: int | None
        best: int | None  #: one of both, if it was said which of them is better
        counts: list[int]  #: how many values each run logged

    class PackageRow(Row):
        """A distribution: its version in each run."""

        change: Literal["added", "removed", "changed", "same"]
        step: str | None  #: set where the steps of a run have different versions
        used: bool  #: whether a step imports it; the others are only installed

    class ValueCell(TypedDict):
        """A value that a step took or gave."""

        digest: str
        type: str
        size: int | None  #: bytes; None of what stands in the record itself
        format: str | None
        display: NotRequired[Json]  #: the value, if it is small

    class ValueRow(Row):
        """An input ``step.name``, an output ``step`` or ``step.name``, or what a pipeline gave."""

        step: str | None  #: None for what the pipeline returned

    class StepCell(TypedDict):
        """How a step went."""

        status: str
        cached: bool
        attempts: int
        seconds: float | None
        peak_memory: int | None  #: bytes
        cpu_seconds: float | None

    class StepRow(Row):
        """A step of the runs, by its label."""

        node: str

    class CodeRow(TypedDict):
        """A function, class or constant that is not the same in some runs and in the first one."""

        function: str
        kind: Literal["function", "class", "constant", "statement", "import", "step"]
        file: str
        change: Literal["added", "removed", "changed"]
        diff: str | None  #: unified; None where the sources are not known
        steps: list[str]  #: the steps that reach it, ``module:function``
        runs: list[int]  #: the runs in which it is so, by their places


def aligned(tables: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Put tables of values side by side, names in the order in which they first appear.

    >>> aligned([{"depth": 3, "rate": 0.1}, {"depth": 4, "rate": 0.1}])[0]
    {'name': 'depth', 'values': [3, 4], 'missing': [], 'same': False}
    """
    names = dict.fromkeys(name for table in tables for name in table)
    return [_row(name, tables) for name in names]


def _row(name: str, tables: Sequence[Mapping[str, Any]]) -> Row:
    values = [table.get(name) for table in tables]
    missing = [place for place, table in enumerate(tables) if name not in table]
    return {
        "name": name,
        "values": values,
        "missing": missing,
        "same": not missing and all_same(values),
    }


def all_same(values: Iterable[object]) -> bool:
    """Whether all values are the same: ``1`` and ``True`` are not, nor are ``1`` and ``1.0``."""
    first, *others = [_identity(value) for value in values]
    return all(each == first for each in others)


def _identity(value: object) -> object:
    if isinstance(value, dict):
        return {key: _identity(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_identity(item) for item in value]
    return (type(value).__name__, value)
