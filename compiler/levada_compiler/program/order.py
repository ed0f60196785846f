"""The order of side effects: what plain Python runs before what, as edges of the program.

A call whose result nobody uses is there for its *side effect*, and so is a ``raise``. It starts
when everything written before it has succeeded, and what is written after it starts when it has
succeeded. A branch, loop, guard or group that contains such a node counts as one as a whole. A
guard holds back what is written after it in any case. All other calls start when their data is
there.

This pass writes that order into :attr:`.ir.Node.after`, reduced to the edges that no other edge
or value implies.

It also settles who evaluates a named value that may raise. Python evaluates it where it is
assigned, an engine where it is used, which may be later or never. So a node with a side effect
has in ``after`` also the values before it that nothing is certain to have evaluated, and the
result those that are left. In front of a ``try`` such a value is *checked*, by a task of its own:
its failure is not one that the ``try`` handles.
"""

from __future__ import annotations

from ..slotted import dataclass, field, replace
from .ir import (
    BoolOp,
    Branch,
    Call,
    Collect,
    Compare,
    Comprehension,
    Conditional,
    Const,
    Fail,
    Group,
    Guard,
    Lambda,
    Loop,
    Output,
    Recover,
    Select,
    Setting,
    Use,
    Value,
    has_tasks,
    walk,
)
from .references import awaited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .ir import Expr, Node, Result, Step


@dataclass(slots=True)
class Hints:
    """What lowering knows of the nodes, by their ids.

    ``parallel`` has the ``with parallel():`` block that a node is in, ``barriers`` the nodes that
    hold back what follows them, since they end with ``after(…)``. Calls ``in_place`` have a place
    among side effects though their results are used: what they give depends on when they run.
    """

    parallel: dict[str, int] = field(default_factory=dict)
    barriers: set[str] = field(default_factory=set)
    in_place: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Region:
    """A region that is being ordered. Sets of its nodes are numbers with a bit for each."""

    owner: str
    nodes: list[Node] = field(default_factory=list)
    before: list[int] = field(default_factory=list)  #: what is over before each node starts
    certain: list[int] = field(default_factory=list)  #: the values evaluated with each value
    tasks: int = 0  #: the nodes that are not values
    barriers: int = 0  #: those that hold back what follows
    raising: int = 0  #: the values that may raise
    evaluated: int = 0  #: the values that a node of the region is certain to evaluate
    parallel: dict[int, int] = field(default_factory=dict)  #: the nodes of each such block


def ordered(
    body: Sequence[Node],
    result: Result,
    steps: Iterable[Step],
    hints: Hints,
    new_id: Callable[[str, str], str],
    *,
    cached: bool,
) -> tuple[tuple[Node, ...], Result]:
    """Return the body and the result with the order of side effects.

    Calls for their side effect, and those of steps that return None, get the setting
    ``cache=False`` unless their settings say something; ``cached`` tells that the pipeline's do.
    ``new_id`` gives the id of a new node from a name and the prefix of the group that it is in.
    """
    order = _Order(body, result, steps, hints, new_id, cached=cached)
    region = order.region(body, "", "")
    left = order.left(region, result.values)
    after = (*result.after, *(node.id for node in left))
    return order.finished(region.nodes), replace(result, after=after)


