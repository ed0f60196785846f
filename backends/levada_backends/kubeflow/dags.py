"""From a structured program to KFP's nested DAGs of tasks.

A region becomes a DAG of its own wherever KFP needs one: a side of a branch (it has a condition), a
loop's body (it has an iterator), the body of a ``try`` (what follows waits for all of it), another
pipeline.

KFP has no value for "this task failed": a task that fails ends its DAG, and what is below it never
starts. So within a body that has a handler a step's failure is only in its record (``caught``),
each later task there asks the records whether it is still reached (``unless``), and so does the
handler's condition. A ``finally`` is KFP's exit task: it also runs when a pod of the body was
killed.

The program of a container step is a task by itself, which knows nothing of Levada. It stands in a
sub-DAG that runs only if the cache does not have its outputs, and has an exit task that records a
failure::

    score-run
        score-stage             looks in the cache, and hands the program its inputs
        uncached                if it was a miss
            body
                score-program
                score-collect   writes the record
            score-failure       its exit task
    score                       gives what the record has
"""

from __future__ import annotations

import json

from levada_compiler.program.expression_text import (
    ExpressionWriter,
    Uses,
    failing_nodes,
    source_names,
)
from levada_compiler.program.ir import (
    Branch,
    Call,
    Fail,
    Group,
    Guard,
    Loop,
    Node,
    Program,
    Use,
    Value,
    has_tasks,
    walk,
)
from levada_compiler.program.references import References
from levada_compiler.slotted import dataclass, field, replace

from . import artifacts, cel, parameters
from .escaping import escape
from .names import Names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from levada_compiler.program.ir import Container, Expr

#: Bytes of one DAG as JSON: its driver gets it as one argument, which Linux limits to 128 KiB.
DAG_BYTES = 96 * 1024
#: About what a task is in it, beside the text of its call.
TASK_BYTES = 700
#: Bytes of the named values that a container may know; beyond it each task is told its own.
VALUES_BYTES = 48 * 1024

THEN, OTHERWISE = "then", "otherwise"
#: The task that records what the pipeline returns.
RETURN = "return"
#: The one output of a task that decides or lists.
OUTPUT = "Output"
#: What it is of a task that stages, if the program has to run (``levada.kubeflow``).
MISSED = "missed"
#: The input of what runs once for each item of a loop.
INDEX = "levada-index"
#: Kinds of the tasks of a container step before the one that gives its outputs.
PROGRAM_KINDS = ("stage", "program", "collect", "failure")


@dataclass(frozen=True, slots=True)
class Taken:
    """An input: an output of a task beside it, or (without one) an input of the DAG around it."""

    task: Task | None
    key: str
    is_parameter: bool
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """An output of a DAG: of one of its tasks, or of the one of them that ran.

    That of an iterator is a list of what its iterations gave.
    """

    sources: tuple[tuple[Task, str], ...]
    is_parameter: bool
    is_list: bool = False


