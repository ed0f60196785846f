"""From a structured program to Airflow's flat graph of tasks.

Airflow has tasks, edges and trigger rules; it knows no regions. What a region means is kept by
three rules:

* A branch outside loops is a *gate*: a task that skips the side that is not taken. Airflow passes
  a skip on only through tasks that need all of their upstream to succeed, so a task with a more
  lenient rule is put directly below every gate around it, where the skip reaches it for certain.
* Within a loop nothing is skipped: a *listing* task says which items a mapped task runs for, and
  a branch or a guard there is a shorter list. An empty list makes Airflow skip the mapped task, so
  whatever collects from it must accept skipped tasks.
* What a failure means does not depend on the shape of the graph: a task that fails is always above
  something that then cannot run, up to the last task of the pipeline.
"""

from __future__ import annotations

from levada_compiler.program.expression_text import ExpressionWriter, failing_nodes, source_names
from levada_compiler.program.ir import (
    Branch,
    Call,
    Fail,
    Group,
    Guard,
    Loop,
    Node,
    Program,
    Value,
    has_tasks,
    walk,
)
from levada_compiler.program.references import References
from levada_compiler.slotted import dataclass, field, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeAlias

#: A gate and the side of it (``then`` or ``otherwise``) that a task is on.
Gates: TypeAlias = tuple[tuple[str, str], ...]

#: The task that records what the pipeline returns: no step can be called so.
RETURN = "return"
ALL_SUCCESS, NONE_FAILED, ALL_DONE = "all_success", "none_failed", "all_done"


