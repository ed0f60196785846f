"""What a step is given as KFP has it: outputs of tasks that are inputs of others.

A value that other tasks gave has a way through the DAGs: up as an output of each DAG around the
task that gave it, to the innermost DAG around both, and from there down as an input of each DAG
around the one that takes it. A merge of two sides of an ``if`` is ``valueFromOneof``.

What the iterations of a loop gave is a list at its iterator's output, as KFP's SDK has it
(``dsl.Collected``). A step reads its list from the store all the same: there it is in order and
whole, whatever its size. KFP's is for whoever looks at the run, and an edge.

There is a way only where KFP is sure to find a value at its end, for the run of a task whose input
cannot be found fails (``backend/src/v2/driver/resolve.go``):

- from the side of an ``if`` only by a merge to which both sides give a parameter: of artifacts
  KFP takes the last side, whether it ran or not;
- out of a loop only what a step gives in each iteration, since KFP cannot leave any out and makes
  one flat list of nested ones. Of a loop without items there would be none to find it of: then the
  task that lists the items lists one for which nothing is done. Where a body has a handler a
  failure may cut off the loop;
- not into or out of an exit task, which runs when nothing was given;
- a merge of an ``if`` that a failure may cut off has neither side.

A pod gets all of its inputs as one argument, which Linux limits to 128 KiB. So a task is given as
many, first come, as fit whatever their values are, and reads the others from the store. Parameters
of a list have a share of ``LIST_BYTES`` each, and one that is larger is not shown in it. Artifacts
have no such limit, at some hundred bytes each; a list of them goes to a sub-DAG with the step in
it: what a DAG takes is handed to no pod.

All else is read from the store, and is an edge only.
"""

from __future__ import annotations

import json
from itertools import pairwise

from levada_compiler.program.ir import Attribute, Collect, Output, Select
from levada_compiler.slotted import dataclass

from . import artifacts
from .dags import Given, Taken, inner_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeVar

    T = TypeVar("T")

    from levada_compiler.program.ir import Call, Expr, Program

    from .dags import Builder, Dag, Task


#: Bytes of all that a task is told in its argument: its call, its inputs, its outputs.
INPUT_BYTES = 124 * 1024
#: What it is told of an output: its type, and where it goes.
OUTPUT_BYTES = 400
#: Those of all lists of parameters among these.
LIST_BYTES = 24 * 1024
WHY_NOT_ALL = "may not fit in the argument of a process, and is read from the store"


@dataclass(frozen=True, slots=True)
class Way:
    """An output of a task."""

    task: Task
    key: str
    is_parameter: bool
    is_list: bool = False
    bytes: int = 0  #: that it may have among the inputs of a task

    @property
    def is_artifact_list(self) -> bool:
        """Whether it is more than may be handed to a pod."""
        return self.is_list and not self.is_parameter


