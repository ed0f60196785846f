"""What is at hand while one pipeline function is lowered."""

from __future__ import annotations

import ast
import keyword
from contextlib import contextmanager

from levada.operations import RESERVED

from ..slotted import replace
from . import advice, evaluation, flow
from .values import Binding, ListContent, ListRef, Scope, Unusable, Value, elements, joined, poison

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from ..diagnostics.diagnostic import Span
    from ..diagnostics.reports import Reports
    from ..front import modules as m
    from ..front.declare import Declarations
    from ..program.ir import Expr, Node

#: How many nodes and unrolled iterations one pipeline may have.
MAX_NODES: Final = 20_000
#: How many parts one expression may have.
MAX_PARTS: Final = 20_000
#: How deep an expression may be nested: a name that a hundred branches in a row may change.
MAX_DEPTH: Final = 100


class TooLargeError(Exception):
    """The pipeline has grown past its limits; it has been reported."""


class Names:
    """Gives out identifiers that are unique in the program."""

    def __init__(self) -> None:
        self._taken: set[str] = set(RESERVED)
        self._next: dict[str, int] = {}

    def unique(self, name: str, prefix: str = "") -> str:
        """``name``, or ``name_2``, ``name_3``… if it is taken."""
        candidate = prefix + name
        count = self._next.get(candidate, 0 if keyword.iskeyword(name) else 1)
        while candidate in self._taken or keyword.iskeyword(candidate.rpartition(".")[2]):
            count += 1
            candidate = f"{prefix}{name}_{count}"
        self._next[prefix + name] = count
        self._taken.add(candidate)
        return candidate


class Building:
    """What all frames of one program share."""

    def __init__(self, modules: m.Modules, declarations: Declarations, reports: Reports) -> None:
        self.modules = modules
        self.declarations = declarations
        self.reports = reports
        self.names = Names()
        self.emitted = 0  #: nodes so far: a clock for what happened before what
        self.spent = 0  #: nodes and unrolled iterations
        self.cells = 0
        self.numbers: frozenset[str] = frozenset()  #: parameters of the run that are numbers
        self.settled: dict[int, Expr] = {}  #: by id what is computed at its place already
        self.active: list[m.Function] = []  #: the pipelines that are being inlined