class _Order:
    def __init__(
        self,
        body: Sequence[Node],
        result: Result,
        steps: Iterable[Step],
        hints: Hints,
        new_id: Callable[[str, str], str],
        *,
        cached: bool,
    ) -> None:
        self._hints = hints
        self._new_id = new_id
        self._cached = cached
        self._steps = {step.key: step for step in steps}
        self._parents: dict[str, str] = {}
        self._indexes: dict[str, int] = {}  #: of the nodes that are in their region already
        self._values: dict[str, Value] = {}
        self._used: set[str] = set()
        self._effects: dict[str, bool] = {}
        self._checked: set[str] = set()
        self._note_uses(result.values)
        self._survey(body, "")

    def _survey(self, nodes: Iterable[Node], parent: str) -> None:
        for node in nodes:
            self._parents[node.id] = parent
            if isinstance(node, Value):
                self._values[node.id] = node
            self._note_uses(node.expressions())
            for region in node.regions():
                self._survey(region, node.id)

    def _note_uses(self, expressions: Iterable[Expr]) -> None:
        for expression in expressions:
            self._used.update(e.node for e in expression.walk() if isinstance(e, Output))

    # -- regions

    def region(self, nodes: Sequence[Node], owner: str, prefix: str) -> _Region:
        """Order the nodes of a region, and of the regions within them."""
        region = _Region(owner)
        for node in nodes:
            inner, checks = self._ordered_within(node, prefix)
            self._add(inner, region)
            for check in checks:
                self._parents[check.id] = owner
                self._values[check.id] = check
                self._add(check, region)
        return region

    def _add(self, node: Node, region: _Region) -> None:
        """Put a node at the end of a region, with what it has to wait for."""
        index = len(region.nodes)
        bit = 1 << index
        over, after = self._waits(node, region)
        self._indexes[node.id] = index
        region.before.append(over)
        own = bit | self._bits(node.expressions(), region) if isinstance(node, Value) else 0
        region.certain.append(own)
        region.evaluated |= self._evaluated(node, region) | (over & region.raising)
        region.nodes.append(self._cache_setting(node.changed(after=after)))
        if isinstance(node, Value):
            region.raising |= bit if node.raises else 0
        if not has_tasks((node,)):
            return
        region.tasks |= bit
        if (label := self._hints.parallel.get(node.id)) is not None:
            region.parallel[label] = region.parallel.get(label, 0) | bit
        held = isinstance(node, Guard) or node.id in self._hints.barriers
        region.barriers |= bit if held or self.has_effect(node) else 0

    def _waits(self, node: Node, region: _Region) -> tuple[int, tuple[str, ...]]:
        """Return what is over before the node starts, and the ids that have to be in ``after``."""
        over = self._needs(node, region)
        elsewhere, wanted = [], 0
        for name in self._awaited(node.after):
            at, is_whole = self._place(name, region)
            if is_whole:
                wanted |= 1 << at
            else:
                elsewhere.append(name)
                over |= region.before[at] if at >= 0 else 0
        if not has_tasks((node,)):
            return over, tuple(elsewhere)
        if isinstance(node, Guard):
            own, others = self._raising_within(node, region)
            wanted |= own
            elsewhere += others
        beside = region.parallel.get(self._hints.parallel.get(node.id, -1), 0)
        wanted |= region.barriers & ~beside
        if self.has_effect(node):
            wanted |= (region.tasks | region.raising) & ~beside
        added: list[int] = []
        while missing := wanted & ~over:
            latest = missing.bit_length() - 1
            added.append(latest)
            over |= 1 << latest | region.before[latest]
        names = [region.nodes[at].id for at in reversed(added)]
        if isinstance(node, Guard):
            self._checked.update(name for name in names if name in self._values)
        return over, (*elsewhere, *names)

    def _awaited(self, names: Iterable[str]) -> list[str]:
        """Return what has to be over: for a value that raises nothing, what it is made of."""
        found: list[str] = []
        for name in names:
            value = self._values.get(name)
            is_over = value is None or value.raises
            found += [name] if is_over else self._awaited(awaited(self._values[name].value))
        return list(dict.fromkeys(found))

    def _needs(self, node: Node, region: _Region) -> int:
        """Return what is over when all that the node's expressions refer to is there."""
        over = self._bits(node.expressions(), region) if has_tasks((node,)) else 0
        for name, is_whole in _references(node.expressions()):
            at, is_own = self._place(name, region)
            if at >= 0:
                over |= region.before[at]
                is_over = is_own or _is_only_task(name, region.nodes[at])
                is_run = has_tasks((region.nodes[at],))
                over |= 1 << at if is_whole and is_over and is_run else 0
        return over

    def _raising_within(self, guard: Guard, region: _Region) -> tuple[int, list[str]]:
        """Return the values that may raise and that the body of a guard uses, from outside of it.

        Python has evaluated them before: their failure is not one of the body. Those of the region
        are told by their bits, those of the regions around it by their ids.
        """
        own, others, seen = 0, [], {each.id for each in guard.walk()}
        around = set(self._around(region.owner))
        stack = [expr for each in walk(guard.body) for expr in each.expressions()]
        while stack:
            for use in stack.pop().walk():
                name = use.value if isinstance(use, Use) else ""
                if not name or name in seen:
                    continue
                seen.add(name)
                value = self._values[name]
                stack.append(value.value)
                at, is_own = self._place(name, region)
                if value.raises and is_own:
                    own |= 1 << at
                elif value.raises and at < 0 and self._parents[name] in around:
                    others.append(name)
                    self._checked.add(name)
        return own, others

    def _around(self, owner: str) -> Iterator[str]:
        """Yield the owner of a region, and those of the regions around it."""
        yield owner
        while owner:
            owner = self._parents[owner]
            yield owner

    def _place(self, name: str, region: _Region) -> tuple[int, bool]:
        """Return the index of the node of a region that a node is, or is in, and which it is.

        The index is -1 for a node that is not in the region. What is in another region of the same
        owner is not: a `finally` may use what the body of its `try` made.
        """
        inner = name
        while name and self._parents[name] != region.owner:
            name = self._parents[name]
        at = self._indexes.get(name, -1)
        if not 0 <= at < len(region.nodes) or region.nodes[at].id != name:
            return -1, False
        return at, name == inner

    # -- what is in a node

    def _ordered_within(self, node: Node, prefix: str) -> tuple[Node, list[Value]]:
        """Order the regions of a node; also return its values that something has to evaluate."""
        inside = f"{node.id}." if isinstance(node, Group) else prefix
        regions: dict[str, tuple[Node, ...] | None] = {}
        kept: tuple[str, ...] = ()
        checks: list[Value] = []
        for name, nodes in node.parts():
            region = self.region(nodes, node.id, inside)
            regions[name] = tuple(region.nodes)
            left = self.left(region)
            if isinstance(node, Guard) and name == "body" and node.handler is not None:
                kept = tuple(value.id for value in left)
            else:
                checks += [self._check(_reached(node, name, value), prefix) for value in left]
        if not regions:
            return node, []
        if isinstance(node, Guard):
            handler = None if node.handler is None else regions["handler"]
            return node.changed(**(regions | {"handler": handler, "checks": kept})), checks
        return node.changed(**regions), checks

    def left(self, region: _Region, expressions: Iterable[Expr] = ()) -> list[Value]:
        """Return the values of a region that may raise and that nothing is certain to evaluate.

        ``expressions`` are evaluated when the region is over.
        """
        missing = region.raising & ~region.evaluated & ~self._bits(expressions, region)
        nodes = (node for at, node in enumerate(region.nodes) if missing >> at & 1)
        return [node for node in nodes if isinstance(node, Value)]

    def _check(self, value: Expr, prefix: str) -> Value:
        """Return a value that is evaluated for its failure only."""
        identity = self._new_id("check", prefix)
        return Value(identity, value, raises=True, is_checked=False, after=(), span=value.span)

    def has_effect(self, node: Node) -> bool:
        """Return whether a node is there for its side effect, or contains one that is."""
        if node.id not in self._effects:
            if isinstance(node, Call):
                found = node.id not in self._used or node.id in self._hints.in_place
            else:
                inner = (each for region in node.regions() for each in region)
                found = isinstance(node, Fail) or any(map(self.has_effect, inner))
            self._effects[node.id] = found
        return self._effects[node.id]

    # -- values that are evaluated for certain

    def _evaluated(self, node: Node, region: _Region) -> int:
        """Return the values of the region that the node, or a part of it, certainly evaluates."""
        if isinstance(node, Value):
            return 0
        inner = node.body if isinstance(node, Group) else ()
        return self._bits([e for each in (node, *inner) for e in each.expressions()], region)

    def _bits(self, expressions: Iterable[Expr], region: _Region) -> int:
        """Return the values of the region that are evaluated whenever these expressions are."""
        found, seen = 0, set()
        stack = [name for expression in expressions for name in _certain_uses(expression)]
        while stack:
            name = stack.pop()
            if name in seen:
                continue
            seen.add(name)
            at, is_own = self._place(name, region)
            if is_own:
                found |= region.certain[at]
            else:
                stack += _certain_uses(self._values[name].value)
        return found

    # -- the last touch

    def _cache_setting(self, node: Node) -> Node:
        """Return a call that must not be reused with the setting that says so."""
        if not isinstance(node, Call) or self._cached:
            return node
        step = self._steps[node.step]
        if node.id in self._used and step.returns.name != "None":
            return node
        if any(setting.name == "cache" for setting in (*node.settings, *step.settings)):
            return node
        own = (*node.settings, Setting("cache", "false", node.span))
        return replace(node, settings=tuple(sorted(own, key=lambda setting: setting.name)))

    def finished(self, nodes: Iterable[Node]) -> tuple[Node, ...]:
        """Return the nodes of a region with what is known only when the whole body is ordered."""
        return tuple(map(self._finished, [self._pushed(node) for node in nodes]))

    def _pushed(self, node: Node) -> Node:
        inner = self._evaluated_within(node)
        return _with_regions(inner, lambda nodes: tuple(map(self._pushed, nodes)))

    def _finished(self, node: Node) -> Node:
        if isinstance(node, Value):
            return node.changed(is_checked=True) if node.id in self._checked else node
        if isinstance(node, Guard):  # a value that has a task of its own fails as a node
            kept = tuple(name for name in node.checks if name not in self._checked)
            node = node.changed(checks=kept)
        return _with_regions(node, lambda nodes: tuple(map(self._finished, nodes)))

    def _evaluated_within(self, node: Node) -> Node:
        """Let nodes of a group evaluate what the group has to: it has no task of its own."""
        values = [name for name in node.after if name in self._values]
        if not values or not isinstance(node, Group):
            return node
        body, first = list(node.body), None
        for at, inner in enumerate(body):
            label = self._hints.parallel.get(inner.id, at)
            if not self.has_effect(inner) or (first is not None and label != first):
                continue
            first = label
            if isinstance(inner, Guard):
                self._checked.update(values)
            more = tuple(name for name in values if name not in inner.after)
            body[at] = inner.changed(after=(*more, *inner.after))
        kept = [name for name in node.after if name not in values]
        after = tuple(dict.fromkeys([*kept, *self._made_of(values)]))
        return node.changed(body=tuple(body), after=after)

    def _made_of(self, names: Iterable[str]) -> list[str]:
        """Return the nodes that run for values."""
        found: list[str] = []
        for name in names:
            value = self._values.get(name)
            found += [name] if value is None else self._made_of(awaited(value.value))
        return found


