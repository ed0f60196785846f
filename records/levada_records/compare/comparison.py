"""A comparison of runs: its sections are made when they are asked for."""

from __future__ import annotations

from functools import cached_property

from levada.store import StoreError

from levada_records.documents import in_parallel
from levada_records.runs import read_run

from . import sections, step_values
from .code_changes import code_changes
from .program_units import UnreadableSources, read_units
from .steps import aligned_steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, TypeVar

    from levada.store import Store

    from levada_records.runs import Run

    from .program_units import ProgramUnits
    from .rows import (
        CodeRow,
        MetricRow,
        PackageRow,
        ParameterRow,
        Row,
        RunRow,
        Section,
        StepRow,
        ValueRow,
    )
    from .steps import AlignedStep

    R = TypeVar("R", bound=Row)

#: The sections in the order in which they are shown.
SECTIONS: tuple[Section, ...] = (
    "params",
    "metrics",
    "code",
    "packages",
    "inputs",
    "outputs",
    "steps",
    "environment",
)


def compare(store: Store, references: Sequence[str]) -> Comparison:
    """Compare runs of a store, each by a reference: ``churn@latest``, a run's id or its beginning.

    Raises RunNotFound or AmbiguousRun (`levada_records.references`), ValueError for fewer than two
    references, and StoreError if the store cannot be read.

    >>> compare(open_store(".levada"), ["churn@latest", "20260101-060000-1f3a9c"]).params
    [{'name': 'depth', 'values': [4, 3], 'missing': [], 'same': False}]
    """
    from levada_records.index import open_index
    from levada_records.references import find_run

    with open_index(store) as index:
        found = [find_run(index, reference) for reference in references]
    return compare_runs(in_parallel(store, lambda each: read_run(store, *each), found))


def compare_runs(
    runs: Sequence[Run],
    *,
    maximize: Sequence[str] = (),
    minimize: Sequence[str] = (),
    project: str | None = None,
) -> Comparison:
    """Compare runs, which may be of different pipelines; the first is what the others differ from.

    ``maximize`` and ``minimize`` name metrics whose best value is the largest or the smallest:
    ``auc``, ``train.auc`` or ``fit[lr=0.1].auc``. ``project`` is the root of the project here: its
    repository has the code of runs that recorded a commit and no sources. Raises ValueError for
    fewer than two runs.
    """
    if len(runs) < 2:
        raise ValueError("a comparison needs two runs or more")
    return Comparison(runs, maximize, minimize, project or runs[0].project)