class Frame:
    """One pipeline function under way: its names, and the region that nodes go to."""

    def __init__(
        self, building: Building, function: m.Function, prefix: str = "", depth: int = 0
    ) -> None:
        self.building = building
        #: Whether a handler of this pipeline, or of one around it, could handle what is raised.
        around = dict.fromkeys((*building.active, function))
        self.handles = any(evaluation.has_handler(each.node) for each in around)
        self.function = function
        self.module = function.module
        self.prefix = prefix
        self.depth = depth  #: of run-time loops
        self.scope = Scope()
        self.region: list[Node] = []
        self.barrier: tuple[str, ...] = ()
        self.locals = local_names(function.node)
        self.used: set[str] = set()
        self.target: str | None = None  #: the name that the value under way will have
        #: The f-string under way: Python 3.11 does not know the places within it, so that no
        #: version tells them apart.
        self.fstring: ast.JoinedStr | None = None
        self._comprehension_names: list[dict[str, Binding | None]] = []

    @property
    def reports(self) -> Reports:
        """Where diagnostics go."""
        return self.building.reports

    def span(self, node: ast.AST) -> Span:
        """The range of a node of this pipeline."""
        return self.module.source.span(self.fstring or node)

    def text(self, node: ast.AST) -> str:
        """The source of an expression."""
        return ast.unparse(node) if self.fstring else self.module.source.segment(node)

    # -- nodes

    def new_id(self, name: str) -> str:
        """An id for a node."""
        return self.building.names.unique(name, self.prefix)

    def new_variable(self, name: str) -> str:
        """A name for a loop variable."""
        return self.building.names.unique(name)

    def emit(self, node: Node) -> None:
        """Add a node to the region."""
        self.building.emitted += 1
        self.region.append(node)
        self.spend(node.span)

    def spend(self, span: Span) -> None:
        """Count one node or iteration. Raises TooLargeError past the limit."""
        self.building.spent += 1
        if self.building.spent > MAX_NODES:
            message = f"this pipeline has more than {MAX_NODES:,} nodes and unrolled iterations"
            self.reports.error(
                "pipeline-too-large",
                span,
                message,
                help="make the loop's items a parameter, so that it fans out when it runs",
            )
            raise TooLargeError

    def bounded(self, value: Value, span: Span) -> Value:
        """``value``. Raises TooLargeError if its expression has grown past the limits."""
        if value.size.parts > MAX_PARTS or value.size.depth > MAX_DEPTH:
            self.reports.error(
                "pipeline-too-large",
                span,
                "this value depends on too much: it is made of too many decisions and parts",
                help="pass it through a step after a few decisions: what a step gives is one part",
            )
            raise TooLargeError
        return value

    @contextmanager
    def inner_region(self) -> Iterator[list[Node]]:
        """Nodes go to a new region within the block; barriers end with it."""
        outer, barrier = self.region, self.barrier
        self.region, self.barrier = [], ()
        try:
            yield self.region
        finally:
            self.region, self.barrier = outer, barrier

    # -- names

    def bind(self, name: str, binding: Binding) -> None:
        """Give a name a value."""
        if isinstance(binding, Value) and binding.cell is not None:
            binding = ListRef(binding.cell)
        elif isinstance(binding, Value) and binding.fresh and not binding.poisoned:
            binding = self.new_list(self.scope, binding)
        self.scope.names[name] = binding
        self.scope.when.setdefault(name, self.building.emitted)

    def new_list(self, scope: Scope, value: Value) -> ListRef:
        """A list that may be appended to."""
        self.building.cells += 1
        parts = (replace(value, fresh=False),) if value.parts != () else ()
        scope.lists[self.building.cells] = ListContent(self.depth, (parts,))
        return ListRef(self.building.cells)

    def read(self, node: ast.Name) -> Value:
        """The value of a local name, or poison after a diagnostic."""
        binding = self.scope.names.get(node.id)
        self.used.add(node.id)
        span = self.span(node)
        if isinstance(binding, ListRef):
            return self.read_list(node.id, binding.cell, span)
        if isinstance(binding, Value):
            return binding
        if isinstance(binding, Unusable):
            self.report(binding, span)
        else:
            self._report_unassigned(node, span)
        value = poison(span)
        if node.id in self.locals:
            self.scope.names[node.id] = value
        return value

    def report(self, binding: Unusable, span: Span) -> None:
        """Say why a name cannot be used at ``span``."""
        from ..diagnostics.diagnostic import Label

        labels = (Label(binding.span, binding.label),) if binding.span else ()
        self.reports.error(binding.rule, span, binding.message, labels=labels, help=binding.help)

    def _report_unassigned(self, node: ast.Name, span: Span) -> None:
        first = self.locals.get(node.id)
        if first is None:
            advice.report_undefined(self, node)
            return
        from ..diagnostics.diagnostic import Label

        self.reports.error(
            "undefined-name",
            span,
            f"`{node.id}` is used before it is assigned",
            labels=(Label(self.span(first), f"`{node.id}` is assigned here"),),
            help="move the assignment up; a name that a function assigns is local to it",
        )

    def read_list(self, name: str, cell: int, span: Span) -> Value:
        """What an accumulator holds here."""
        held = self.scope.lists[cell]
        if held.broken is not None:
            self.report(held.broken, span)
            return poison(span)
        if held.is_partial:
            self.reports.error(
                "loop-carried",
                span,
                f"`{name}` is still being filled by the loop here",
                help="iterations run at the same time: use the list after the loop",
            )
            return poison(span)
        if self.depth > held.depth:
            held = replace(held, read_depth=max(held.read_depth, self.depth), read_span=span)
            self.scope.lists[cell] = held
        return replace(joined(held.frames[0], span), cell=cell)

    def share(self, value: Value, span: Span) -> None:
        """A list is stored within another value: appending to it later would change both."""
        if value.cell is not None:
            held = self.scope.lists[value.cell]
            self.scope.lists[value.cell] = replace(held, shared=held.shared or span)

    def merge(
        self,
        choose: Callable[[Value, Value], Value],
        where: Span,
        ways: tuple[str, str],
    ) -> flow.Merge:
        """What joins the scopes of two ways."""
        return flow.Merge(choose, self.new_list, where, ways)

    def items_of(self, value: Value, span: Span) -> tuple[Value, ...] | None:
        """The items of a value of known length."""
        return elements(value, span)


def local_names(function: m.FunctionNode) -> dict[str, ast.AST]:
    """The names that are local to a function, with the place of their first binding."""
    found: dict[str, ast.AST] = {}
    arguments = function.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        found[argument.arg] = argument
    stack: list[ast.AST] = list(reversed(function.body))
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store | ast.Del):
                found.setdefault(node.id, node)
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.setdefault(node.name, node)
            continue
        if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp):
            continue
        if isinstance(node, ast.GeneratorExp):
            continue
        if isinstance(node, ast.ExceptHandler) and node.name:
            found.setdefault(node.name, node)
        stack.extend(reversed(list(ast.iter_child_nodes(node))))
    return found
