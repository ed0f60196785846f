"""What is at hand while one pipeline function is lowered."""

from __future__ import annotations

import ast
import keyword
from contextlib import contextmanager

from levada import operations

from ..diagnostics.diagnostic import Label
from ..front import constants, undefined
from ..front import modules as m
from ..program.ir import (
    Attribute,
    Const,
    DictDisplay,
    Display,
    Error,
    Item,
    Member,
    Output,
    Param,
    Starred,
    Use,
    Value,
)
from ..program.order import Hints
from ..slotted import replace
from . import flow
from .values import (
    Accumulated,
    Contents,
    Lowered,
    Scope,
    Size,
    Unusable,
    display,
    elements,
    joined,
    poison,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from ..diagnostics.diagnostic import Span
    from ..diagnostics.reports import Reports
    from ..front.budget import CompilationBudget
    from ..front.declare import Declarations
    from ..program.ir import Expr, Node
    from .values import Binding

#: How many nodes and unrolled iterations the pipelines of one file may have.
MAX_NODES: Final = 20_000
#: How many parts one expression may have.
MAX_PARTS: Final = 20_000
#: How deep an expression may be nested.
MAX_DEPTH: Final = 100
#: The prices, in steps of a budget, of an item of a list that is copied, of a pair of a dict, of
#: an item of a constant that becomes an expression, and of a part of an expression of a node.
_COPIED: Final = 3
_PAIR: Final = 20
_MADE: Final = 6
_WRITTEN: Final = 6
#: So many characters of a text in the program cost a step.
_TEXT: Final = 20
#: A list, tuple or dict of no more parts is written out where it is used.
SMALL: Final = 8


class TooLargeError(Exception):
    """The pipeline has grown past its limits; it has been reported."""


class NeedsTaskError(Exception):
    """What is lowered as a value alone needs a task."""


class Names:
    """Gives out identifiers that are unique in the program."""

    def __init__(self) -> None:
        self._taken: set[str] = set(operations.RESERVED)
        self._next: dict[str, int] = {}
        self.claimed: dict[str, Span] = {}  #: what was named in the source, and where
        self.renamed: dict[str, str] = {}  #: loop variables that the source calls otherwise

    def claim(self, name: str, span: Span) -> bool:
        """Take ``name`` as it is; False if it is taken."""
        if name in self._taken:
            return False
        self._taken.add(name)
        self.claimed[name] = span
        return True

    def unique(self, name: str, prefix: str = "") -> str:
        """Return ``name``, or ``name_2``, ``name_3``… if it is taken."""
        candidate = prefix + name
        count = self._next.get(candidate, 0 if keyword.iskeyword(name) else 1)
        while candidate in self._taken or keyword.iskeyword(candidate.rpartition(".")[2]):
            count += 1
            candidate = f"{prefix}{name}_{count}"
        self._next[prefix + name] = count
        self._taken.add(candidate)
        return candidate

    def state(self) -> dict[str, object]:
        """Return what :meth:`restore` takes."""
        return {
            "_taken": set(self._taken),
            "_next": dict(self._next),
            "claimed": dict(self.claimed),
        }

    def restore(self, state: dict[str, object]) -> None:
        """Give back all identifiers that were given out since."""
        vars(self).update(state)

    def release(self, name: str) -> None:
        """Give back an identifier that nothing refers to."""
        self._taken.discard(name)
        base, _, number = name.rpartition("_")
        if number.isdecimal() and base in self._next:  # the next search begins before it
            self._next[base] = min(self._next[base], int(number) - 1)


class Building:
    """What all frames of one program share."""

    def __init__(
        self, modules: m.Modules, declarations: Declarations, reports: Reports, spent: int = 0
    ) -> None:
        self.modules = modules
        self.declarations = declarations
        self.reports = reports
        self.names = Names()
        self.hints = Hints()
        self.emitted = 0  #: nodes so far: a clock for what happened before what
        self.spent = (
            spent  #: nodes and unrolled iterations, with those of the file's pipelines before
        )
        self.spent_before = spent
        self.cells = 0
        self.blocks = 0  #: `with parallel():` blocks
        self.only_computes = False  #: whether what is lowered has to do without a task
        self.active: list[m.Function] = []  #: the functions that are being inlined
        #: values that stand on sides of decisions without tasks: the tests, the inner ones first
        self.sides: dict[str, list[tuple[Expr, bool]]] = {}


class Frame:
    """One function under way: its names, and the region that nodes go to."""

    def __init__(
        self, building: Building, function: m.Function, prefix: str = "", depth: int = 0
    ) -> None:
        self.building = building
        self.function = function
        self.module = function.module
        self.prefix = prefix
        self.depth = depth  #: of run-time loops
        self.scope = Scope()
        self.region: list[Node] = []
        self.barrier: tuple[str, ...] = ()
        self.parallel: int | None = None  #: the `with parallel():` block under way
        self.guards: tuple[str, ...] = ()  #: the handlers under way, by their guards
        self.loops: tuple[str, ...] = ()  #: the loops under way: `unrolled` or `fan-out`
        self.in_final = False  #: whether a `finally` is under way
        self.finals = 0  #: how many `finally` blocks still follow the statement
        self.loops_around_final = 0  #: so many loops are around it
        self.locals = local_names(function.node)
        self.used: set[str] = set()
        self.returns: list[ast.Return] = []
        self.target: str | None = None  #: the name that the value under way will have
        #: The f-string under way: Python 3.11 does not know the places within it, so that no
        #: version tells them apart.
        self.fstring: ast.JoinedStr | None = None
        self._ends_with_barrier = False

    @property
    def reports(self) -> Reports:
        """Where diagnostics go."""
        return self.building.reports

    def span(self, node: ast.AST) -> Span:
        """Return the range of a node of this function."""
        return self.module.source.span(self.fstring or node)

    def text(self, node: ast.AST) -> str:
        """Return the source of an expression."""
        return ast.unparse(node) if self.fstring else self.module.source.segment(node)

    @property
    def budget(self) -> CompilationBudget:
        """What is left for this compilation to spend."""
        return self.building.modules.budget

    # -- nodes

    def new_id(self, name: str) -> str:
        """Return an id for a node."""
        return self.building.names.unique(name, self.prefix)

    def release(self, identity: str) -> None:
        """Give back an id that no node has."""
        self.building.names.release(identity)

    def new_variable(self, name: str) -> str:
        """Return a name for a loop variable."""
        names = self.building.names
        variable = names.unique(name)
        names.renamed.pop(variable, None)  # of a lowering that was given up
        if variable != name:
            names.renamed[variable] = name
        return variable

    def emit(self, node: Node) -> None:
        """Add a node to the region. Raises NeedsTaskError where only values may be."""
        if self.building.only_computes and not isinstance(node, Value):
            raise NeedsTaskError
        self.spend(node.span)
        for expr in node.expressions():
            self.pay(_weights(expr), node.span)
        if isinstance(node, Value):
            self.building.emitted += node.raises
            self.region.append(node)
            return
        self.building.emitted += 1
        after = tuple(dict.fromkeys((*self.barrier, *node.after)))
        self.region.append(node.changed(after=after))
        hints = self.building.hints
        if self.parallel is not None:
            hints.parallel[node.id] = self.parallel
        if self._ends_with_barrier and node.regions():
            hints.barriers.add(node.id)
        else:
            self._ends_with_barrier = False

    def wait_for(self, ids: list[str]) -> None:
        """Let what follows in this block, or behind it, wait for these nodes."""
        if self.building.only_computes:
            raise NeedsTaskError
        self.barrier = tuple(dict.fromkeys((*self.barrier, *ids)))
        self._ends_with_barrier = bool(ids)

    def within(self, function: m.Function) -> Frame:
        """Return the frame of a plain function whose body is lowered as if it stood here."""
        inner = Frame(self.building, function, self.prefix, self.depth)
        inner.region, inner.barrier, inner.parallel = self.region, self.barrier, self.parallel
        inner.guards = self.guards
        return inner

    def rejoin(self, inner: Frame) -> None:
        """Go on behind a plain function."""
        self.barrier, self._ends_with_barrier = inner.barrier, inner._ends_with_barrier

    def spend(self, span: Span) -> None:
        """Count one node or iteration. Raises TooLargeError past the limit."""
        self.building.spent += 1
        if self.building.spent > MAX_NODES:
            before = self.building.spent_before
            who = "the pipelines of this file have together" if before else "this pipeline has"
            other = "; or move pipelines to another file" if before else ""
            self.reports.error(
                "pipeline-too-large",
                span,
                f"{who} more than {MAX_NODES:,} nodes and unrolled iterations",
                help="make the loop's items a parameter, so that it fans out when it runs" + other,
            )
            raise TooLargeError

    def pay(self, prices: Iterable[int], span: Span) -> None:
        """Draw the price of what was made from the budget. Raises TooLargeError past it."""
        try:
            for price in prices:
                self.budget.spend(price)
        except operations.TooLargeError:
            self.reports.error(
                "pipeline-too-large",
                span,
                "this pipeline is too large: its lists and constants are copied too often",
                help="make the list a step's result, or let a step read what it needs",
            )
            raise TooLargeError from None

    def made(self, value: Lowered, span: Span) -> Lowered:
        """Return a value that was just made, and pay for it. Raises TooLargeError."""
        self.pay((_price(value),), span)
        return self.bounded(value, span)

    def bounded(self, value: Lowered, span: Span) -> Lowered:
        """Return ``value``. Raises TooLargeError if its expression is too large."""
        if value.size.parts > MAX_PARTS or value.size.depth > MAX_DEPTH:
            self.reports.error(
                "pipeline-too-large",
                span,
                "this expression is too large",
                help="assign parts of it to names, or compute it in a step",
            )
            raise TooLargeError
        return value

    @contextmanager
    def inner_region(self) -> Iterator[list[Node]]:
        """Let nodes go to a new region within the block; barriers end with it."""
        outer = self.region, self.barrier, self.parallel
        self.region, self.barrier, self.parallel = [], (), None
        self._ends_with_barrier = False
        try:
            yield self.region
        finally:
            self.region, self.barrier, self.parallel = outer

    # -- named values

    def keep(self, value: Lowered, name: str) -> Lowered:
        """Return a value that has a name, so that using it again does not write it out again.

        It is evaluated where it is named, as Python does: so is what may raise in it.
        """
        if value.is_known or value.definition is not None or value.has_callables:
            return value
        if is_plain(value.expr) and not value.raises:
            return value
        if value.parts is not None and isinstance(value.expr, Display):
            value = self._with_kept_parts(value, name)
        small = isinstance(value.expr, Display | DictDisplay) and value.size.parts <= SMALL
        if small and not value.raises:
            return value
        if name in self.module.bindings or name.startswith("$"):
            name = f"{name.strip('$')}_value"  # a step has its name to itself
        identity = self.new_id(name)
        span = value.expr.span
        self.emit(Value(identity, value.expr, value.raises, False, (), span))
        return replace(value, expr=Use(identity, span), raises=False, size=Size())

    def keep_before(self, value: Lowered, place: int) -> Lowered:
        """Return an operand with a name if a later operand calls a step and this one may raise.

        ``place`` is how many nodes the region had when the operand had been lowered. In
        ``f(xs[0], g(1))`` Python raises an IndexError before it calls ``g``.
        """
        if not value.raises or isinstance(value.expr, Starred):
            return value
        later = self.region[place:]
        if all(isinstance(node, Value) for node in later):
            return value
        del self.region[place:]
        kept = self.keep(value, "value")
        self.region.extend(later)
        return kept

    def _with_kept_parts(self, value: Lowered, name: str) -> Lowered:
        parts = value.parts or ()
        kept = tuple(self.keep(part, f"{name}_{at}") for at, part in enumerate(parts))
        if all(one is other for one, other in zip(kept, parts, strict=True)):
            return value
        assert isinstance(value.expr, Display)  # noqa: S101 - as the caller has seen
        made = display(value.expr.kind, kept, value.expr.span)
        return replace(value, expr=made.expr, parts=kept, raises=made.raises, size=made.size)

    def as_value(self, value: Lowered, node: ast.expr) -> Lowered:
        """Return a value; report a function, class or module, which is none."""
        if value.definition is None:
            return self._without_callables(value, node)
        name = self.text(node)
        is_function = isinstance(value.definition, m.Function)
        what = "function" if is_function else "name"
        self.reports.error(
            "step-as-value",
            self.span(node),
            f"the {what} `{name}` cannot be used as a value in a pipeline",
            help=f"call it: `{name}(…)`" if is_function else "pass a constant or a step's output",
        )
        return poison(self.span(node))

    def _without_callables(self, value: Lowered, node: ast.expr) -> Lowered:
        if not value.has_callables:
            return value
        self.reports.error(
            "step-as-value",
            self.span(node),
            "steps cannot be passed to a step or stored in a value",
            help="call them, and pass what they return",
        )
        return poison(self.span(node))

    # -- names

    def bind(self, name: str, binding: Binding) -> None:
        """Give a name a value."""
        if isinstance(binding, Lowered) and binding.cell is not None:
            binding = Accumulated(binding.cell)
        elif isinstance(binding, Lowered) and binding.fresh and not binding.poisoned:
            binding = self.new_cell(self.scope, binding)
        self.scope.names[name] = binding
        self.scope.when.setdefault(name, self.building.emitted)

    def new_cell(self, scope: Scope, value: Lowered) -> Accumulated:
        """Return an accumulator that begins with ``value``, a list or a dict."""
        self.building.cells += 1
        is_dict = value.type.name == "dict"
        first = flow.pairs_of(value, value.expr.span) if is_dict else value
        parts = (replace(first, fresh=False),) if first.parts != () else ()
        scope.cells[self.building.cells] = Contents(self.depth, (parts,), is_dict)
        return Accumulated(self.building.cells)

    def read(self, node: ast.Name) -> Lowered:
        """Return what a local name stands for, or poison after a diagnostic."""
        binding = self.scope.names.get(node.id)
        self.used.add(node.id)
        span = self.span(node)
        if isinstance(binding, Accumulated):
            return self.read_cell(node.id, binding.cell, span)
        if isinstance(binding, Lowered):
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
        labels = (Label(binding.span, binding.label),) if binding.span else ()
        self.reports.error(binding.rule, span, binding.message, labels=labels, help=binding.help)

    def _report_unassigned(self, node: ast.Name, span: Span) -> None:
        first = self.locals.get(node.id)
        if first is None:
            undefined.report(
                self.reports, self.building.modules, self.module, node, span, self.scope.names
            )
            return
        self.reports.error(
            "undefined-name",
            span,
            f"`{node.id}` is used before it is assigned",
            labels=(Label(self.span(first), f"`{node.id}` is assigned here"),),
            help="move the assignment up; a name that a function assigns is local to it",
        )

    def read_cell(self, name: str, cell: int, span: Span) -> Lowered:
        """Return what an accumulator holds here."""
        held = self.scope.cells[cell]
        if held.broken is not None:
            self.report(held.broken, span)
            return poison(span)
        if held.is_partial:
            self.reports.error(
                "loop-carried",
                span,
                f"`{name}` is still being filled by the loop here",
                help=f"iterations run at the same time: use `{name}` after the loop",
            )
            return poison(span)
        held = self._with_named_contents(held, name, span)
        if self.depth > held.depth:
            held = replace(held, read_depth=max(held.read_depth, self.depth), read_span=span)
        self.scope.cells[cell] = held
        return replace(flow.value_of(held, span), cell=cell)

    def _with_named_contents(self, held: Contents, name: str, span: Span) -> Contents:
        """Name what a list holds so far: reading it again must not write it out again."""
        if self.depth > held.depth or len(held.frames[0]) < 2:
            return held
        kept = self.keep(joined(held.frames[0], span), name)
        return replace(held, frames=((kept,),))

    def share(self, value: Lowered, span: Span) -> None:
        """Note that a list is stored in another value: appending to it would change both."""
        if value.cell is not None:
            held = self.scope.cells[value.cell]
            self.scope.cells[value.cell] = replace(held, shared=held.shared or span)

    def merge(self, choose: flow.Choose, where: Span, ways: tuple[str, str]) -> flow.Merge:
        """Return what joins the scopes of two ways."""
        return flow.Merge(choose, self.new_cell, where, ways)

    def items_of(self, value: Lowered, span: Span) -> tuple[Lowered, ...] | None:
        """Return the items of a value of known length; None for any other."""
        items = elements(value, span)
        if items is not None and value.parts is None:
            self.pay((_MADE * len(items),), span)
        return items


def _price(value: Lowered) -> int:
    """Return the price of a value that was just made: by what is directly in it."""
    if value.pairs is not None:
        return _PAIR * len(value.pairs)
    if value.parts is not None:
        return _COPIED * len(value.parts)
    return _MADE * (constants.size(value.static) - 1) if value.is_static else 0


def _weights(expr: Expr) -> Iterator[int]:
    """Yield the price of each part of an expression that goes into the program."""
    for part in expr.walk():
        text = part.value if isinstance(part, Const) and isinstance(part.value, str) else ""
        yield _WRITTEN + len(text) // _TEXT


def is_plain(expr: Expr) -> bool:
    """Return whether an expression only names something, so that repeating it costs nothing."""
    while isinstance(expr, Member) or (isinstance(expr, Attribute) and "of" not in expr.name):
        expr = expr.value
    return isinstance(expr, Const | Param | Output | Item | Use | Error)


def local_names(function: m.FunctionNode) -> dict[str, ast.AST]:
    """Return the names that are local to a function, with the place of their first binding."""
    found: dict[str, ast.AST] = {}
    arguments = function.args
    given = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    for argument in (*given, arguments.vararg, arguments.kwarg):
        if argument is not None:
            found[argument.arg] = argument
    stack: list[ast.AST] = list(reversed(function.body))
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Constant) or isinstance(getattr(node, "ctx", None), ast.Load):
            if not isinstance(node, ast.Name | ast.Constant):
                stack.extend(reversed(list(ast.iter_child_nodes(node))))
            continue
        for name, place in _bound_by(node):
            found.setdefault(name, place)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            # Of what is in there only `:=` binds a name of the function.
            walrus = [each for each in ast.walk(node) if isinstance(each, ast.NamedExpr)]
            stack.extend(each.target for each in reversed(walrus))
            continue
        stack.extend(reversed(list(ast.iter_child_nodes(node))))
    return found


def _bound_by(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name, node
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name, node
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            yield name, node
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            for alias in names:
                yield (alias.asname or alias.name).partition(".")[0], node