@dataclass(slots=True, eq=False)
class Task:
    """One task of a DAG.

    ``wants`` holds what it takes something from: ids of nodes, and tasks; ``follows`` what must be
    over besides.
    """

    name: str
    title: str
    kind: str  #: step, decide, items, check, raise, outputs, end, dag, or one of PROGRAM_KINDS
    dag: Dag
    node: Node | None = None
    told: dict[str, Any] = field(default_factory=dict)  #: what its request has of its own
    wants: list[str | Task] = field(default_factory=list)
    follows: list[str | Task] = field(default_factory=list)
    values: tuple[str, ...] = ()  #: the named values that its container has to know
    indexed: bool = False  #: it is in a loop
    inner: Dag | None = None
    condition: str = ""
    reads: tuple[str, ...] = ()  #: the pipeline's parameters in the condition
    decided: Task | None = None  #: the task whose output the condition asks for
    listed: Task | None = None  #: the task that lists the items of this iterator
    exit_of: Task | None = None
    program: Task | None = None  #: the task that runs the program of this container step
    comment: str = ""
    component: str = ""
    after: list[Task] = field(default_factory=list)
    parameters: tuple[str, ...] = ()  #: those of the pipeline that it is given
    caught: bool = False  #: it is in a body with a handler
    is_first: bool = False  #: it waits for none, and may be the one that records the run
    taken: dict[str, Taken] = field(default_factory=dict)  #: inputs that others' outputs are
    given: dict[str, Given] = field(default_factory=dict)  #: outputs of its DAG
    #: outputs that KFP makes lists of, and the bytes that such a list may have
    collected: dict[str, int] = field(default_factory=dict)
    is_never_empty: bool = False  #: it lists an item even where the loop has none

    @property
    def call(self) -> Call | None:
        """The call of a step, if it is one; of a container step only the task that publishes."""
        return self.called if self.kind == "step" else None

    @property
    def called(self) -> Call | None:
        """The call of a step that this is a task of."""
        return self.node if isinstance(self.node, Call) and self.inner is None else None

    @property
    def chain(self) -> list[Task]:
        """The tasks whose sub-DAGs it is in, outermost first, and itself."""
        owner = self.dag.owner
        return [*(owner.chain if owner else ()), self]

    def needs(self) -> list[str]:
        """The inputs that it takes from the DAG that it stands in."""
        found = dict.fromkeys((*self.parameters, *self.reads))
        if self.inner is not None:
            found |= dict.fromkeys(n for n in self.inner.needs() if n != INDEX or not self.listed)
        elif self.indexed:
            found[INDEX] = None
        return list(found)


