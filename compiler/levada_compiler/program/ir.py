"""The intermediate representation: a structured program, not a flat graph.

A :class:`Program` holds one pipeline: its parameters, the steps that it calls, and a body of
nodes. Control flow stays nested (a branch has two regions, a loop has one). Sub-pipelines are
inlined as a :class:`Group`, with the ids of their nodes prefixed by the group's id and a dot.
Values are in single-assignment form: an expression refers to parameters, to what nodes gave, to
loop variables, to named values and to constants. A name that was assigned on both sides of a
branch has become a :class:`Select`; a value that is used more than once has a :class:`Value`
node, so that an expression never grows with the number of its uses.

Everything is frozen and hashable, keeps its span, and has a JSON form (:mod:`.ir_json`).
:mod:`.verify` is the definition of a valid program.
"""

from __future__ import annotations

from ..diagnostics.diagnostic import Span  # noqa: TC001 - also for who asks for the types of the fields
from ..slotted import dataclass, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self, TypeAlias

# ---------------------------------------------------------------------------- values

#: The module of the steps that are Levada's own.
RUN_VALUES = "levada.run_values"
#: What a constant may hold: JSON values, with tuples and sets kept apart from lists.
Scalar: TypeAlias = bool | int | float | str | None


class Expr:
    """An expression: what a value is made of."""

    __slots__ = ()
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the expressions directly within this one, in the order of the source."""
        return ()

    def walk(self) -> Iterator[Expr]:
        """Yield this expression and all expressions within it, outer ones first."""
        stack: list[Expr] = [self]
        while stack:
            expr = stack.pop()
            yield expr
            stack.extend(reversed(expr.children()))


@dataclass(frozen=True, slots=True)
class Const(Expr):
    """A constant scalar, any string included, byte for byte."""

    value: Scalar
    span: Span


@dataclass(frozen=True, slots=True)
class Param(Expr):
    """A parameter of the (outermost) pipeline."""

    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class Member(Expr):
    """The member of an enumeration (``module:Class``) of which ``value`` is the value.

    ``members`` has all that it may be, with their values; None stands for itself.
    """

    enum: str
    members: tuple[tuple[str, Scalar], ...]
    value: Expr
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the value."""
        return (self.value,)


@dataclass(frozen=True, slots=True)
class Instance(Expr):
    """An instance of a class of the project (``module:Class``) with these fields."""

    cls: str
    kind: str  #: dataclass, namedtuple, or made of a class that runs code of its own
    fields: tuple[tuple[str, Expr], ...]
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the values of the fields."""
        return tuple([value for _, value in self.fields])


@dataclass(frozen=True, slots=True)
class FromJson(Expr):
    """The value that ``form``, JSON text as ``levada.forms`` has it, makes of a JSON value."""

    form: str
    value: Expr
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the JSON value."""
        return (self.value,)


@dataclass(frozen=True, slots=True)
class Output(Expr):
    """What a call returned. A named output of it is an :class:`Attribute` of this.

    Inside the loops that it shares with the node the value is that of the same iteration. From
    outside a loop, a node in it is reached only through a :class:`Collect` over that loop.
    """

    node: str
    span: Span


@dataclass(frozen=True, slots=True)
class Use(Expr):
    """What a :class:`Value` node holds, by the node's id; in loops as an :class:`Output`."""

    value: str
    span: Span


@dataclass(frozen=True, slots=True)
class Item(Expr):
    """A variable of a loop or comprehension around this place. ``name`` is unique in the program.

    ``loop`` is the id of the loop, or of the comprehension.
    """

    loop: str
    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class Attribute(Expr):
    """A named output of a step (``report.auc``), or an attribute of another value.

    Tuple outputs have the names ``"0"``, ``"1"``, … unless they were named by ``Annotated``. An
    item of a value that is unpacked into ``n`` names is ``"<index>of<n>"``; with
    ``"<index>of<n>at<k>"`` the name at ``k`` takes the rest, as a list.
    """

    value: Expr
    name: str
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return what has the attribute."""
        return (self.value,)


@dataclass(frozen=True, slots=True)
class Subscript(Expr):
    """An item of a value, or a part of it if ``index`` is a :class:`Slice`."""

    value: Expr
    index: Expr
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the value and the index."""
        return (self.value, self.index)