class Comparison:
    """What differs between runs, by section; `all` of a section has what is equal too.

    The properties ``params``, ``metrics``, ``code``, ``packages``, ``inputs``, ``outputs``,
    ``steps`` and ``environment`` are lists of rows (`levada_records.compare.rows`), which are plain
    JSON. Each raises StoreError if the store cannot be read.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        maximize: Sequence[str],
        minimize: Sequence[str],
        project: str | None,
    ) -> None:
        self._runs = tuple(runs)
        self._maximize = maximize
        self._minimize = minimize
        self._project = project
        self._all: dict[Section, list[Row]] = {}

    @cached_property
    def runs(self) -> list[RunRow]:
        """The runs, in the order in which they were given."""
        in_parallel(self._runs[0].store, lambda run: run.steps, self._runs)
        return [_run_row(run) for run in self._runs]

    @property
    def params(self) -> list[ParameterRow]:
        """Parameters of the pipelines, and ``step.name`` of what steps logged."""
        return self._differing("params")

    @property
    def metrics(self) -> list[MetricRow]:
        """Metrics of the steps, ``step.metric``: the last value in each run."""
        return self._differing("metrics")

    @property
    def packages(self) -> list[PackageRow]:
        """Distributions whose versions differ."""
        return self._differing("packages")

    @property
    def inputs(self) -> list[ValueRow]:
        """Inputs of steps, ``step.name``."""
        return self._differing("inputs")

    @property
    def outputs(self) -> list[ValueRow]:
        """What the pipelines returned, and what steps gave."""
        return self._differing("outputs")

    @property
    def steps(self) -> list[StepRow]:
        """Steps that went another way, or took another time or amount of memory."""
        return self._differing("steps")

    @property
    def environment(self) -> list[Row]:
        """Engine, user, git, Python, platform and images."""
        return self._differing("environment")

    @cached_property
    def code(self) -> list[CodeRow]:
        """Functions, classes and constants that are not as in the first run, with their diffs."""
        rows: list[CodeRow] = []
        for place in range(1, len(self._runs)):
            for row in self._code_of(place):
                known = (each for each in rows if each | {"runs": []} == row)
                found = next(known, None)
                if found is None:
                    rows.append(found := row)
                found["runs"].append(place)
        return rows

    @cached_property
    def code_problems(self) -> list[str]:
        """Why there is no diff of some code, a sentence for each reason."""
        found: list[str] = []
        for run, units in zip(self._runs, self._units, strict=True):
            if isinstance(units, str):
                found.append(f"run {run.run_id}: {units}")
            else:
                found += [f"run {run.run_id}: {each}" for each in units.left_out]
        return found

    def all(self, section: Section) -> list[Row]:
        """Return the rows of a section, with those that are equal; of the code, what differs."""
        if section == "code":
            return self.code  # type: ignore[return-value]
        if section not in self._all:
            self._all[section] = self._made(section)
        return self._all[section]

    def series(self, row: MetricRow) -> list[list[float | str] | None]:
        """Return all values of a metric in each run; None where there is one, or none at all.

        Raises StoreError if the store cannot be read.
        """
        aligned = next((each for each in self._steps if each.label == row["step"]), None)
        steps = aligned.steps if aligned is not None else [None for _ in self._runs]
        found = [
            step.series(row["metric"]) if step is not None and count > 1 else None
            for step, count in zip(steps, row["counts"], strict=True)
        ]
        return [list(each["value"]) if each is not None else None for each in found]

    def as_json(
        self, sections: Iterable[Section] = SECTIONS, *, everything: bool = False
    ) -> dict[str, Any]:
        """Return what ``levada compare --json`` prints: see ``schemas/compare.json``."""
        document: dict[str, Any] = {"runs": self.runs}
        for name in sections:
            document[name] = self.all(name) if everything else getattr(self, name)
            if name == "code":
                document["code_problems"] = self.code_problems
        return document

    def _repr_html_(self) -> str:
        from .page import html

        return html(self)

    def __repr__(self) -> str:
        return f"<comparison of {', '.join(run.run_id for run in self._runs)}>"

    # ---------------------------------------------------------------- how rows are made

    def _differing(self, section: Section) -> list[Any]:
        return [row for row in self.all(section) if not row["same"]]

    @cached_property
    def _steps(self) -> list[AlignedStep]:
        in_parallel(self._runs[0].store, lambda run: run.steps, self._runs)
        return aligned_steps(self._runs)

    def _made(self, section: Section) -> Any:
        store = self._runs[0].store
        make: dict[str, Callable[[], Any]] = {
            "params": lambda: sections.parameters(self._runs, self._steps),
            "metrics": lambda: sections.metrics(self._steps, self._maximize, self._minimize),
            "packages": lambda: sections.packages(self._runs),
            "inputs": lambda: step_values.inputs(self._steps, store),
            "outputs": lambda: step_values.outputs(self._runs, self._steps, store),
            "steps": lambda: sections.step_rows(self._steps),
            "environment": lambda: sections.environment(self._runs),
        }
        return make[section]()

    # ---------------------------------------------------------------- code

    @cached_property
    def _units(self) -> list[ProgramUnits | str]:
        """The definitions of each run; where they cannot be read, why."""
        known: dict[tuple[str, str], ProgramUnits | str] = {}
        found = []
        for run in self._runs:
            document = run.document
            sources = document.get("sources") if document is not None else None
            key = (str(sources or run.run_id), str(document["plan"] if document else ""))
            if key not in known:
                known[key] = _units(run, self._project)
            found.append(known[key])
        return found

    def _code_of(self, place: int) -> list[CodeRow]:
        """Return what the code of a run has else than that of the first run."""
        before, after = self._units[0], self._units[place]
        changed = self._steps_with_other_code(place)
        rows: list[CodeRow] = []
        if before is not after and not isinstance(before, str) and not isinstance(after, str):
            rows = code_changes(before.definitions, after.definitions)
        explained = {step for row in rows for step in row["steps"]}
        return rows + [row for step, row in changed.items() if step not in explained]

    def _steps_with_other_code(self, place: int) -> dict[str, CodeRow]:
        """Return rows of the steps whose code has another digest, by their keys."""
        before, after = _codes(self._runs[0]), _codes(self._runs[place])
        return {
            step: {
                "function": step.rpartition(":")[2],
                "kind": "step",
                "file": after[step][1] or "",
                "change": "changed",
                "diff": None,
                "steps": [step],
                "runs": [],
            }
            for step in sorted(before.keys() & after.keys())
            if before[step][0] != after[step][0]
        }


def _run_row(run: Run) -> RunRow:
    document = run.document
    return {
        "run_id": run.run_id,
        "pipeline": run.pipeline,
        "status": run.status,
        "started": run.started,
        "finished": run.finished,
        "seconds": run.seconds,
        "engine": document["engine"].get("name") if document is not None else None,
        "tags": run.tags,
        "note": run.note,
        "problems": run.problems,
    }


def _units(run: Run, project: str | None) -> ProgramUnits | str:
    try:
        return read_units(run, project)
    except (UnreadableSources, StoreError) as error:
        return str(error)


def _codes(run: Run) -> dict[str, tuple[str | None, str | None]]:
    """Return the digest and the file of the code of each step, by the step's key; sorted."""
    found = {}
    for step in run.steps:
        if step.record is not None:
            code = step.record["code"]
            found[step.record["step"]] = (code["digest"], code["file"])
    return dict(sorted(found.items()))
