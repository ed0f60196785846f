"""The intermediate representation: a structured program, not a flat graph.

A :class:`Program` holds one pipeline: its parameters, the steps that it calls, and a body of
nodes. Control flow stays nested (a branch has two regions, a loop has one). Sub-pipelines are
inlined as a :class:`Group`, with the ids of their nodes prefixed by the group's id and a dot.
Values are in single-assignment form: an expression refers to parameters, to what nodes gave, to
loop variables and to constants; a name that was assigned on both sides of a branch has become a
:class:`Select`.

Everything is frozen and hashable, keeps its span, and has a JSON form (:mod:`.ir_json`).
:mod:`.verify` is the definition of a valid program.
"""

from __future__ import annotations

from ..diagnostics.diagnostic import Span  # noqa: TC001 - also for who asks for the types of the fields
from ..slotted import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

# ---------------------------------------------------------------------------- values

#: What a constant may hold: JSON values, with tuples and sets kept apart from lists.
Scalar: TypeAlias = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Const:
    """A constant scalar, any string included, byte for byte."""

    value: Scalar
    span: Span


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of the (outermost) pipeline."""

    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class Member:
    """The member of an enumeration (``module:Class``) of which ``value`` is the value.

    ``members`` has all that it may be, with their values; None stands for itself.
    """

    enum: str
    members: tuple[tuple[str, Scalar], ...]
    value: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Output:
    """What a call returned. A named output of it is an :class:`Attribute` of this.

    Inside the loops that it shares with the node the value is that of the same iteration. From
    outside a loop, a node in it is reached only through a :class:`Collect` over that loop.
    """

    node: str
    span: Span


@dataclass(frozen=True, slots=True)
class Item:
    """A variable of a loop that encloses this place. ``name`` is unique in the program."""

    loop: str
    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class Attribute:
    """A named output of a step (``report.auc``), or that of an item (``for r in reports: r.auc``).

    Tuple outputs have the names ``"0"``, ``"1"``, … unless they were named by ``Annotated``.
    """

    value: Expr
    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class Subscript:
    """An item of a constant or a parameter, or a part of it if ``index`` is a :class:`Slice`."""

    value: Expr
    index: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Slice:
    """``lower:upper:step``, as the index of a :class:`Subscript`; None for what is left out."""

    lower: Expr
    upper: Expr
    step: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Unary:
    """``op`` is one of ``not - + ~``."""

    op: str
    operand: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic; ``op`` as written: ``+ - * / // % ** | & ^ << >>``."""

    op: str
    left: Expr
    right: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Compare:
    """A chain of comparisons; ``ops`` as written (``<``, ``not in``, ``is not``, …)."""

    operands: tuple[Expr, ...]
    ops: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class BoolOp:
    """``op`` is ``and`` or ``or``; it gives one of its operands, as in Python."""

    op: str
    operands: tuple[Expr, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Display:
    """A list, tuple or set display; ``kind`` is ``list``, ``tuple`` or ``set``."""

    kind: str
    items: tuple[Expr, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class DictDisplay:
    """A dict display, in source order."""

    items: tuple[tuple[Expr, Expr], ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Field:
    """A ``{value!conversion:format}`` of an f-string; ``conversion`` is one of ``"" s r a``."""

    value: Expr
    conversion: str
    format: str
    span: Span


@dataclass(frozen=True, slots=True)
class Format:
    """An f-string."""

    parts: tuple[str | Field, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Sequence:
    """``range``, ``enumerate`` or ``zip``, as the thing a loop goes over."""

    function: str
    arguments: tuple[tuple[str | None, Expr], ...]  #: (keyword or None, value)
    span: Span


@dataclass(frozen=True, slots=True)
class Concat:
    """Lists joined in order: what an accumulator holds after several appends."""

    parts: tuple[Expr, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Collect:
    """The list of ``value`` over the iterations of ``loop``, in order: the fan-in.

    With ``flatten``, ``value`` is a list and the lists are joined: a loop whose body appends
    more than one value, or only sometimes.
    """

    loop: str
    value: Expr
    flatten: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Select:
    """``then`` where the branch was taken, else ``otherwise``: a merge."""

    branch: str
    then: Expr
    otherwise: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Recover:
    """``body`` where the body of the guard went through, else ``handler``."""

    guard: str
    body: Expr
    handler: Expr
    span: Span


Expr: TypeAlias = (
    Const
    | Param
    | Member
    | Output
    | Item
    | Attribute
    | Subscript
    | Slice
    | Unary
    | Binary
    | Compare
    | BoolOp
    | Display
    | DictDisplay
    | Format
    | Sequence
    | Concat
    | Collect
    | Select
    | Recover
)

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
    ``limits`` of a pipeline's are JSON text, as :mod:`.limits` reads them; empty if there are none.
    """

    name: str
    type: Type
    default: str | None
    description: str
    span: Span
    kind: str = (
        "plain"  #: plain, positional-only, keyword-only, variadic (*args) or keywords (**kw)
    )
    limits: str = ""


@dataclass(frozen=True, slots=True)
class NamedOutput:
    """One named output of a step."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Step:
    """A function under ``@step``.

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


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a call, bound to the step's parameter."""

    name: str
    value: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Call:
    """A step call.

    ``id`` is unique in the program; ``after`` holds ids of calls, branches, loops, guards or
    groups that must be over before; ``settings`` are overrides for this call.
    """

    id: str
    step: str
    arguments: tuple[Argument, ...]
    after: tuple[str, ...]
    settings: tuple[Setting, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Branch:
    """``if``; an ``elif`` is a branch within ``otherwise``."""

    id: str
    condition: Expr
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...]
    after: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Target:
    """What a loop binds: a name, or a tuple of targets."""

    names: tuple[str | Target, ...]
    is_tuple: bool


@dataclass(frozen=True, slots=True)
class Loop:
    """A fan-out over ``items``, at run time; loops over constants are unrolled before.

    ``conditions`` are the filters of a comprehension. The map index of an iteration counts the
    items that passed them. Names in ``target`` are unique in the program.
    """

    id: str
    target: Target
    items: Expr
    conditions: tuple[Expr, ...]
    body: tuple[Node, ...]
    after: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Guard:
    """``try``. ``handler`` is None without an ``except``; ``final`` is empty without a ``finally``.

    A guard is one unit in the order of its region: what follows it waits for its end.
    """

    id: str
    body: tuple[Node, ...]
    handler: tuple[Node, ...] | None
    final: tuple[Node, ...]
    after: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Group:
    """A call of another pipeline, inlined: its parameters are already replaced."""

    id: str
    pipeline: str
    description: str
    body: tuple[Node, ...]
    after: tuple[str, ...]
    span: Span


Node: TypeAlias = Call | Branch | Loop | Guard | Group


@dataclass(frozen=True, slots=True)
class Result:
    """What the pipeline returns: one value, or several in order (``is_tuple``)."""

    values: tuple[Expr, ...]
    names: tuple[str, ...]  #: the variable's name where there is one, else ``"0"``, ``"1"``, …
    is_tuple: bool
    span: Span


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
    result: Result | None
    span: Span
    function: str = ""
    version: int = 1

    @property
    def origin(self) -> str:
        """``file:function``, as the command line takes it."""
        return f"{self.file}:{self.function or self.name}"
