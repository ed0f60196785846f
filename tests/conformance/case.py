"""Cases: a pipeline module in `cases/`, and beside it a JSON file with its inputs.

The JSON is a list of parameter objects, or an object:

    {"pipeline": "name", "inputs": [{...}], "fails": [1], "may_also_run": ["module:step"]}

`{tmp}` in a string stands for an empty folder of each run. `fails` holds the numbers of the
inputs, from 0, with which the run fails. `may_also_run` names steps that plain
Python does not reach after a failure but that an engine may have started beside it, since they
share no data with what failed. `parallel` says that the pipeline has a `with parallel():`, so that
its steps need not be in order. `not_on` names targets that refuse the pipeline by a diagnostic.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CASES = Path(__file__).parent / "cases"
SCRATCH = "scratch"  # the name of such a folder, wherever it is: traces leave out the rest


@dataclass(frozen=True)
class Case:
    """One pipeline with one set of parameters."""

    name: str
    number: int
    pipeline: str
    parameters: str  # JSON, with {tmp}
    fails: bool
    may_also_run: frozenset[str]
    is_parallel: bool = False
    not_on: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        return f"{self.name}-{self.number}"

    @property
    def module(self) -> Path:
        return CASES / f"{self.name}.py"

    def given(self, folder: Path) -> dict[str, Any]:
        """The parameters of a run that may write into a folder of its own within `folder`."""
        scratch = folder / SCRATCH
        scratch.mkdir(parents=True)
        filled: dict[str, Any] = json.loads(self.parameters.replace("{tmp}", str(scratch)))
        return filled


def all_cases(target: str = "") -> list[Case]:
    """Every case with every input, by name; of a target, those that it does not refuse."""
    found = [case for path in sorted(CASES.glob("*.json")) for case in _read(path)]
    return [case for case in found if target not in case.not_on]


def _read(path: Path) -> list[Case]:
    content = json.loads(path.read_text())
    if isinstance(content, list):
        content = {"inputs": content}
    allowed = frozenset(content.get("may_also_run", ()))
    fails = content.get("fails", ())
    pipeline = content.get("pipeline", path.stem)
    parallel, not_on = content.get("parallel", False), frozenset(content.get("not_on", ()))
    return [
        Case(path.stem, n, pipeline, json.dumps(inputs), n in fails, allowed, parallel, not_on)
        for n, inputs in enumerate(content["inputs"])
    ]