@dataclass(frozen=True, slots=True)
class Slice(Expr):
    """``lower:upper:step``, as the index of a :class:`Subscript`; None for what is left out."""

    lower: Expr
    upper: Expr
    step: Expr
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the bounds and the step."""
        return (self.lower, self.upper, self.step)


@dataclass(frozen=True, slots=True)
class Unary(Expr):
    """``op`` is one of ``not - + ~``."""

    op: str
    operand: Expr
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the operand."""
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Binary(Expr):
    """Arithmetic; ``op`` as written: ``+ - * / // % ** | & ^ << >>``."""

    op: str
    left: Expr
    right: Expr
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the operands."""
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Compare(Expr):
    """A chain of comparisons; ``ops`` as written (``<``, ``not in``, ``is not``, …)."""

    operands: tuple[Expr, ...]
    ops: tuple[str, ...]
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the operands."""
        return self.operands


@dataclass(frozen=True, slots=True)
class BoolOp(Expr):
    """``op`` is ``and`` or ``or``; it gives one of its operands, as in Python."""

    op: str
    operands: tuple[Expr, ...]
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the operands."""
        return self.operands


@dataclass(frozen=True, slots=True)
class Conditional(Expr):
    """``then if test else otherwise``; only the side that is taken is evaluated."""

    test: Expr
    then: Expr
    otherwise: Expr
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the test and both sides."""
        return (self.test, self.then, self.otherwise)


@dataclass(frozen=True, slots=True)
class Starred(Expr):
    """``*value``: its items, in a display or as arguments of an :class:`Apply`."""

    value: Expr
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the value."""
        return (self.value,)


@dataclass(frozen=True, slots=True)
class Display(Expr):
    """A list, tuple or set display; ``kind`` is ``list``, ``tuple`` or ``set``."""

    kind: str
    items: tuple[Expr, ...]
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the items."""
        return self.items


@dataclass(frozen=True, slots=True)
class DictDisplay(Expr):
    """A dict display, in source order; a key of None stands for ``**``."""

    items: tuple[tuple[Expr | None, Expr], ...]
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return keys and values in turn."""
        return tuple([each for pair in self.items for each in pair if each is not None])


@dataclass(frozen=True, slots=True)
class Field:
    """A ``{value!conversion:format}`` of an f-string; ``conversion`` is one of ``"" s r a``."""

    value: Expr
    conversion: str
    format: str | Format
    span: Span


@dataclass(frozen=True, slots=True)
class Format(Expr):
    """An f-string."""

    parts: tuple[str | Field, ...]
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the values that are formatted, and formats that are not constant."""
        found: list[Expr] = []
        for part in self.parts:
            if isinstance(part, Field):
                found.append(part.value)
                if isinstance(part.format, Format):
                    found.append(part.format)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Apply(Expr):
    """A call of a function that the evaluator knows (``levada.operations``), by its text name.

    ``arguments`` are pairs of a keyword, or None, and the value.
    """

    function: str
    arguments: tuple[tuple[str | None, Expr], ...]
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the arguments."""
        return tuple([value for _, value in self.arguments])


@dataclass(frozen=True, slots=True)
class Method(Expr):
    """A call of a method of a plain value: ``value.name(arguments)``."""

    value: Expr
    name: str
    arguments: tuple[tuple[str | None, Expr], ...]
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the value and the arguments."""
        return (self.value, *[value for _, value in self.arguments])


@dataclass(frozen=True, slots=True)
class Clause:
    """``for target in items if conditions`` of a comprehension."""

    target: Target
    items: Expr
    conditions: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Comprehension(Expr):
    """A comprehension that calls no step; ``kind`` is ``list``, ``set`` or ``dict``.

    ``element`` is the value of an item; of a dict it is a pair, a tuple :class:`Display`. The
    variables of its clauses are an :class:`Item` whose ``loop`` is ``id``.
    """

    id: str
    kind: str
    element: Expr
    clauses: tuple[Clause, ...]
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the items and conditions of the clauses, then the element."""
        found: list[Expr] = []
        for clause in self.clauses:
            found += (clause.items, *clause.conditions)
        return (*found, self.element)


@dataclass(frozen=True, slots=True)
class FunctionName(Expr):
    """A function of the evaluator that is given to another: the ``key`` of ``sorted``, a type."""

    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class Lambda(Expr):
    """``lambda parameters: body``, given to a function of the evaluator.

    The parameters are an :class:`Item` whose ``loop`` is ``id``.
    """

    id: str
    parameters: tuple[str, ...]
    body: Expr
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the body."""
        return (self.body,)