def _with_regions(node: Node, change: Callable[[tuple[Node, ...]], tuple[Node, ...]]) -> Node:
    """Return a node with its regions changed."""
    regions: dict[str, object] = {name: change(nodes) for name, nodes in node.parts()}
    if isinstance(node, Guard) and node.handler is None:
        regions["handler"] = None
    return node.changed(**regions) if regions else node


def _reached(node: Node, region: str, value: Value) -> Expr:
    """Return the value of a region as the region around the node has it; None if it has none."""
    use, none = Use(value.id, value.span), Const(None, value.span)
    match node:
        case Branch():
            then, otherwise = (use, none) if region == "then" else (none, use)
            return Select(node.id, then, otherwise, value.span)
        case Loop():
            return Collect(node.id, use, flatten=False, span=value.span)
        case Guard() if region == "handler":
            return Recover(node.id, none, use, value.span)
    return use


def _is_only_task(name: str, loop: Node) -> bool:
    """Return whether a loop has ended when this call in it has ended in all iterations."""
    if not isinstance(loop, Loop):
        return False
    return [node.id for node in loop.body if has_tasks((node,))] == [name]


def _references(expressions: Iterable[Expr]) -> Iterator[tuple[str, bool]]:
    """Yield the ids that expressions refer to, and whether the node must be over for them."""
    for expression in expressions:
        for each in expression.walk():
            match each:
                case Output(node=name) | Recover(guard=name):
                    yield name, True
                case Use(value=name) | Select(branch=name) | Collect(loop=name):
                    # What a loop gave may be there before all of its iterations have ended.
                    yield name, False


def _certain_uses(expression: Expr) -> Iterator[str]:
    """Yield the ids of the values that are evaluated whenever the expression is."""
    stack = [expression]
    while stack:
        each = stack.pop()
        match each:
            case Use(value=name):
                yield name
            case Conditional(test=test):
                stack.append(test)
            case BoolOp(operands=operands):
                stack.append(operands[0])
            case Compare(operands=operands):
                stack += operands[:2]
            case Comprehension(clauses=clauses):
                stack.append(clauses[0].items)
            case Select() | Recover() | Collect() | Lambda():
                continue
            case _:
                stack += each.children()
