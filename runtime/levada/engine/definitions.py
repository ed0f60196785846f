"""A plan, read once: its nodes with what each of them waits for.

A *definition* is a node of the plan; while a run goes on it has an instance for each iteration of
the loops around it. What a definition waits for is known before the run: pairs of a node and a
number of loops; the instance of that node in the same iteration of that many outer loops.
"""

from __future__ import annotations

from .references import references, variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from levada.plan_types import CallNode, Node, Plan


def regions(form: Node) -> dict[str, list[Node] | None]:
    """Return the regions of a node by their names, in program order; None for one left out."""
    if form["kind"] == "branch":
        return {"then": form["then"], "otherwise": form["otherwise"]}
    if form["kind"] == "guard":
        return {"body": form["body"], "handler": form["handler"], "final": form["final"]}
    if form["kind"] == "loop" or form["kind"] == "group":
        return {"body": form["body"]}
    return {}


def calls(body: list[Node]) -> Iterator[CallNode]:
    """Yield the forms of the calls in a region of a plan, at any depth."""
    pending = [*body]
    while pending:
        form = pending.pop()
        if form["kind"] == "call":
            yield form
        for region in regions(form).values():
            pending += region or ()


class Definition:
    """A node of a plan."""

    __slots__ = (
        "form",
        "id",
        "kind",
        "loops",
        "ordinal",
        "region",
        "regions",
        "variables",
        "waits",
    )

    def __init__(self, form: Node, ordinal: int, region: Region) -> None:
        self.form = form
        self.kind: str = form["kind"]
        self.id: str = form["id"]
        self.ordinal = ordinal
        self.region = region
        owner = region.owner
        #: the names that a loop binds
        self.variables = variables(form["target"]) if form["kind"] == "loop" else ()
        self.loops: tuple[Definition, ...] = () if owner is None else owner.inner_loops
        self.regions: dict[str, Region] = {}
        self.waits: tuple[tuple[str, int], ...] = ()

    @property
    def inner_loops(self) -> tuple[Definition, ...]:
        """The loops around what is in this node."""
        return (*self.loops, self) if self.kind == "loop" else self.loops

    @property
    def depth(self) -> int:
        """How many loops are around it: the length of the map index of its instances."""
        return len(self.loops)

    def texts(self) -> Iterator[str]:
        """The node's own expressions; of a named value that is its name."""
        form = self.form
        if form["kind"] == "call":
            yield from form["inputs"].values()
        elif form["kind"] == "fail":
            yield from form["arguments"]
        elif form["kind"] == "branch":
            yield form["condition"]
        elif form["kind"] == "loop":
            yield form["items"]
            yield from form["where"]

    def descendants(self) -> Iterator[Definition]:
        """All that is in this node, at any depth."""
        for region in self.regions.values():
            for node in region.nodes:
                yield node
                yield from node.descendants()

    def awaitable(self) -> Iterator[Definition]:
        """The nodes inside that nodes outside wait for one by one.

        What is in a loop or a guard is awaited as a whole.
        """
        if self.kind in ("branch", "group"):
            for region in self.regions.values():
                yield from region.awaitable()


class Region:
    """A list of nodes that run in one scope: ``slot`` is its name in the node that owns it."""

    __slots__ = ("nodes", "owner", "slot")

    def __init__(self, slot: str, owner: Definition | None) -> None:
        self.slot = slot
        self.owner = owner
        self.nodes: tuple[Definition, ...] = ()

    def awaitable(self) -> Iterator[Definition]:
        """The nodes of the region, with those inside that are awaited one by one."""
        for node in self.nodes:
            yield node
            yield from node.awaitable()


