"""What a step is given as KFP has it: outputs of tasks that are inputs of others.

A value that other tasks gave has a way through the DAGs: up as an output of each DAG around the
task that gave it, to the innermost DAG around both, and from there down as an input of each DAG
around the one that takes it. A merge of two sides of an ``if`` is ``valueFromOneof``.

There is a way only where KFP is sure to find a value at its end, for the run of a task whose input
cannot be found fails (``backend/src/v2/driver/resolve.go``):

- from the side of an ``if`` only by a merge to which both sides give a parameter: of artifacts
  KFP takes the last side, whether it ran or not;
- not out of a loop: KFP finds nothing where a loop has no items, and cannot leave any out;
- not into or out of an exit task, which runs when nothing was given;
- a merge of an ``if`` that a failure may cut off has neither side.

All else is read from the store, and is an edge only.
"""

from __future__ import annotations

from levada_compiler.ir import Attribute, Output, Select
from levada_compiler.slotted import dataclass

from . import artifacts
from .dags import Given, Taken, inner_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")

    from levada_compiler.ir import Call, Expr, Program

    from .dags import Builder, Dag, Task


@dataclass(frozen=True, slots=True)
class Way:
    """An output of a task."""

    task: Task
    key: str
    is_parameter: bool


class Channels:
    """Lays the ways of a program."""

    def __init__(self, program: Program, builder: Builder, outputs: artifacts.Outputs) -> None:
        self._builder = builder
        self._outputs = outputs
        self._steps = {step.key: step for step in program.steps}

    def lay(self, task: Task, call: Call) -> None:
        """Make inputs of the arguments of a call that have a way to it."""
        for argument in call.arguments:
            way = self._origin(argument.value)
            if way is not None:
                self._lead(way, task, argument.name)

    def _origin(self, value: Expr) -> Way | None:
        match value:
            case Output(node=node):
                return self._output(node, None)
            case Attribute(value=Output(node=node), name=name):
                return self._output(node, artifacts.output_name(name))
            case Select():
                return self._merge(value)
            case _:
                return None

    def _output(self, node: str, name: str | None) -> Way | None:
        task = self._builder.calls[node]
        step = self._steps[task.call.step] if task.call else None
        if step is None:
            return None
        key = self._outputs.whole(step) if name is None else name
        kind = self._outputs.of(step).get(key or "")
        return Way(task, key, kind == artifacts.PARAMETER) if key and kind else None

    def _merge(self, value: Select) -> Way | None:
        wrapper, *sides = self._builder.sides[value.branch]
        if wrapper.caught or len(sides) != 2:
            return None
        found = []
        for side, expression in zip(sides, (value.then, value.otherwise), strict=True):
            way = self._origin(expression)
            if way is None or not way.is_parameter or not _reaches(way, inner_of(side)):
                return None
            found.append((side, way))
        sources = tuple((side, _output_of(side, _up(way, inner_of(side)))) for side, way in found)
        key = _named(wrapper.given, "merged", Given(sources, is_parameter=True))
        return Way(wrapper, key, is_parameter=True)

    def _lead(self, way: Way, task: Task, name: str) -> None:
        """From where the value is made to an input of the task."""
        owners = task.chain
        around = {id(owner.dag) for owner in way.task.chain}
        depth = max(n for n, owner in enumerate(owners) if id(owner.dag) in around)
        dag = owners[depth].dag
        if any(owner.exit_of for owner in owners[depth:]) or not _reaches(way, dag):
            return
        above = _up(way, dag)
        passed = Taken(above.task, above.key, above.is_parameter)
        for owner in owners[depth:-1]:
            channel = _named(
                owner.taken, f"pipelinechannel--{above.task.name}--{above.key}", passed
            )
            passed = Taken(None, channel, above.is_parameter)
        task.taken[name] = passed


def _reaches(way: Way, dag: Dag) -> bool:
    """Whether KFP is sure to find the value as an output of a task of this DAG."""
    inner = way.task.dag
    while inner is not dag:
        owner = inner.owner
        if owner is None or owner.condition or owner.listed or owner.exit_of:
            return False
        inner = owner.dag
    return True


def _up(way: Way, dag: Dag) -> Way:
    """The value as an output of a task of this DAG, which it reaches."""
    while way.task.dag is not dag and way.task.dag.owner is not None:
        owner = way.task.dag.owner
        way = Way(owner, _output_of(owner, way), way.is_parameter)
    return way


def _output_of(owner: Task, way: Way) -> str:
    """Make an output of the DAG of one of its tasks'."""
    given = Given(((way.task, way.key),), way.is_parameter)
    return _named(owner.given, f"{way.task.name}-{way.key}", given)


def _named(known: dict[str, T], base: str, wanted: T) -> str:
    """The name of an input or output: of tasks in other DAGs, others may be called so."""
    name, count = base, 1
    while known.setdefault(name, wanted) != wanted:
        count += 1
        name = f"{base}-{count}"
    return name