@dataclass(frozen=True, slots=True)
class Concat(Expr):
    """Lists joined in order: what an accumulator holds after several appends."""

    parts: tuple[Expr, ...]
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the lists."""
        return self.parts


@dataclass(frozen=True, slots=True)
class Collect(Expr):
    """The list of ``value`` over the iterations of ``loop``, in order: the fan-in.

    With ``flatten``, ``value`` is a list and the lists are joined: a loop whose body appends
    more than one value, or only sometimes.
    """

    loop: str
    value: Expr
    flatten: bool
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return the value of an iteration."""
        return (self.value,)


@dataclass(frozen=True, slots=True)
class Select(Expr):
    """``then`` where the branch was taken, else ``otherwise``: a merge."""

    branch: str
    then: Expr
    otherwise: Expr
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return both sides."""
        return (self.then, self.otherwise)


@dataclass(frozen=True, slots=True)
class Recover(Expr):
    """``body`` where the body of the guard went through, else ``handler``."""

    guard: str
    body: Expr
    handler: Expr
    span: Span

    def children(self) -> tuple[Expr, ...]:
        """Return both sides."""
        return (self.body, self.handler)


@dataclass(frozen=True, slots=True)
class Error(Expr):
    """The exception that the handler of a guard handles: ``str(e)``, ``e.args``, ``type(e)``."""

    guard: str
    span: Span


@dataclass(frozen=True, slots=True)
class Catches(Expr):
    """Whether the exception that a guard's body raised is an instance of one of these classes.

    ``classes`` are qualified names (``builtins.ValueError``, ``flow.errors.NoData``).
    """

    guard: str
    classes: tuple[str, ...]
    span: Span


# ---------------------------------------------------------------------------- settings


@dataclass(frozen=True, slots=True)
class Setting:
    """One engine setting of a step, of one call, or of a pipeline (``retry``, ``schedule``, …).

    ``value`` is canonical JSON text (so that the setting is hashable); its meaning and shape per
    ``name`` are those of ``levada.settings``.
    """

    name: str
    value: str
    span: Span


# ---------------------------------------------------------------------------- types


@dataclass(frozen=True, slots=True)
class Type:
    """A type as far as it can be told without importing anything.

    ``name`` is ``"any"`` (nothing known), a builtin (``"int"``, ``"list"``, ``"None"``),
    ``"union"``, ``"literal"``, ``"tuple"`` or the qualified name of a class
    (``"pandas.DataFrame"``, ``"pipeline:Report"`` for a class of the project).

    ``arguments`` are those of the generic; ``values`` those of a literal, as JSON text; ``text``
    is the annotation as written.
    """

    name: str
    arguments: tuple[Type, ...] = ()
    values: tuple[str, ...] = ()
    text: str = ""


# ---------------------------------------------------------------------------- program


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a pipeline or of a step. ``default`` is canonical JSON text, or None.

    For a step only whether there is a default matters (``default`` may be the empty string).
    ``form`` of a pipeline's is JSON text: what a value is in JSON, and what a step is given, as
    ``levada.forms`` has it, with limits (:mod:`.forms`). It is empty where the type says as much.
    """

    name: str
    type: Type
    default: str | None
    description: str
    span: Span
    kind: str = (
        "plain"  #: plain, positional-only, keyword-only, variadic (*args) or keywords (**kw)
    )
    form: str = ""


