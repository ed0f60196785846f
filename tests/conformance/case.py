"""Cases: a pipeline module in `cases/`, and beside it a JSON file with its inputs.

The JSON is a list of parameter objects, or an object:

    {"pipeline": "name", "inputs": [{...}], "fails": [1], "may_also_run": ["module:step"]}

or, for a module of several pipelines, `{"pipelines": {"name": …}}` with one of these for each.

`{tmp}` in a string stands for an empty folder of each run. `fails` holds the numbers of the
inputs, from 0, with which the run fails. `may_also_run` names steps that plain
Python does not reach after a failure but that an engine may have started beside it, since they
share no data with what failed. `parallel` says that the pipeline has a `with parallel():`, so that
its steps need not be in order. `not_on` names targets that refuse the pipeline by a diagnostic.
`programs` says that steps run programs of an image, for which plain Python and some engines need
Docker: only the tests of engines that have it, and the image, ask for such a case.
`repeats` says that another case has the same constructs: real engines run it with
`LEVADA_EVERY_INPUT=1` only.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CASES = Path(__file__).parent / "cases"
#: Those that run on each engine with their store in a bucket, and so not on a folder besides.
IN_BUCKET = (
    *("branch_in_fan_out-0", "churn_shape-0", "fail_raise-0", "failing_condition-0", "frames-0"),
    *("return_by_output-0", "try_except_finally-0", "values-0"),
)
SCRATCH = "scratch"  # the name of such a folder, wherever it is: traces leave out the rest


@dataclass(frozen=True)
class Case:
    """One pipeline with one set of parameters. ``name`` is unique to the pipeline."""

    name: str
    number: int
    pipeline: str
    parameters: str  # JSON, with {tmp}
    fails: bool
    may_also_run: frozenset[str]
    is_parallel: bool = False
    not_on: frozenset[str] = frozenset()
    file: str = ""  #: of the module, where that is not called as the case
    repeats: bool = False
    programs: bool = False

    @property
    def id(self) -> str:
        return f"{self.name}-{self.number}"

    @property
    def module(self) -> Path:
        return CASES / (self.file or f"{self.name}.py")

    def given(self, folder: Path) -> dict[str, Any]:
        """The parameters of a run that may write into a folder of its own within `folder`."""
        scratch = folder / SCRATCH
        scratch.mkdir(parents=True)
        filled: dict[str, Any] = json.loads(self.parameters.replace("{tmp}", str(scratch)))
        return filled


def all_cases(target: str = "", *, programs: bool = False) -> list[Case]:
    """Every case with every input, by name; of a target, those that it does not refuse.

    Those with `programs` are left out unless they are asked for.
    """
    found = [case for path in sorted(CASES.glob("*.json")) for case in _read(path)]
    found = [case for case in found if programs or not case.programs]
    return [case for case in found if target not in case.not_on]


def cases_for_engines(target: str, *, programs: bool = False) -> list[Case]:
    """Every case that a real engine of a target runs: all of them with `LEVADA_EVERY_INPUT=1`."""
    every = bool(os.environ.get("LEVADA_EVERY_INPUT"))
    return [case for case in all_cases(target, programs=programs) if every or not case.repeats]


def _read(path: Path) -> list[Case]:
    content = json.loads(path.read_text())
    if "pipelines" not in content:
        return _of_pipeline(path.stem, path.stem, content)
    each = content["pipelines"].items()
    file = f"{path.stem}.py"
    return [case for name, given in each for case in _of_pipeline(name, name, given, file)]


def _of_pipeline(name: str, pipeline: str, content: Any, file: str = "") -> list[Case]:
    if isinstance(content, list):
        content = {"inputs": content}
    return [
        Case(
            name=name,
            number=number,
            pipeline=content.get("pipeline", pipeline),
            parameters=json.dumps(inputs),
            fails=number in content.get("fails", ()),
            may_also_run=frozenset(content.get("may_also_run", ())),
            is_parallel=content.get("parallel", False),
            not_on=frozenset(content.get("not_on", ())),
            file=file,
            repeats=content.get("repeats", False),
            programs=content.get("programs", False),
        )
        for number, inputs in enumerate(content["inputs"])
    ]