@dataclass(slots=True, eq=False)
class Dag:
    """A DAG: the root's, or that of a task."""

    owner: Task | None = None
    tasks: list[Task] = field(default_factory=list)
    names: Names = field(default_factory=Names)

    def needs(self) -> list[str]:
        """The inputs that its tasks take from it."""
        return list(dict.fromkeys(name for task in self.tasks for name in task.needs()))

    def all_tasks(self) -> Iterator[Task]:
        """Its tasks and those of the DAGs in it, in order."""
        for task in self.tasks:
            yield task
            if task.inner is not None:
                yield from task.inner.all_tasks()


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the program a node stands."""

    dag: Dag
    loops: tuple[dict[str, Any], ...] = ()  #: as a request has them
    before: tuple[str, ...] | None = None  #: in a handled body: whose failure cuts it off
    #: of each loop in order what cuts off its later iterations, as a request has it
    ordered: tuple[dict[str, Any], ...] = ()


class Builder:
    """Makes the DAGs of a program; ``root`` is the outermost."""

    def __init__(self, program: Program) -> None:
        self.root = Dag()
        self.writer = ExpressionWriter(program)
        self._program = program
        self._refer = References(program)
        self._containers = {step.key: step.container for step in program.steps if step.container}
        self.components = Names()
        self._plain = {p.name: parameters.compared_kind(p) for p in program.parameters}
        values = [node for node in walk(program.body) if isinstance(node, Value)]
        self.values = {node.id: node for node in values}
        #: what the names of values and the like stand for; a container knows those it needs
        self.definitions = self.writer.definitions()
        self.uses = Uses(self.definitions)
        size = len(json.dumps(json.dumps(self.definitions)))  # as a driver gets them
        self.are_told = size > VALUES_BYTES
        #: node id -> the tasks that are over when the node is
        self._over: dict[str, list[Task]] = {}
        #: node id -> the task of a call; of a branch the sub-DAG, and those of its two sides
        self.calls: dict[str, Task] = {}
        self.loops: dict[str, Task] = {}  #: those of which each item is a run of a sub-DAG
        self.sides: dict[str, tuple[Task, ...]] = {}
        self._region(program.body, Place(self.root))
        self._end()
        self._connect()

    # ------------------------------------------------------------------ regions

    def _region(self, nodes: Sequence[Node], place: Place) -> None:
        """Add the tasks of a region, in parts if they are too many for one DAG."""
        parts = list(_parts(nodes, self._size))
        for number, part in enumerate(parts, 1):
            inside = place
            if len(parts) > 1:
                title = f"part {number} of {len(parts)}"
                task = self._sub_dag(title, place, part[0], f"part-{number}")
                task.comment = "in parts: a DAG's driver gets all of it as one argument"
                inside = replace(place, dag=inner_of(task))
            for node in part:
                self._node(node, inside)
                if place.before is not None:
                    place = replace(place, before=_joined(place.before, failing_nodes((node,))))
                    inside = replace(inside, before=place.before)

    def _size(self, node: Node) -> int:
        if not has_tasks((node,)):
            return 0
        texts = [self.writer.text(each) for each in node.expressions()]
        told = self.uses.of(texts) if self.are_told else {}
        return TASK_BYTES + sum(len(text) + 20 for text in (*texts, *told.values()))

    def _node(self, node: Node, place: Place) -> None:
        if not has_tasks((node,)):  # whatever it is, it is evaluated where it is used
            self._over[node.id] = []
            return
        first = len(place.dag.tasks)
        match node:
            case Call():
                over = [self._call(node, place)]
            case Branch():
                over = self._branch(node, place)
            case Loop():
                over = self._loop(node, place)
            case Guard():
                over = self._guard(node, place)
            case Group():
                over = self._group(node, place)
            case Fail():
                over = [self._raise(node, place)]
            case Value():
                over = [self._value(node, place)]
        self._over[node.id] = over
        for task in place.dag.tasks[first:]:
            if task.exit_of is None:
                task.follows += [name for name in node.after if name in self._over]

    def _call(self, call: Call, place: Place) -> Task:
        sources = {a.name: self.writer.text(a.value) for a in call.arguments}
        loops = list(place.loops)
        told = _told(
            sources=sources, loops=loops, checks=self._checks(call.after), kubeflow=_cut_off(place)
        )
        container = self._containers.get(call.step)
        run = self._around_program(call, container, place, told) if container else None
        task = self._task(_last(call.id), "step", place, call)
        task.told = told if run is None else _told(loops=loops)
        task.wants += self._refer.of_node(call) if run is None else [run]
        self.calls[call.id] = task
        return task

    def _around_program(
        self, call: Call, container: Container, place: Place, told: dict[str, Any]
    ) -> Task:
        """The sub-DAG that leaves a record of a container step, after its program or without."""
        name = _last(call.id)
        run = self._sub_dag(f"{name} run", place, call)
        inside = replace(place, dag=inner_of(run))
        stage = self._task(f"{name} stage", "stage", inside, call)
        stage.comment = "looks in the cache, and hands the program its inputs"
        uncached = self._sub_dag("uncached", inside, call)
        uncached.decided, uncached.condition = stage, _is(stage, MISSED)
        inside = replace(place, dag=inner_of(uncached))
        body = self._sub_dag("body", inside, call)
        failure = self._task(f"{name} failure", "failure", inside, call)
        failure.comment = "records that the program failed, if it did"
        failure.exit_of = body
        inside = replace(place, dag=inner_of(body))
        program = self._task(f"{name} program", "program", inside, call)
        program.indexed = False
        collect = self._task(f"{name} collect", "collect", inside, call)
        collect.wants.append(program)
        for argument in call.arguments:
            given = artifacts.staged(argument.name)
            uncached.taken[argument.name] = Taken(stage, given, False)
            for task in (body, program):
                task.taken[argument.name] = Taken(None, argument.name, False)
        for output in container.outputs:
            collect.taken[artifacts.written(output.name)] = Taken(program, output.name, False)
        stage.program = failure.program = program
        for task in (stage, collect, failure):
            task.told = told
            task.wants += self._refer.of_node(call)
        return run

    def _raise(self, fail: Fail, place: Place) -> Task:
        task = self._task(_last(fail.id), "raise", place, fail)
        task.told = _told(
            node=fail.id,
            handled=fail.guard,
            classes=list(fail.classes),
            arguments=[self.writer.text(each) for each in fail.arguments],
            loops=list(place.loops),
            checks=self._checks(fail.after),
            kubeflow=_cut_off(place),
        )
        task.wants += self._refer.of_node(fail)
        return task

    def _value(self, value: Value, place: Place) -> Task:
        task = self._task(_last(value.id), "check", place, value)
        task.told = _told(
            node=value.id,
            checks=self._checks((*value.after, value.id)),
            loops=list(place.loops),
            kubeflow=_cut_off(place),
        )
        task.wants += self._refer.of_node(value)
        task.comment = f"evaluates {self.writer.text(value.value)} before what follows"
        return task

    def _checks(self, names: Iterable[str]) -> list[str]:
        """The values that have to be evaluated, for they may raise: those without a task."""
        return [name for name in names if name in self.values]

    def _group(self, group: Group, place: Place) -> list[Task]:
        task = self._sub_dag(_last(group.id), place, group)
        task.comment = _first_line(group.description)
        self._region(group.body, replace(place, dag=inner_of(task)))
        return _unless_empty(task)

    def _branch(self, branch: Branch, place: Place) -> list[Task]:
        sides = [(name, nodes) for name, nodes in branch.parts() if nodes]
        wrapper = self._sub_dag(_last(branch.id), place, branch)
        inside = replace(place, dag=inner_of(wrapper))
        text, checks = self.writer.text(branch.condition), self._checks(branch.after)
        known = None
        if place.before is None and not checks:
            known = cel.condition(self.resolved(branch.condition), self._plain)
        wrapper.comment = f"if {text}"
        decided = None
        if known is None or not sides:
            decided = self._decision("decide", inside, branch, text, checks=checks)
            decided.wants += self._refer.of_node(branch)
            decided.comment = cel.WHY_NOT
        made = [wrapper]
        for name, nodes in sides:
            task = self._sub_dag(name, inside, branch)
            made += [task]
            if known is not None:
                task.condition = known.text if name == THEN else f"!({known.text})"
                task.reads = known.parameters
            else:
                task.decided, task.condition = decided, _is(decided, name)
            self._region(nodes, replace(inside, dag=inner_of(task)))
            _unless_empty(task)
        self.sides[branch.id] = tuple(made)
        return _unless_empty(wrapper)

    def _loop(self, loop: Loop, place: Place) -> list[Task]:
        text = f"for {self.writer.target(loop.target)} in {self.writer.text(loop.items)}"
        where = [self.writer.text(condition) for condition in loop.conditions]
        named = source_names(loop)
        told = _told(**{"for": text.removeprefix("for "), "where": where, "named": named})
        loops = (*place.loops, told)
        items = self._task(f"{_last(loop.id)} items", "items", place, loop)
        items.told = _told(
            node=loop.id,
            loops=list(loops),
            checks=self._checks(loop.after),
            kubeflow=_cut_off(place),
        )
        items.wants += self._refer.of_node(loop)
        items.comment = "lists the items as Python would, and gives each its index"
        body = self._sub_dag(_last(loop.id), place, loop)
        body.comment, body.listed = text, items
        self.loops[loop.id] = body
        inside = replace(place, dag=inner_of(body), loops=loops)
        if loop.max_parallel == 1:
            order = {"depth": len(loops), "nodes": list(failing_nodes(loop.body))}
            inside = replace(inside, ordered=(*place.ordered, order))
        self._region(loop.body, inside)
        return _unless_empty(body) or [items]

    # ------------------------------------------------------------------ guards

    def _guard(self, guard: Guard, place: Place) -> list[Task]:
        wrapper = self._sub_dag(_last(guard.id), place, guard)
        wrapper.comment = "try"
        inside = replace(place, dag=inner_of(wrapper))
        if guard.final:
            self._ended(guard, inside)
        elif guard.handler is None:
            self._region(guard.body, inside)
        else:
            self._tried(guard, inside)
        if place.before and guard.final:  # what stands before it decides whether it is entered
            wrapper.follows += place.before
        over = _unless_empty(wrapper)
        if place.before is not None or not any(t.exit_of for t in inside.dag.tasks):
            return over
        return [wrapper, self._check(guard, place, wrapper)]

    def _ended(self, guard: Guard, place: Place) -> None:
        """A body, with its handler where it has one, and the exit task."""
        body = self._sub_dag("body", place, guard)
        inside = replace(place, dag=inner_of(body))
        if guard.handler is None:
            self._region(guard.body, inside)
        else:
            self._tried(guard, inside)
        if not _unless_empty(body):
            self._region(guard.final, place)
            return
        ending = self._sub_dag("finally", place, guard)
        ending.exit_of = body
        self._region(guard.final, replace(place, dag=inner_of(ending)))
        _unless_empty(ending)

    def _check(self, guard: Guard, place: Place, wrapper: Task) -> Task:
        task = self._task(f"{_last(guard.id)} end", "end", place, guard)
        failing = {"unless": list(failing_nodes((guard,)))}
        task.told = _told(node=guard.id, loops=list(place.loops), kubeflow=failing)
        task.follows.append(wrapper)
        task.comment = "a failed exit task does not fail its DAG: what follows must not run"
        return task

    def _tried(self, guard: Guard, place: Place) -> None:
        """A body whose failures are caught, and the handler."""
        body = self._sub_dag("tried", place, guard)
        self._region(guard.body, replace(place, dag=inner_of(body), before=place.before or ()))
        before = _unless_empty(body)
        if not has_tasks(guard.handler or ()):
            return  # what it gives is a value, and whoever asks for that looks at the records
        text = self.writer.failure(guard)
        decided = self._decision("except", place, guard, text, f"{guard.id}.except")
        decided.follows += before
        decided.wants += self._refer.of_values(guard.checks)
        decided.comment = "KFP cannot go on after a failure: the steps' records say if one failed"
        handler = self._sub_dag("handler", place, guard)
        handler.decided, handler.condition = decided, _is(decided, THEN)
        handler.follows += before
        self._region(guard.handler or (), replace(place, dag=inner_of(handler)))
        _unless_empty(handler)

    # ------------------------------------------------------------------ tasks

    def _task(self, title: str, kind: str, place: Place, node: Node | None) -> Task:
        task = Task(place.dag.names.new(title), title, kind, place.dag, node)
        task.indexed, task.caught = bool(place.loops), place.before is not None
        place.dag.tasks.append(task)
        return task

    def _sub_dag(self, title: str, place: Place, node: Node, name: str = "") -> Task:
        task = self._task(name or title, "dag", place, node)
        task.title = title
        task.inner = Dag(task)
        task.component = self._component(task)
        return task

    def _decision(
        self,
        title: str,
        place: Place,
        node: Node,
        text: str,
        node_id: str = "",
        checks: Sequence[str] = (),
    ) -> Task:
        task = self._task(title, "decide", place, node)
        task.told = _told(
            node=node_id or node.id,
            expression=text,
            loops=list(place.loops),
            checks=list(checks),
            kubeflow=_cut_off(place),
        )
        return task

    def resolved(self, expression: Expr) -> Expr:
        """The expression that a name stands for; any other one as it is."""
        while isinstance(expression, Use):
            expression = self.values[expression.value].value
        return expression

    def _end(self) -> None:
        result = self._program.result
        task = self._task(RETURN, "outputs", Place(self.root), None)
        is_none = result.kind == "none"
        task.comment = "the run has succeeded" if is_none else "what the pipeline returns"
        pairs = zip(result.names, result.values, strict=True)
        task.told = _told(
            outputs={name: self.writer.text(value) for name, value in pairs},
            returns="" if result.kind in ("none", "value") else result.kind,
            checks=self._checks(result.after),
        )

    def enclose(self, task: Task) -> Task:
        """Put a task that has its edges into a sub-DAG of its own, which stands in its place."""
        dag = task.dag
        title = f"{task.title} join"
        outer = Task(dag.names.new(title), title, "dag", dag, task.node, after=task.after)
        outer.indexed, outer.caught = task.indexed, task.caught
        outer.inner = inner = Dag(outer)
        outer.component = self._component(outer)
        dag.tasks[dag.tasks.index(task)] = outer
        for other in dag.tasks:
            other.after = [outer if one is task else one for one in other.after]
        task.dag, task.after, task.name = inner, [], inner.names.new(task.title)
        inner.tasks.append(task)
        return outer

    def _component(self, task: Task) -> str:
        return "comp-" + self.components.new("-".join(owner.name for owner in task.chain))

    # ------------------------------------------------------------------ edges

    def _connect(self) -> None:
        ordered: dict[Task, list[Task]] = {}
        for task in self.root.all_tasks():
            wanted = [above for want in task.wants for above in self._tasks_of(want)]
            wanted += [above for above in (task.decided, task.listed, task.exit_of) if above]
            for above in wanted:
                if edge := _edge(above, task):
                    _append(edge[1].after, edge[0])
            for above in (one for name in task.follows for one in self._tasks_of(name)):
                if edge := _edge(above, task):
                    _append(ordered.setdefault(edge[1], []), edge[0])
        for task, before in ordered.items():
            for above in before:
                _append(task.after, above)
        last = self.root.tasks[-1]
        if last.kind == "outputs":
            followed = {id(above) for task in self.root.tasks for above in task.after}
            last.after = [t for t in self.root.tasks[:-1] if id(t) not in followed]
        for task in self.root.all_tasks():
            values = self.uses.of(_texts(task.told))
            if self.are_told:
                task.told |= _told(values=values)
            else:
                task.values = tuple(values)
            task.told = escape(task.told)
            if task.inner is None and not any(t.after for t in task.chain):
                task.parameters = tuple(self._plain)
                task.is_first = True

    def _tasks_of(self, want: str | Task) -> list[Task]:
        return self._over[want] if isinstance(want, str) else [want]


def _edge(above: Task, below: Task) -> tuple[Task, Task] | None:
    """An edge where both have a DAG in common; one to an exit task is one to what it follows."""
    for one, other in zip(above.chain, below.chain, strict=False):
        if one is other:
            continue
        if other.exit_of is None or one is other.exit_of:
            one = one.exit_of or one
            return (one, other) if one is not other else None
        return None
    return None


def _append(tasks: list[Task], task: Task) -> None:
    if task not in tasks:
        tasks.append(task)


def reduce_edges(dag: Dag) -> None:
    """Leave out the edges that others stand for, but for those to tasks whose outputs are taken."""
    above: dict[Task, int] = {}
    bits = {task: 1 << number for number, task in enumerate(dag.tasks)}
    for task in dag.tasks:
        implied = 0
        for one in task.after:
            implied |= above[one]
        taken = [one.task for one in task.taken.values()]
        taken += [task.decided, task.listed, task.exit_of]
        task.after = [one for one in task.after if not bits[one] & implied or one in taken]
        above[task] = implied
        for one in task.after:
            above[task] |= bits[one]
        if task.inner is not None:
            reduce_edges(task.inner)


def _parts(nodes: Sequence[Node], size: Callable[[Node], int]) -> Iterator[Sequence[Node]]:
    """The nodes of a region, in as many pieces as it takes."""
    sizes = [size(node) for node in nodes]
    if sum(sizes) <= DAG_BYTES:
        yield nodes
        return
    start = total = 0
    for position, bytes_ in enumerate(sizes):
        if total + bytes_ > DAG_BYTES and position > start:
            yield nodes[start:position]
            start, total = position, 0
        total += bytes_
    yield nodes[start:]


def _unless_empty(task: Task) -> list[Task]:
    """The task; nothing, and it is gone, if there is nothing in its DAG."""
    if inner_of(task).tasks:
        return [task]
    task.dag.tasks.remove(task)
    return []


def inner_of(task: Task) -> Dag:
    """The DAG of a task that has one."""
    if task.inner is None:
        raise TypeError(f"{task.name} has no DAG of its own")
    return task.inner


def _is(decided: Task | None, side: str) -> str:
    name = decided.name if decided else ""
    return f"{cel.value_of(channel(name))} == '{side}'"


def channel(task: str) -> str:
    """The input by which another task sees a task's output, named as KFP's SDK does."""
    return f"pipelinechannel--{task}-{OUTPUT}"


def _told(**fields: Any) -> dict[str, Any]:
    """Fields of a request, without those that have nothing to say."""
    return {name: value for name, value in fields.items() if value}


def _texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value but for the names of fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _cut_off(place: Place) -> dict[str, Any]:
    """What keeps a task from being reached, and whether it is in a `try`."""
    return _told(
        ordered=list(place.ordered),
        unless=list(place.before or ()),
        caught=place.before is not None,
    )


def _joined(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))


def _last(node_id: str) -> str:
    return node_id.rpartition(".")[2]


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