class Channels:
    """Lays the ways of a program; those out of loops only if it is ``collecting``."""

    def __init__(
        self, program: Program, builder: Builder, outputs: artifacts.Outputs, *, collecting: bool
    ) -> None:
        self._builder = builder
        self._outputs = outputs
        self._collecting = collecting
        self._steps = {step.key: step for step in program.steps}

    def lay(self, task: Task, call: Call) -> None:
        """Make inputs of the arguments of a call that have a way to it."""
        found = [(way, one.name) for one in call.arguments if (way := self._origin(one.value))]
        left = INPUT_BYTES - len(json.dumps(task.told))
        left -= OUTPUT_BYTES * len(self._outputs.of(self._steps[call.step]))
        if any(way.is_list and way.is_parameter for way, _ in found):
            left -= LIST_BYTES
        lists, kept = [], []
        # First what may put the task elsewhere.
        for way, name in sorted(found, key=lambda each: not each[0].is_artifact_list):
            if way.bytes > left:
                kept.append(name)
            elif self._lead(way, task, name):
                left -= way.bytes
                lists += [way] if way.is_list else []
        if kept:
            task.comment = f"`{', '.join(kept)}` {WHY_NOT_ALL}"
        _share(lists)

    def _origin(self, value: Expr) -> Way | None:
        value = self._builder.resolved(value)
        match value:
            case Output(node=node):
                return self._output(node, None)
            case Attribute(value=inner, name=name):
                inner = self._builder.resolved(inner)
                if not isinstance(inner, Output):
                    return None
                return self._output(inner.node, artifacts.output_name(name))
            case Select():
                return self._merge(value)
            case Collect(value=inner, flatten=False) if self._collecting:
                is_own = isinstance(self._builder.resolved(inner), Output | Attribute)
                return self._collected(value) if is_own else None
            case _:
                return None

    def _output(self, node: str, name: str | None) -> Way | None:
        task = self._builder.calls[node]
        step = self._steps[task.call.step] if task.call else None
        if step is None:
            return None
        key = self._outputs.whole(step) if name is None else name
        kind = self._outputs.of(step).get(key or "")
        if not key or not kind:
            return None
        return Way(task, key, kind == artifacts.PARAMETER, bytes=self._outputs.largest(step, key))

    def _merge(self, value: Select) -> Way | None:
        wrapper, *sides = self._builder.sides[value.branch]
        if wrapper.caught or len(sides) != 2:
            return None
        found = []
        for side, expression in zip(sides, (value.then, value.otherwise), strict=True):
            way = self._origin(expression)
            if way is None or not _is_one_parameter(way) or not _reaches(way, inner_of(side)):
                return None
            found.append((side, way))
        sources = tuple((side, _output_of(side, _up(way, inner_of(side)))) for side, way in found)
        key = _named(wrapper.given, "merged", Given(sources, is_parameter=True))
        largest = max(way.bytes for _, way in found)
        return Way(wrapper, key, is_parameter=True, bytes=largest)

    def _collected(self, value: Collect) -> Way | None:
        """What a step gives in each iteration."""
        body = self._builder.loops[value.loop]
        way = self._origin(value.value)
        if way is None or body.caught or way.task.caught or not _reaches(way, inner_of(body)):
            return None
        names = [owner.name for owner in way.task.chain[len(body.chain) - 1 :]]
        if any(one == other for one, other in pairwise(names)):
            return None  # by their names KFP tells the tasks on the way apart (`CollectInputs`)
        inner = _up(way, inner_of(body))
        given = Given(((inner.task, inner.key),), way.is_parameter, is_list=True)
        key = _named(body.given, f"{inner.task.name}-{inner.key}", given)
        return Way(body, key, way.is_parameter, is_list=True)

    def _lead(self, way: Way, task: Task, name: str) -> bool:
        """From where the value is made to an input of the task, if there is a way."""
        owners = task.chain
        around = {id(owner.dag) for owner in way.task.chain}
        depth = max(n for n, owner in enumerate(owners) if id(owner.dag) in around)
        dag = owners[depth].dag
        if any(owner.exit_of for owner in owners[depth:]) or not _reaches(way, dag):
            return False
        above = _up(way, dag)
        passed = Taken(above.task, above.key, above.is_parameter, above.is_list)
        channel = f"pipelinechannel--{above.task.name}--{above.key}"
        if way.is_artifact_list:
            owner = owners[depth] if owners[depth] is not task else self._builder.enclose(task)
            _named(owner.taken, channel, passed)
            return True
        for owner in owners[depth:-1]:
            key = _named(owner.taken, channel, passed)
            passed = Taken(None, key, above.is_parameter, above.is_list)
        task.taken[name] = passed
        return True


def _share(lists: Sequence[Way]) -> None:
    """Have the lists that a task takes made, none of them empty, the parameters of few bytes."""
    parameters = [way for way in lists if way.is_parameter]
    for way in lists:
        if way.task.listed is not None:
            way.task.listed.is_never_empty = True
    for way in parameters:
        task, key = way.task, way.key
        while task.inner is not None:
            ((task, key),) = task.given[key].sources
        share = LIST_BYTES // len(parameters)
        task.collected[key] = min(share, task.collected.get(key, share))


def _is_one_parameter(way: Way) -> bool:
    return way.is_parameter and not way.is_list


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
        way = Way(owner, _output_of(owner, way), way.is_parameter, way.is_list)
    return way


def _output_of(owner: Task, way: Way) -> str:
    """Make an output of the DAG of one of its tasks'."""
    given = Given(((way.task, way.key),), way.is_parameter, way.is_list)
    return _named(owner.given, f"{way.task.name}-{way.key}", given)


def _named(known: dict[str, T], base: str, wanted: T) -> str:
    """The name of an input or output: of tasks in other DAGs, others may be called so."""
    name, count = base, 1
    while known.setdefault(name, wanted) != wanted:
        count += 1
        name = f"{base}-{count}"
    return name