class Definitions:
    """All nodes of a plan, by id, and the region at the top."""

    def __init__(self, plan: Plan) -> None:
        self.by_id: dict[str, Definition] = {}
        self.texts: dict[str, str] = plan.get("definitions") or {}
        self.root = self._region("root", None, plan["body"])
        for definition in self.by_id.values():
            definition.waits = tuple(self._waits(definition))

    def dependents(self, first: Definition) -> Iterator[Definition]:
        """Yield what depends on a node, directly or not, with all that is in such nodes."""
        changed = {first.id, *(inner.id for inner in first.descendants())}
        found: dict[str, Definition] = {}
        is_growing = True
        while is_growing:
            is_growing = False
            for node in self.by_id.values():
                if node.id not in changed and any(
                    self._is_of(name.removesuffix("?"), changed) for name, _ in node.waits
                ):
                    new = {each.id: each for each in (node, *node.descendants())}
                    changed.update(new)
                    found |= new
                    is_growing = True
        yield from found.values()

    def _is_of(self, name: str, changed: set[str]) -> bool:
        """Whether a node, or anything in it, is one of those."""
        node = self.by_id[name]
        return name in changed or any(inner.id in changed for inner in node.descendants())

    def _region(self, slot: str, owner: Definition | None, forms: list[Node]) -> Region:
        region = Region(slot, owner)
        forms_of = enumerate(forms)
        region.nodes = tuple(self._define(form, ordinal, region) for ordinal, form in forms_of)
        return region

    def _define(self, form: Node, ordinal: int, region: Region) -> Definition:
        definition = Definition(form, ordinal, region)
        self.by_id[definition.id] = definition
        for slot, forms in regions(form).items():
            if forms is not None:
                definition.regions[slot] = self._region(slot, definition, forms)
        return definition

    def _waits(self, definition: Definition) -> Iterator[tuple[str, int]]:
        wanted = dict.fromkeys(self._wanted(definition))
        if definition.kind == "guard":
            # A guard starts when all that it needs from outside is there: what its `final` is
            # given is then known, whatever happens in its body.
            for inner in definition.descendants():
                wanted.update(dict.fromkeys(self._wanted(inner)))
        found: dict[tuple[str, int], None] = {}
        for name, is_whole in wanted:
            named = self.by_id[name]
            target = self._target(definition, named)
            if target is not None:
                asks = target is named and named.kind == "branch" and not is_whole
                found[decision(target.id) if asks else target.id, target.depth] = None
        yield from found

    def _wanted(self, definition: Definition) -> Iterator[tuple[str, bool]]:
        """The nodes that a node waits for, and whether they have to be over as a whole.

        An expression that names a branch needs no more of it than its decision.
        """
        bound = {name for loop in definition.inner_loops for name in loop.variables}
        texts = list(definition.texts())
        if definition.id in self.texts and definition.kind == "value":
            texts.append(self.texts[definition.id])
        for text in texts:
            for name in references(text, self.by_id, bound):
                yield name, False
        for name in definition.form["after"]:
            yield name, True

    def _target(self, waiting: Definition, wanted: Definition) -> Definition | None:
        """What ``waiting`` has to wait for to have ``wanted``; None if it is in the same node."""
        around = set(_ancestry(waiting))
        path: list[Definition] = []
        for ancestor in _ancestry(wanted):
            if ancestor in around:
                # Common to both: what is wanted is in an earlier region of the same node, or
                # beside, if they share the region as well.
                if path and path[-1].region is _region_towards(waiting, ancestor):
                    break
                return None
            path.append(ancestor)
        return next((node for node in reversed(path) if node.kind in ("loop", "guard")), wanted)


def decision(branch: str) -> str:
    """The name under which the decision of a branch is waited for, apart from what follows it."""
    return f"{branch}?"


def _ancestry(definition: Definition) -> Iterator[Definition]:
    node: Definition | None = definition
    while node is not None:
        yield node
        node = node.region.owner


def _region_towards(definition: Definition, ancestor: Definition) -> Region | None:
    """The region of ``ancestor`` in which ``definition`` is."""
    for node in _ancestry(definition):
        if node.region.owner is ancestor:
            return node.region
    return None