@dataclass(slots=True)
class Task:
    """One task of the DAG. ``upstream`` holds task ids, in the order they are to be written."""

    id: str
    kind: str  #: step, items, branch, check, raise, except, handle, finally, items_after or outputs
    node: Node | None
    groups: tuple[Group, ...] = ()
    gates: Gates = ()
    clauses: tuple[str, ...] = ()  #: what a mapped task or a listing goes over
    source: str = ""  #: the listing that a mapped task expands over
    limit: int | None = None  #: how many of a mapped task run at a time; one means in order
    condition: str = ""
    checks: tuple[str, ...] = ()  #: values that may raise, and are evaluated first
    body: tuple[str, ...] = ()  #: the tasks whose states decide
    lists: tuple[str, ...] = ()  #: listings without which nobody knows what failed
    fail_items: bool = False  #: an expression that raises is one item's failure, not the listing's
    is_caught: bool = False  #: a handler is for its failure
    always: bool = False  #: a final region's listing: whatever cut off what it follows
    upstream: list[str] = field(default_factory=list)
    rule: str = ALL_SUCCESS
    bit: int = 0
    strong: int = 0  #: tasks whose failure keeps this one from succeeding


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the program a node stands."""

    groups: tuple[Group, ...] = ()
    gates: Gates = ()
    clauses: tuple[str, ...] = ()
    source: str = ""
    limit: int | None = None  #: iterations that may run at a time
    attempt: Attempt | None = None  #: the innermost guard's body, within a loop
    is_caught: bool = False  #: a handler is for what fails here


@dataclass(slots=True)
class Attempt:
    """The body of a guard within a loop: each item has a fate of its own."""

    is_handled: bool = False  #: by this guard or one around it, within the loop
    before: frozenset[str] = frozenset()  #: what the bodies around it did before
    failing: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)

    @property
    def seen(self) -> frozenset[str]:
        """All tasks that a listing has waited for, whatever became of them."""
        return self.before.union(self.tasks)


class Graph:
    """The tasks of a program, in the order of the source."""

    def __init__(self, program: Program) -> None:
        self.tasks: dict[str, Task] = {}
        self.writer = ExpressionWriter(program)
        self._exits: dict[str, tuple[str, ...]] = {}
        self._heads: dict[str, int] = {}
        self._refer = References(program)
        self._guards = frozenset(n.id for n in walk(program.body) if isinstance(n, Guard))
        values = (n for n in walk(program.body) if isinstance(n, Value))
        self._values = {node.id: node.is_checked for node in values}
        exits = self._region(program.body, Place(), ())
        self._end(program, exits)

    def sides(self) -> dict[tuple[str, str], list[str]]:
        """The tasks directly below each gate, by the side of it that they are on."""
        found: dict[tuple[str, str], list[str]] = {}
        for task in self.tasks.values():
            for gate in task.gates:
                if gate[0] in task.upstream:
                    found.setdefault(gate, []).append(task.id)
        return found

    # ------------------------------------------------------------------ regions

    def _region(
        self, nodes: Sequence[Node], place: Place, before: Sequence[str]
    ) -> tuple[str, ...]:
        """Add the tasks of a region; return those that tell how the region ended."""
        for node in nodes:
            needed = [*before, *(task for name in node.after for task in self._exits.get(name, ()))]
            self._exits[node.id] = self._node(node, place, needed)
        return tuple(dict.fromkeys(self._open(nodes)))

    def checks(self, node: Node) -> tuple[str, ...]:
        """The values that a node evaluates for their failure, before it does anything."""
        return tuple(name for name in node.after if self._values.get(name) is False)

    def _open(self, nodes: Sequence[Node]) -> Iterator[str]:
        """The tasks whose failure no later node of the region would show."""
        later = 0
        found: list[tuple[str, ...]] = []
        for node in reversed(nodes):
            exits = self._exits[node.id]
            found.append(tuple(task for task in exits if not self.tasks[task].bit & later))
            later |= self._heads.get(node.id, 0)
        for exits in reversed(found):
            yield from exits

    def _node(self, node: Node, place: Place, before: Sequence[str]) -> tuple[str, ...]:
        match node:
            case Call() | Fail():
                return self._single(node, place, before)
            case Value():
                return self._single(node, place, before) if node.is_checked else ()
            case Branch() if has_tasks((node,)):
                return (self._filter if place.source else self._branch)(node, place, before)
            case Branch():
                return ()
            case Loop():
                return self._loop(node, place, before) if has_tasks((node,)) else ()
            case Guard():
                return self._guard(node, place, before) if has_tasks((node,)) else ()
            case Group():
                inner = replace(place, groups=(*place.groups, node))
                exits = self._region(node.body, inner, before)
                self._heads[node.id] = self._union(node.body)
                return exits
        raise TypeError(f"not a node: {node!r}")

    def _single(
        self, node: Call | Fail | Value, place: Place, before: Sequence[str]
    ) -> tuple[str, ...]:
        """Add the one task of a step, an exception or a value that is checked."""
        wanted = [*before, *self._references(node)]
        if (attempt := place.attempt) is not None:
            place = self._stage(node, place)
            wanted = [task for task in wanted if task not in attempt.seen]
        kind = {Call: "step", Fail: "raise", Value: "check"}[type(node)]
        task = Task(node.id, kind, node, place.groups, place.gates, place.clauses, place.source)
        task.limit, task.is_caught = place.limit, place.is_caught
        task.checks = (node.id,) if isinstance(node, Value) else self.checks(node)
        self._add(task, [*wanted, *([place.source] if place.source else [])])
        self._tried(place, node.id, node.id)
        self._heads[node.id] = task.bit | task.strong
        return (node.id,)

    def _loop(self, loop: Loop, place: Place, before: Sequence[str]) -> tuple[str, ...]:
        where = [self.writer.text(condition) for condition in loop.conditions]
        items = f"for {self.writer.target(loop.target)} in {self.writer.text(loop.items)}"
        named = (f"named {text}" for text in source_names(loop))
        clauses = (*place.clauses, items, *(f"where {text}" for text in where), *named)
        source = self._listing(
            loop.id,
            loop,
            place,
            clauses,
            [*before, *self._references(loop)],
        )
        source.checks = self.checks(loop)
        limits = filter(None, (place.limit, loop.max_parallel))
        limit = min(limits, default=None)
        inner = replace(place, clauses=clauses, source=source.id, limit=limit)
        self._tried(place, loop.id, source.id)
        exits = self._region(loop.body, inner, before)
        self._heads[loop.id] = source.bit | source.strong | self._union(loop.body)
        return exits or (source.id,)

    def _branch(self, branch: Branch, place: Place, before: Sequence[str]) -> tuple[str, ...]:
        """A branch outside loops: a gate that skips one side."""
        condition = self.writer.text(branch.condition)
        gate = Task(branch.id, "branch", branch, place.groups, place.gates, condition=condition)
        gate.checks, gate.is_caught = self.checks(branch), place.is_caught
        self._add(gate, [*before, *self._references(branch)])
        self._heads[branch.id] = gate.bit | gate.strong
        exits: list[str] = []
        for side, nodes in (("then", branch.then), ("otherwise", branch.otherwise)):
            inner = replace(place, gates=(*place.gates, (gate.id, side)))
            exits += self._region(nodes, inner, ())
        return tuple(exits) or (gate.id,)

    def _filter(self, branch: Branch, place: Place, before: Sequence[str]) -> tuple[str, ...]:
        """A branch within a loop: each side runs for its own list of items."""
        wanted = [*before, *self._references(branch)]
        condition = self.writer.text(branch.condition)
        exits: list[str] = []
        self._heads[branch.id] = 0
        for side, nodes in branch.parts():
            if not has_tasks(nodes):
                continue
            text = f"if {condition}" if side == "then" else f"if not ({condition})"
            name = branch.id if side == "then" else f"{branch.id}-else"
            clauses = (*place.clauses, text)
            source = self._listing(name, branch, place, clauses, wanted)
            source.checks = self.checks(branch)
            self._heads[branch.id] |= source.bit | source.strong
            self._tried(place, branch.id, source.id)
            inner = replace(place, clauses=clauses, source=source.id)
            exits += self._region(nodes, inner, ()) or (source.id,)
        return tuple(exits)

    # ------------------------------------------------------------------ guards

    def _guard(self, guard: Guard, place: Place, before: Sequence[str]) -> tuple[str, ...]:
        first = len(self.tasks)
        place = self._stage(guard, place)
        is_caught = place.is_caught or guard.handler is not None
        inside = replace(place, attempt=_attempt(guard, place), is_caught=is_caught)
        exits = list(self._region(guard.body, inside, before))
        # A handler hides what fails in the body, but not that the body was not reached.
        shown = [self.tasks[name] for name in before] if guard.body else []
        self._heads[guard.id] = _union_of(task.bit | task.strong for task in shown)
        if guard.handler is None:
            self._heads[guard.id] |= self._union(guard.body)
        if guard.handler is not None:
            failing = failing_nodes(guard.body)
            gate, handling = self._gate(guard, "except", place, self._since(first), failing)
            exits = [gate, *self._region(guard.handler, handling, ())]
        if guard.final:
            ended = failing_nodes(guard.body)
            gate, ending = self._gate(guard, "finally", place, self._since(first), ended)
            exits += [gate, *self._region(guard.final, ending, [gate])]
        if place.attempt is not None:
            place.attempt.tasks += self._since(first)
            place.attempt.failing += failing_nodes((guard,))
        return tuple(exits)

    def _gate(
        self, guard: Guard, kind: str, place: Place, over: list[str], failing: tuple[str, ...]
    ) -> tuple[str, Place]:
        """The task that starts a handler or a final region, and the place of that region."""
        name = f"{guard.id}-{kind}"
        task = Task(name, kind, guard, place.groups, place.gates, body=failing)
        task.rule, task.is_caught = ALL_DONE, place.is_caught
        if kind == "except" and guard.checks and not place.source:
            task.kind = "handle"
            task.condition = self.writer.failure(guard.changed(body=()))
        skips = ((name, "then"),) if kind == "except" else ()
        inner = replace(place, gates=(*place.gates, *skips))
        if place.source:
            listed = f"if {self.writer.failure(guard)}" if kind == "except" else ""
            task.kind, task.clauses = "items_after", (*place.clauses, *([listed] if listed else []))
            task.always = kind == "finally"
            task.lists = self._unproved([place.source, *(over if kind == "except" else ())])
            task.fail_items = place.attempt is not None and place.attempt.is_handled
            inner = replace(place, clauses=task.clauses, source=name)
            over = [place.source, *over]
        values = self._tasks(self._refer.of_values(guard.checks)) if kind == "except" else []
        self._add(task, self._last([*over, *(name for name in values if name not in over)]))
        return name, inner

    def _since(self, first: int) -> list[str]:
        return list(self.tasks)[first:]

    def _last(self, names: Sequence[str]) -> list[str]:
        """Those of the tasks that are not surely over when another one of them is."""
        inside = set(names)
        passed = set()
        for name in names:
            above = self.tasks[name].upstream
            # What maps over items may go on while others of these still run.
            if len(above) == 1 and not self.tasks[above[0]].source:
                passed.add(above[0])
        for name in names:
            task = self.tasks[name]
            if task.rule == ALL_DONE:  # the gate of a guard waits for all that is above it
                passed.update(task.upstream)
            passed.add(task.source)  # a mapped task expands only when its list is there
        return [name for name in names if name not in passed & inside]

    def _unproved(self, names: Sequence[str]) -> tuple[str, ...]:
        """The listings among these tasks, without those that another one cannot do without.

        An item's failure fails no listing that is within a handled body. One that has failed
        nevertheless was killed, or was not reached: that is nothing that a handler is for.
        """
        listings = ("items", "items_after")
        found = [self.tasks[name] for name in names if self.tasks[name].kind in listings]
        proved = {name for task in found for name in task.lists}
        proved.update(name for task in found if task.rule != ALL_DONE for name in task.upstream)
        return tuple(task.id for task in found if task.id not in proved)

    def _stage(self, node: Node, place: Place) -> Place:
        """A list of the items that nothing has failed for so far, for a later node of a body."""
        if place.attempt is None or not place.attempt.tasks:
            return place
        clauses = (*place.clauses, _not_failed(place.attempt.failing))
        source = self._listing(f"{node.id}-items", node, place, clauses, ())
        return replace(place, clauses=clauses, source=source.id)

    def _tried(self, place: Place, node: str, task: str) -> None:
        if place.attempt is not None:
            place.attempt.failing.append(node)
            place.attempt.tasks.append(task)

    # ------------------------------------------------------------------ tasks and edges

    def _listing(
        self, name: str, node: Node, place: Place, clauses: tuple[str, ...], wanted: Sequence[str]
    ) -> Task:
        """A task that lists the items to go over."""
        task = Task(name, "items", node, place.groups, place.gates, clauses)
        task.is_caught = place.is_caught
        wanted = [*wanted, *([place.source] if place.source else [])]
        if place.attempt is not None:
            task.fail_items = place.attempt.is_handled
            wanted = [name for name in wanted if name not in place.attempt.before]
        if place.attempt is not None and place.attempt.tasks:
            task.kind, task.rule = "items_after", ALL_DONE
            task.body = tuple(place.attempt.failing)
            task.lists = self._unproved([place.source, *place.attempt.tasks])
            still = _not_failed(place.attempt.failing)
            if still not in clauses:
                task.clauses = (*place.clauses, still, *clauses[len(place.clauses) :])
            wanted = self._last([*wanted, *place.attempt.tasks])
        self._add(task, wanted)
        return task

    def _end(self, program: Program, exits: tuple[str, ...]) -> None:
        """The task that records what the pipeline returns, and that the run is over."""
        result = program.result
        wanted = list(exits)
        for value in result.values:
            wanted += self._tasks(self._refer.of(value))
        wanted += self._tasks(self._refer.of_values(result.after))
        self._add(Task(RETURN, "outputs", None, checks=result.after), wanted)

    def _add(self, task: Task, wanted: Iterable[str]) -> None:
        task.bit = 1 << len(self.tasks)
        gates = [gate for gate, _ in task.gates]
        wanted = [name for name in dict.fromkeys(wanted) if name != task.id]
        if task.rule == ALL_DONE:
            task.upstream = [*wanted, *(gate for gate in gates if gate not in wanted)]
        else:
            self._connect(task, wanted, gates)
        self.tasks[task.id] = task

    def _connect(self, task: Task, wanted: list[str], gates: list[str]) -> None:
        kept = self._reduced(task, wanted)
        if any(self._may_skip(self.tasks[name], task) for name in kept):
            task.rule = NONE_FAILED
            kept += [gate for gate in gates if gate not in kept]
        elif gates and not any(self.tasks[name].gates == task.gates for name in kept):
            kept += [gates[-1]] if gates[-1] not in kept else []
        task.upstream = kept
        for name in kept:
            task.strong |= self._implied(self.tasks[name], task)

    def _reduced(self, task: Task, wanted: list[str]) -> list[str]:
        """The wanted tasks without those that another one of them stands for."""
        implied = 0
        for gate, _ in task.gates:
            above = self.tasks[gate]
            implied |= above.strong if above.rule != ALL_DONE else 0
        for name in wanted:
            implied |= self._implied(self.tasks[name], task) & ~self.tasks[name].bit
        return [name for name in wanted if not self.tasks[name].bit & implied]

    def _implied(self, above: Task, task: Task) -> int:
        """The tasks that must have gone well if ``above`` did not fail and ``task`` may run."""
        own = above.bit
        while not _encloses(above.gates, task.gates):
            gate = self.tasks[above.gates[-1][0]]
            own |= gate.bit
            above = gate
        return own | (above.strong if above.rule != ALL_DONE else 0)

    def _may_skip(self, above: Task, task: Task) -> bool:
        """Whether a task that feeds another may be skipped although that one is to run."""
        if not _encloses(above.gates, task.gates):
            return True
        return bool(above.source) and above.source != task.source

    def _references(self, node: Node) -> list[str]:
        return self._tasks(self._refer.of_node(node))

    def _tasks(self, nodes: Iterable[str]) -> list[str]:
        names: list[str] = []
        for name in nodes:
            # A guard of a loop that has no tasks has none, and was never added.
            names += self._exits.get(name, ()) if name in self._guards else [name]
        return names

    def _union(self, nodes: Sequence[Node]) -> int:
        return _union_of(self._heads.get(node.id, 0) for node in nodes)


def _attempt(guard: Guard, place: Place) -> Attempt | None:
    """The body of a guard, where it is within a loop."""
    if not place.source:
        return None
    outer = place.attempt
    is_handled = guard.handler is not None or (outer is not None and outer.is_handled)
    return Attempt(is_handled, outer.seen if outer is not None else frozenset())


def _union_of(sets: Iterable[int]) -> int:
    """The union of sets of tasks, each a number with a bit for each task."""
    union = 0
    for one in sets:
        union |= one
    return union


def _encloses(outer: Gates, inner: Gates) -> bool:
    return inner[: len(outer)] == outer


def _not_failed(nodes: Sequence[str]) -> str:
    return f"if not failed({', '.join(map(repr, dict.fromkeys(nodes)))})"
