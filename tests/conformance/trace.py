"""What a run did, in a form that is the same whichever engine ran it."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from levada import values
from levada.program_modules import ProgramModules
from levada.project import Project
from levada.store import Store
from levada_compiler.compilation import compile_file

from tests.conformance.case import CASES, SCRATCH, Case
from tests.conformance.order import Interval, Order


@dataclass(frozen=True, order=True)
class StepRun:
    """One step that ran: which, on what, giving what (nothing where it failed)."""

    step: str
    inputs: tuple[tuple[str, str], ...]
    returned: str

    def __str__(self) -> str:
        inputs = ", ".join(f"{name}={digest[:8]}" for name, digest in self.inputs)
        return f"{self.step}({inputs}) -> {self.returned[:8] or 'failed'}"


@dataclass(frozen=True)
class Trace:
    """The end of a run, the digests of its outputs in order, and the steps that ran.

    ``times`` are those of nodes and iterations, where the run was one of an engine.
    """

    status: str
    outputs: tuple[str, ...]
    steps: tuple[StepRun, ...]
    times: dict[tuple[str, tuple[int, ...]], Interval] = field(default_factory=dict, hash=False)

    def as_json(self) -> str:
        steps = [[run.step, run.inputs, run.returned] for run in sorted(self.steps)]
        return json.dumps([self.status, self.outputs, steps])

    @classmethod
    def from_json(cls, text: str) -> Trace:
        status, outputs, steps = json.loads(text)
        runs = (StepRun(step, tuple(map(tuple, inputs)), out) for step, inputs, out in steps)
        return cls(status, tuple(outputs), tuple(runs))


def digest(tree: Any, store: Store) -> str:
    """Of a value's tree, whether its parts stand in it or are artifacts of the store."""
    text = re.sub(f'"[^"]*/{SCRATCH}"', '"{tmp}"', json.dumps(expanded(tree, store)))
    return hashlib.sha256(text.encode()).hexdigest()


def expanded(tree: Any, store: Store) -> Any:
    """The tree with JSON artifacts put in place; other artifacts are told by their digest."""
    if isinstance(tree, list):
        return [expanded(item, store) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if "$made" in tree:
        return expanded(values.encode(_made(tree, store), store), store)
    artifact = tree.get("$artifact")
    if artifact is None:
        return {name: expanded(value, store) for name, value in tree.items()}
    if artifact["format"] != "json":
        return {"$leaf": artifact["digest"]}
    with store.open_blob(artifact["digest"]) as file:
        return expanded(json.loads(file.read()), store)


def _made(tree: Any, store: Store) -> Any:
    """The value of a class that runs code of its own: what a step of the case is given."""
    if str(CASES) not in sys.path:
        sys.path.append(str(CASES))
    values.set_program(ProgramModules(Project(str(CASES), [str(CASES)]), store, None))
    return values.decode(tree, store)


def differences(expected: Trace, found: Trace, case: Case) -> list[str]:
    """Where a run differs from plain Python's, one sentence each."""
    said = []
    if expected.status != found.status:
        said.append(f"the run {found.status}, plain Python {expected.status}")
    if expected.outputs != found.outputs:
        said.append(f"outputs {found.outputs}, plain Python's {expected.outputs}")
    ran, wanted = Counter(found.steps), Counter(expected.steps)
    said += [f"did not run: {run}" for run in (wanted - ran).elements()]
    extra = (ran - wanted).elements()
    said += [
        f"ran, but not in plain Python: {run}" for run in extra if run.step not in case.may_also_run
    ]
    return said + ([] if case.is_parallel else violations(case, found.times))


@cache
def _order(module: str, pipeline: str) -> Order:
    program = compile_file(module, pipeline).program
    assert program is not None
    return Order(program)


def violations(case: Case, times: dict[tuple[str, tuple[int, ...]], Interval]) -> list[str]:
    """Where a run did not keep the order of the source, one sentence each."""
    return _order(str(case.module), case.pipeline).violations(times)