@dataclass(frozen=True, slots=True)
class NamedOutput:
    """One named output of a step."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Container:
    """What a step runs of an image that Levada does not make: a program, and not a function.

    The image is the step's setting ``image``, the variables are its setting ``environment``.
    ``command`` and ``args`` replace the image's entry point and its arguments; None leaves them.
    The program writes each of ``outputs`` to the file or folder ``/levada/out/<name>``.
    """

    command: tuple[str, ...] | None
    args: tuple[str, ...] | None
    outputs: tuple[NamedOutput, ...]

    def as_json(self) -> dict[str, object]:
        """Return what a run has to know of it, as JSON."""
        return {
            "command": None if self.command is None else list(self.command),
            "args": None if self.args is None else list(self.args),
            "outputs": {output.name: output.type.name for output in self.outputs},
        }


@dataclass(frozen=True, slots=True)
class Step:
    """A function under ``@step``, or with ``container`` a program of an image.

    ``key`` is ``module:function``, where ``module`` is its import name from ``source_root`` (a
    POSIX path relative to the project's root, ``"."`` for the root itself).
    ``code`` is ``sha256:…`` over all of the project that the function reaches, and ``imports``
    the names of the outside modules that this code imports (dotted, sorted). ``logs`` are those of
    ``log_artifact`` and ``log_metric`` that it may call.
    """

    key: str
    module: str
    function: str
    source_root: str
    description: str
    parameters: tuple[Parameter, ...]
    returns: Type
    outputs: tuple[NamedOutput, ...]
    settings: tuple[Setting, ...]
    code: str
    imports: tuple[str, ...]
    span: Span
    logs: tuple[str, ...] = ()
    container: Container | None = None


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a call, bound to the step's parameter."""

    name: str
    value: Expr
    span: Span


class Node:
    """Something that happens in a run, in the order of its region.

    ``id`` is unique in the program. ``after`` holds ids of nodes that must have succeeded before
    this one starts, beside those that its expressions refer to.
    """

    __slots__ = ()
    id: str
    after: tuple[str, ...]
    span: Span

    def parts(self) -> tuple[tuple[str, tuple[Node, ...]], ...]:
        """Return the regions of the node with their names, in the order in which they run."""
        return ()

    def regions(self) -> tuple[tuple[Node, ...], ...]:
        """Return the regions of the node, in the order in which they run."""
        return tuple([region for _, region in self.parts()])

    def expressions(self) -> tuple[Expr, ...]:
        """Return the expressions that the node itself evaluates."""
        return ()

    def walk(self) -> Iterator[Node]:
        """Yield this node and all nodes within it, outer ones first."""
        return walk((self,))

    def changed(self, **fields: object) -> Self:
        """Return the same node with other values in some fields."""
        return replace(self, **fields)  # type: ignore[type-var]


def walk(nodes: Iterable[Node]) -> Iterator[Node]:
    """Yield the nodes of a region and all nodes within them, outer ones first."""
    stack = [iter(nodes)]
    while stack:
        node = next(stack[-1], None)
        if node is None:
            stack.pop()
            continue
        yield node
        stack += [iter(region) for region in reversed(node.regions())]


def has_tasks(nodes: Iterable[Node]) -> bool:
    """Return whether there is anything to run: named values are evaluated where they are used."""
    return any(
        isinstance(node, Call | Fail) or (isinstance(node, Value) and node.is_checked)
        for node in walk(nodes)
    )


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A step call; ``settings`` are overrides for this call."""

    id: str
    step: str
    arguments: tuple[Argument, ...]
    after: tuple[str, ...]
    settings: tuple[Setting, ...]
    span: Span

    def expressions(self) -> tuple[Expr, ...]:
        """Return the arguments."""
        return tuple([argument.value for argument in self.arguments])


@dataclass(frozen=True, slots=True)
class Value(Node):
    """A value with a name: evaluated at most once in an iteration, where it is used.

    Python evaluates it at this place. So where it ``raises`` or may do so, what must not start
    before that (a call for its side effect, the result) has it in ``after``. One that
    ``is_checked`` has a task of its own: nothing else evaluates it in time.
    """

    id: str
    value: Expr
    raises: bool
    is_checked: bool
    after: tuple[str, ...]
    span: Span

    def expressions(self) -> tuple[Expr, ...]:
        """Return the value."""
        return (self.value,)


@dataclass(frozen=True, slots=True)
class Fail(Node):
    """``raise``: ends the region with an exception.

    ``classes`` are the qualified names of its class (``builtins.ValueError``) and of the bases of
    that, itself first. Without any it raises again what the handler of ``guard`` handles.
    """

    id: str
    classes: tuple[str, ...]
    arguments: tuple[Expr, ...]
    guard: str
    after: tuple[str, ...]
    span: Span

    def expressions(self) -> tuple[Expr, ...]:
        """Return the arguments of the exception."""
        return self.arguments


@dataclass(frozen=True, slots=True)
class Branch(Node):
    """``if``; an ``elif`` is a branch within ``otherwise``. One side has a node."""

    id: str
    condition: Expr
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...]
    after: tuple[str, ...]
    span: Span

    def parts(self) -> tuple[tuple[str, tuple[Node, ...]], ...]:
        """Return both sides."""
        return ("then", self.then), ("otherwise", self.otherwise)

    def expressions(self) -> tuple[Expr, ...]:
        """Return the condition."""
        return (self.condition,)


@dataclass(frozen=True, slots=True)
class Target:
    """What a loop binds: a name, or a tuple of targets."""

    names: tuple[str | Target, ...]
    is_tuple: bool

    def variables(self) -> tuple[str, ...]:
        """Return all names that are bound, in order."""
        found: list[str] = []
        for name in self.names:
            found += [name] if isinstance(name, str) else name.variables()
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Loop(Node):
    """A fan-out over ``items``, at run time; loops over constants are unrolled before.

    At most ``max_parallel`` iterations run at a time. With 1 they run one after the other, in
    order, and none starts after one that has failed.
    ``conditions`` are the filters of a comprehension. The map index of an iteration counts the
    items that passed them. Names in ``target`` are unique in the program; ``named`` has those that
    the source calls otherwise, with what it calls them.
    """

    id: str
    target: Target
    items: Expr
    conditions: tuple[Expr, ...]
    body: tuple[Node, ...]
    after: tuple[str, ...]
    span: Span
    max_parallel: int | None = None
    named: tuple[tuple[str, str], ...] = ()

    def parts(self) -> tuple[tuple[str, tuple[Node, ...]], ...]:
        """Return the body."""
        return (("body", self.body),)

    def expressions(self) -> tuple[Expr, ...]:
        """Return the items and the filters."""
        return (self.items, *self.conditions)


@dataclass(frozen=True, slots=True)
class Guard(Node):
    """``try``. ``handler`` is None without an ``except``; ``final`` is empty without a ``finally``.

    ``checks`` are values of a body with a handler that may raise, and that no node of the body is
    certain to evaluate: the handler handles their failure too.
    """

    id: str
    body: tuple[Node, ...]
    handler: tuple[Node, ...] | None
    final: tuple[Node, ...]
    after: tuple[str, ...]
    span: Span
    checks: tuple[str, ...] = ()

    def parts(self) -> tuple[tuple[str, tuple[Node, ...]], ...]:
        """Return the body, the handler and what comes finally."""
        return ("body", self.body), ("handler", self.handler or ()), ("final", self.final)


@dataclass(frozen=True, slots=True)
class Group(Node):
    """A call of another pipeline, inlined: its parameters are already replaced."""

    id: str
    pipeline: str
    description: str
    body: tuple[Node, ...]
    after: tuple[str, ...]
    span: Span

    def parts(self) -> tuple[tuple[str, tuple[Node, ...]], ...]:
        """Return the body."""
        return (("body", self.body),)


@dataclass(frozen=True, slots=True)
class Result:
    """What the pipeline returns: one value, or several in order.

    ``kind`` is ``none`` without a value, ``value`` for one, else ``tuple``, ``dict``, or the class
    (``module:Class``) of which the values are the fields. ``after`` holds ids of values that may
    raise and that nothing else is certain to evaluate.
    """

    values: tuple[Expr, ...]
    names: tuple[str, ...]  #: the variable's name where there is one, else ``"0"``, ``"1"``, …
    kind: str
    span: Span
    after: tuple[str, ...] = ()

    @property
    def is_tuple(self) -> bool:
        """Whether the pipeline returns the values as a tuple."""
        return self.kind == "tuple"


@dataclass(frozen=True, slots=True)
class Program:
    """A whole pipeline, checked.

    ``source`` is ``sha256:…`` of what it means (:mod:`.digest`); ``file`` is relative to the
    project's root. ``search`` holds the folders, relative to it, that modules are imported from,
    in order: a step runs with these in front of ``sys.path``. ``function`` is the pipeline's
    function where that is not called ``name``.
    """

    name: str
    description: str
    file: str
    source: str
    search: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    settings: tuple[Setting, ...]
    steps: tuple[Step, ...]
    body: tuple[Node, ...]
    result: Result
    span: Span
    function: str = ""
    version: int = 2

    @property
    def origin(self) -> str:
        """``file:function``, as the command line takes it."""
        return f"{self.file}:{self.function or self.name}"
