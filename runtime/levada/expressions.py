"""The runtime's only evaluator: expressions of a pipeline as text, with Python's exact meaning.

Nothing is ever passed to ``eval``: the text is parsed by the builtin ``compile`` and the tree is
walked. What is not in the tables below does not exist. See docs/contracts.md, section 2.

A value that was only passed on stays a :class:`Reference`, not loaded; whatever computes with it
loads it. An exception that the expression itself raises (a division by zero, say) comes out as it
is; what is no expression of Levada's, or grows beyond all bounds, raises :class:`ExpressionError`.
"""

from __future__ import annotations

import operator
from functools import lru_cache, partial
from itertools import islice

from levada import values
from levada.trees.canonical import artifact_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, Protocol

    from levada.store import Store

    class Nodes(Protocol):
        """What an expression can ask about the nodes of a run."""

        def __contains__(self, node: object, /) -> bool:
            """Whether there is a node of this id."""

        def output(self, node: str, indexes: tuple[int, ...]) -> Any:
            """Give the tree that a node returned, in the iteration with these indexes."""

        def failed(self, node: str, indexes: Mapping[str, int]) -> bool:
            """Whether it failed, where the variables of loops are at these indexes."""


_ONLY_AST = 0x400  # ast.PyCF_ONLY_AST
_MAX_STEPS = 2_000_000  # evaluated places of one expression
_MAX_ITEMS = 200_000  # items of one sequence, characters of one repeated text
_MAX_BITS = 1 << 20  # of one integer
_MAX_WIDTH = 6  # digits of a width or precision in a format

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "MatMult": operator.matmul,
    "Div": operator.truediv,
    "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
    "Pow": operator.pow,
    "BitAnd": operator.and_,
    "BitOr": operator.or_,
    "BitXor": operator.xor,
    "LShift": operator.lshift,
    "RShift": operator.rshift,
}
_FIELDS = ("$namedtuple", "$dataclass", "$pydantic")
_UNARY: dict[str, Callable[[Any], Any]] = {
    "Not": operator.not_,
    "USub": operator.neg,
    "UAdd": operator.pos,
    "Invert": operator.invert,
}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
    "Is": operator.is_,
    "IsNot": operator.is_not,
    "In": lambda left, right: left in right,
    "NotIn": lambda left, right: left not in right,
}
_CONVERSIONS: dict[int, Callable[[Any], Any]] = {-1: lambda v: v, 115: str, 114: repr, 97: ascii}


class ExpressionError(Exception):
    """A text that is no expression, that names what is not there, or that grows too large."""


class Reference:
    """A value by its tree, not loaded."""

    __slots__ = ("tree",)

    def __init__(self, tree: Any) -> None:
        self.tree = tree

    def __repr__(self) -> str:
        return f"Reference({self.tree!r})"


class Variable:
    """What a loop variable is bound to, and the map index of the loop's iteration.

    ``leads`` is true for the first variable of a loop: the one that stands for the loop.
    """

    __slots__ = ("index", "leads", "value")

    def __init__(self, value: Any, index: int) -> None:
        self.value = value
        self.index = index
        self.leads = False


class Scope:
    """What the names in an expression mean: parameters (as trees), nodes and loop variables.

    ``variables`` holds those of the enclosing loops, outermost first.
    """

    __slots__ = ("nodes", "parameters", "store", "variables")

    def __init__(
        self,
        parameters: Mapping[str, Any],
        nodes: Nodes,
        store: Store,
        variables: Mapping[str, Variable] | None = None,
    ) -> None:
        self.parameters = parameters
        self.nodes = nodes
        self.store = store
        self.variables: Mapping[str, Variable] = variables or {}

    def within(self, variables: Mapping[str, Variable]) -> Scope:
        """Give the scope in an iteration of one more loop."""
        return Scope(self.parameters, self.nodes, self.store, {**self.variables, **variables})


def evaluate(text: str, scope: Scope) -> Any:
    """Give the value: a :class:`Reference` where the text only passes one on."""
    return _guarded(lambda: _Evaluation(scope).value(_parse(text)))


def tree(text: str, scope: Scope) -> Any:
    """Give the value as a tree, a step's input say. What is only passed on is not loaded."""
    return as_tree(evaluate(text, scope), scope.store)


def value(text: str, scope: Scope) -> Any:
    """Give the value, loaded."""
    return _guarded(lambda: _load(_Evaluation(scope).value(_parse(text)), scope.store))


def truth(text: str, scope: Scope) -> bool:
    """Decide as ``if`` would."""
    return bool(value(text, scope))


def iterations(
    target: str, items: str, where: Iterable[str], scope: Scope
) -> Iterator[dict[str, Variable]]:
    """Give the variables of each iteration of a loop; the index counts those that ``where`` let by.

    ``target`` is as after ``for``: a name, or names separated by commas, nested in parentheses.
    """
    names, conditions = _parse_target(target), [_parse(text) for text in where]
    index = 0
    for item in _guarded(lambda: _items_of(items, scope)):
        variables = _bound(names, item, index, scope.store)
        inner = _Evaluation(scope.within(variables))
        if all(_guarded(partial(inner.truth, condition)) for condition in conditions):
            yield variables
            index += 1


def _items_of(text: str, scope: Scope) -> list[Any]:
    evaluation = _Evaluation(scope)
    return evaluation.items(evaluation.value(_parse(text)))


def references(text: str) -> set[str]:
    """Name everything that the text refers to, dotted as written, bound variables left out.

    The nodes that ``failed(…)`` asks about are among them.
    """
    found: set[str] = set()
    _collect(_parse(text), frozenset(), found)
    return found


def as_tree(value: Any, store: Store) -> Any:
    """Give the tree of an evaluated value. Raises what storing a value raises."""
    if isinstance(value, Reference):
        return value.tree
    if not _holds_reference(value):
        return values.encode(value, store)
    if type(value) is list:
        return [as_tree(item, store) for item in value]
    if type(value) is tuple:
        return {"$tuple": [as_tree(item, store) for item in value]}
    if all(type(key) is str and not key.startswith("$") for key in value):
        return {key: as_tree(item, store) for key, item in value.items()}
    pairs = [[values.encode(key, store), as_tree(item, store)] for key, item in value.items()]
    return {"$dict": pairs}


def _guarded(compute: Callable[[], Any]) -> Any:
    try:
        return compute()
    except (RecursionError, MemoryError) as error:
        raise ExpressionError(f"the expression is too large to evaluate: {error}") from None


@lru_cache(maxsize=4096)
def _parse(text: str) -> Any:
    try:
        return compile(text.strip(), "<expression>", "eval", _ONLY_AST, dont_inherit=True).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"`{_short(text)}` is no expression: {error}") from None


@lru_cache(maxsize=1024)
def _parse_target(text: str) -> Any:
    target = _parse(text)
    _check_target(target, text)
    return target


def _check_target(target: Any, text: str) -> None:
    kind = type(target).__name__
    if kind in ("Tuple", "List"):
        for part in target.elts:
            _check_target(part, text)
    elif kind != "Name":
        raise ExpressionError(f"`{_short(text)}` is nothing that a loop can bind")


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "…"


class _Evaluation:
    """One walk over one tree. ``Reference`` stands for what is not loaded."""

    __slots__ = ("scope", "steps")

    def __init__(self, scope: Scope, steps: list[int] | None = None) -> None:
        self.scope = scope
        self.steps = [0] if steps is None else steps

    def value(self, node: Any) -> Any:
        self.steps[0] += 1
        if self.steps[0] > _MAX_STEPS:
            raise ExpressionError("the expression takes too long to evaluate")
        kind = type(node).__name__
        method = _KINDS.get(kind)
        if method is None:
            raise ExpressionError(f"a pipeline's expression cannot hold a {kind}")
        return method(self, node)

    def loaded(self, node: Any) -> Any:
        return _load(self.value(node), self.scope.store)

    def truth(self, node: Any) -> bool:
        return bool(self.loaded(node))

    # ------------------------------------------------------------------ names

    def constant(self, node: Any) -> Any:
        return node.value

    def name(self, node: Any) -> Any:
        return self._dotted([node.id])

    def attribute(self, node: Any) -> Any:
        parts = _dotted_parts(node)
        if parts is not None:
            return self._dotted(parts)
        return self.field(self.value(node.value), node.attr)

    def _dotted(self, parts: list[str]) -> Any:
        found, rest = self._longest(parts)
        for name in rest:
            found = self.field(found, name)
        return found

    def _longest(self, parts: list[str]) -> tuple[Any, list[str]]:
        scope = self.scope
        if parts[0] in scope.variables:
            return scope.variables[parts[0]].value, parts[1:]
        if parts[0] == "params" and len(parts) > 1:
            if parts[1] not in scope.parameters:
                raise ExpressionError(f"the pipeline has no parameter `{parts[1]}`")
            return Reference(scope.parameters[parts[1]]), parts[2:]
        node, rest = self._node(parts)
        if node is None:
            raise ExpressionError(f"`{'.'.join(parts)}` is no parameter, node or variable here")
        return Reference(scope.nodes.output(node, ())), rest

    def _node(self, parts: list[str]) -> tuple[str | None, list[str]]:
        for length in range(len(parts), 0, -1):
            node = ".".join(parts[:length])
            if node in self.scope.nodes:
                return node, parts[length:]
        return None, parts

    def subscript(self, node: Any) -> Any:
        parts = _dotted_parts(node.value)
        if parts is not None and parts[0] != "params" and parts[0] not in self.scope.variables:
            indexes = self._indexes(node.slice)
            if indexes is not None and ".".join(parts) in self.scope.nodes:
                return Reference(self.scope.nodes.output(".".join(parts), indexes))
        holder = _opened(self.value(node.value), self.scope.store)
        return holder[self.loaded(node.slice)]

    def _indexes(self, node: Any) -> tuple[int, ...] | None:
        """Give the indexes of the iterations if the subscript is loop variables alone."""
        names = node.elts if type(node).__name__ == "Tuple" else [node]
        variables = self.scope.variables
        if not all(type(n).__name__ == "Name" and n.id in variables for n in names):
            return None
        return tuple(variables[n.id].index for n in names)

    def slice(self, node: Any) -> Any:
        parts = (node.lower, node.upper, node.step)
        return slice(*(None if part is None else self.loaded(part) for part in parts))

    def field(self, holder: Any, name: str) -> Any:
        if name.startswith("__"):
            raise ExpressionError(f"`{name}` is no output")
        position, count = _position(name)
        if position is not None and count is not None:
            return _unpacked(_opened(holder, self.scope.store), count)[position]
        if isinstance(holder, Reference):
            key = str(position) if position is not None else name
            try:
                return Reference(_field_tree(holder.tree, key, self.scope.store))
            except (LookupError, ValueError):  # a property or a method needs the value itself
                holder = _load(holder, self.scope.store)
        if isinstance(holder, tuple) and position is not None:
            return holder[position]
        return getattr(holder, name)

    # ------------------------------------------------------------------ operators

    def unary(self, node: Any) -> Any:
        return _UNARY[type(node.op).__name__](self.loaded(node.operand))

    def binary(self, node: Any) -> Any:
        op = type(node.op).__name__
        left, right = self.loaded(node.left), self.loaded(node.right)
        _check_size(op, left, right)
        return _BINARY[op](left, right)

    def boolean(self, node: Any) -> Any:
        wanted = type(node.op).__name__ == "Or"
        *first, last = node.values
        for operand in first:
            found = self.value(operand)
            if bool(_load(found, self.scope.store)) is wanted:
                return found
        return self.value(last)

    def compare(self, node: Any) -> Any:
        left = self.loaded(node.left)
        result: Any = True
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.loaded(right_node)
            result = _COMPARE[type(op).__name__](left, right)
            if right_node is not node.comparators[-1] and not result:
                return result
            left = right
        return result

    def conditional(self, node: Any) -> Any:
        return self.value(node.body if self.truth(node.test) else node.orelse)

    # ------------------------------------------------------------------ displays

    def elements(self, nodes: list[Any]) -> list[Any]:
        found: list[Any] = []
        for node in nodes:
            if type(node).__name__ == "Starred":
                found += self.items(self.value(node.value))
            else:
                found.append(self.value(node))
        return found

    def list_display(self, node: Any) -> Any:
        return self.elements(node.elts)

    def tuple_display(self, node: Any) -> Any:
        return tuple(self.elements(node.elts))

    def set_display(self, node: Any) -> Any:
        return {_load(item, self.scope.store) for item in self.elements(node.elts)}

    def dict_display(self, node: Any) -> Any:
        found: dict[Any, Any] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            if key is None:
                found.update(self.loaded(item))
            else:
                name = self.loaded(key)  # Python takes the key before the value
                found[name] = self.value(item)
        return found

    def text(self, node: Any) -> str:
        return "".join(format(self.loaded(part)) for part in node.values)

    def formatted(self, node: Any) -> str:
        specification = "" if node.format_spec is None else self.text(node.format_spec)
        _check_widths(specification)
        converted = _CONVERSIONS[node.conversion](self.loaded(node.value))
        return format(converted, specification)

    def comprehension(self, node: Any) -> list[Any]:
        found: list[Any] = []
        self._generate(node.generators, node.elt, found)
        return found

    def _generate(self, generators: list[Any], element: Any, found: list[Any]) -> None:
        if not generators:
            found.append(self.value(element))
            return
        first, *rest = generators
        index = 0
        for item in self.items(self.value(first.iter)):
            variables = _bound(first.target, item, index, self.scope.store)
            inner = _Evaluation(self.scope.within(variables), self.steps)
            if all(inner.truth(condition) for condition in first.ifs):
                inner._generate(rest, element, found)
                index += 1

    # ------------------------------------------------------------------ calls

    def call(self, node: Any) -> Any:
        name = getattr(node.func, "id", None)
        if name not in _FUNCTIONS or name in self.scope.variables:
            raise ExpressionError("an expression can call only " + ", ".join(sorted(_FUNCTIONS)))
        if any(type(argument).__name__ == "Starred" for argument in node.args):
            raise ExpressionError(f"{name}() takes no starred argument here")
        result: Any = _FUNCTIONS[name](self, node)
        return result

    def _keywords(self, node: Any) -> dict[str, Any]:
        if any(keyword.arg is None for keyword in node.keywords):
            raise ExpressionError("a call takes no ** here")
        return {keyword.arg: self.loaded(keyword.value) for keyword in node.keywords}

    def call_range(self, node: Any) -> range:
        return range(*(self.loaded(argument) for argument in node.args), **self._keywords(node))

    def call_enumerate(self, node: Any) -> list[Any]:
        keywords = self._keywords(node)
        if not node.args:
            raise TypeError("enumerate() missing required argument 'iterable' (pos 1)")
        items = self.items(self.value(node.args[0]))
        start = [self.loaded(argument) for argument in node.args[1:]]
        return list(enumerate(items, *start, **keywords))

    def call_zip(self, node: Any) -> list[Any]:
        sequences = [self.items(self.value(argument)) for argument in node.args]
        return list(zip(*sequences, **self._keywords(node)))  # noqa: B905  as it is written

    def call_flat(self, node: Any) -> list[Any]:
        (argument,) = node.args
        lists = self.items(self.value(argument))
        return [item for each in lists for item in self.items(each)]

    def call_float(self, node: Any) -> float:
        return float(*(self.loaded(argument) for argument in node.args))

    def call_member(self, node: Any) -> Any:
        """Give the member of an enumeration that has a value: not loaded, so nothing is imported.

        None, which a parameter may be instead of a member, stays None.
        """
        enum, members, value = (self.loaded(argument) for argument in node.args)
        for name, each in members.items():
            if each == value and isinstance(value, bool) == isinstance(each, bool):
                return Reference({"$enum": [enum, name, each]})
        if value is None:
            return None
        raise ValueError(f"{value!r} is not a valid {enum.partition(':')[2]}")

    def call_failed(self, node: Any) -> bool:
        return any(self._failed(self.loaded(argument)) for argument in node.args)

    def _failed(self, text: str) -> bool:
        node = _parse(text)
        variables = self.scope.variables
        indexes = {name: v.index for name, v in variables.items() if v.leads}
        if type(node).__name__ == "Subscript":
            names = node.slice.elts if type(node.slice).__name__ == "Tuple" else [node.slice]
            indexes = {n.id: variables[n.id].index for n in names}
            text = text[: text.index("[")]
        return self.scope.nodes.failed(text.strip(), indexes)

    def items(self, value: Any) -> list[Any]:
        """Give what iterating over the value gives, each item not loaded where it can be."""
        opened = _opened(value, self.scope.store)
        found = list(islice(opened, _MAX_ITEMS + 1))
        if len(found) > _MAX_ITEMS:
            raise ExpressionError(f"more than {_MAX_ITEMS} items are too many for a pipeline")
        return found


_KINDS: dict[str, Callable[[_Evaluation, Any], Any]] = {
    "Constant": _Evaluation.constant,
    "Name": _Evaluation.name,
    "Attribute": _Evaluation.attribute,
    "Subscript": _Evaluation.subscript,
    "Slice": _Evaluation.slice,
    "UnaryOp": _Evaluation.unary,
    "BinOp": _Evaluation.binary,
    "BoolOp": _Evaluation.boolean,
    "Compare": _Evaluation.compare,
    "IfExp": _Evaluation.conditional,
    "List": _Evaluation.list_display,
    "Tuple": _Evaluation.tuple_display,
    "Set": _Evaluation.set_display,
    "Dict": _Evaluation.dict_display,
    "JoinedStr": _Evaluation.text,
    "FormattedValue": _Evaluation.formatted,
    "ListComp": _Evaluation.comprehension,
    "Call": _Evaluation.call,
}
_FUNCTIONS: dict[str, Callable[[_Evaluation, Any], Any]] = {
    "range": _Evaluation.call_range,
    "enumerate": _Evaluation.call_enumerate,
    "zip": _Evaluation.call_zip,
    "flat": _Evaluation.call_flat,
    "float": _Evaluation.call_float,
    "failed": _Evaluation.call_failed,
    "member": _Evaluation.call_member,
}


def _dotted_parts(node: Any) -> list[str] | None:
    parts: list[str] = []
    while type(node).__name__ == "Attribute":
        parts.append(node.attr)
        node = node.value
    if type(node).__name__ != "Name":
        return None
    return [node.id, *reversed(parts)]


def _bound(target: Any, item: Any, index: int, store: Store) -> dict[str, Variable]:
    """Bind what a loop binds in one iteration."""
    variables = _bind(target, item, index, store)
    for variable in list(variables.values())[:1]:
        variable.leads = True
    return variables


def _bind(target: Any, item: Any, index: int, store: Store) -> dict[str, Variable]:
    if type(target).__name__ == "Name":
        return {target.id: Variable(item, index)}
    parts = _unpacked(_opened(item, store), len(target.elts))
    bound: dict[str, Variable] = {}
    for part, value in zip(target.elts, parts, strict=True):
        bound.update(_bind(part, value, index, store))
    return bound


def _position(name: str) -> tuple[int | None, int | None]:
    """Read ``_0``, an item of a tuple, and ``_0of2``, one of exactly two items of anything."""
    index, of, count = name[1:].partition("of")
    if name[:1] != "_" or not index.isdecimal() or (of and not count.isdecimal()):
        return None, None
    return int(index), int(count) if of else None


def _unpacked(value: Any, wanted: int) -> list[Any]:
    """The items of a value that is unpacked into ``wanted`` names."""
    try:
        parts = list(value)
    except TypeError:
        raise TypeError(f"cannot unpack non-iterable {type(value).__name__} object") from None
    if len(parts) > wanted:
        raise ValueError(f"too many values to unpack (expected {wanted})")
    if len(parts) < wanted:
        raise ValueError(f"not enough values to unpack (expected {wanted}, got {len(parts)})")
    return parts


def _opened(value: Any, store: Store) -> Any:
    """Load one level: a list or tuple or dict whose items stay references, else the value."""
    if not isinstance(value, Reference):
        return value
    tree = _plain_tree(value.tree, store)
    if type(tree) is list:
        return [Reference(item) for item in tree]
    if type(tree) is not dict:
        return tree
    tag, content = _tagged(tree)
    if tag == "$tuple":
        return tuple(Reference(item) for item in content)
    if tag in ("$set", "$frozenset"):
        return _InOrder(values.decode(tree, store), [values.decode(t, store) for t in content])
    if tag:
        return values.decode(tree, store)
    return {key: Reference(item) for key, item in tree.items()}


class _InOrder:
    """A set that is gone over in the order of its stored form, the same in every process."""

    __slots__ = ("_items", "_set")

    def __init__(self, members: Any, items: list[Any]) -> None:
        self._set = members
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __getitem__(self, index: object) -> Any:
        return self._set[index]  # raises Python's own TypeError


def _plain_tree(tree: Any, store: Store) -> Any:
    """Read the tree behind an artifact that is one."""
    artifact = artifact_of(tree)
    return tree if artifact is None else values.tree_of(artifact, store)


def _field_tree(tree: Any, name: str, store: Store) -> Any:
    """Give the tree of a field. Raises LookupError if the stored form has no such field."""
    artifact = artifact_of(tree)
    named = [] if artifact is None else artifact.meta.get("outputs", [])
    tree = _plain_tree(tree, store)
    tag, content = _tagged(tree)
    if tag in _FIELDS and name in content[1]:
        return content[1][name]
    if tag == "$tuple":
        return content[named.index(name) if name in named else int(name)]
    raise KeyError(name)


def _tagged(tree: Any) -> tuple[str, Any]:
    """Give the tag of a tree and what is under it, an empty tag for plain JSON."""
    if type(tree) is dict and len(tree) == 1:
        ((tag, content),) = tree.items()
        return (tag, content) if tag.startswith("$") else ("", None)
    return "", None


def _load(value: Any, store: Store) -> Any:
    if isinstance(value, Reference):
        return values.decode(value.tree, store)
    if not _holds_reference(value):
        return value
    if type(value) is dict:
        return {key: _load(item, store) for key, item in value.items()}
    return type(value)(_load(item, store) for item in value)


def _holds_reference(value: Any) -> bool:
    kind = type(value)
    if kind is Reference:
        return True
    if kind is list or kind is tuple:
        return any(_holds_reference(item) for item in value)
    return kind is dict and any(_holds_reference(item) for item in value.values())


def _check_size(op: str, left: Any, right: Any) -> None:
    """Refuse what would fill the memory before Python could refuse it."""
    if isinstance(left, int) and isinstance(right, int):
        bits = {
            "Pow": left.bit_length() * max(right, 0) if op == "Pow" and abs(left) > 1 else 0,
            "LShift": left.bit_length() + max(right, 0),
            "Mult": left.bit_length() + right.bit_length(),
        }.get(op, 0)
        if bits > _MAX_BITS:
            raise ExpressionError("the expression gives a number that is too large")
    elif op == "Mult":
        _check_repetition(left, right)
    elif op == "Mod" and isinstance(left, (str, bytes)):
        _check_percent(left, right)


def _check_repetition(left: Any, right: Any) -> None:
    sequence, count = (right, left) if isinstance(left, int) else (left, right)
    sized = isinstance(count, int) and hasattr(sequence, "__len__")
    if sized and len(sequence) * count > _MAX_ITEMS:
        raise ExpressionError("the expression gives a sequence that is too long")


def _check_percent(template: Any, right: Any) -> None:
    _check_widths(template if isinstance(template, str) else template.decode("latin-1"))
    widths = right if isinstance(right, tuple) else (right,)
    if "*" in str(template) and any(isinstance(w, int) and abs(w) > _MAX_ITEMS for w in widths):
        raise ExpressionError("a format has a width that is too large")


def _check_widths(specification: str) -> None:
    digits = 0
    for character in specification:
        digits = digits + 1 if character.isdecimal() else 0
        if digits > _MAX_WIDTH:
            raise ExpressionError("a format has a width that is too large")


def _collect(node: Any, bound: frozenset[str], found: set[str]) -> None:
    kind = type(node).__name__
    parts = _dotted_parts(node)
    if parts is not None:
        if parts[0] not in bound:
            found.add(".".join(parts))
    elif kind == "ListComp":
        _collect_comprehension(node, bound, found)
    elif kind == "Call":
        _collect_call(node, bound, found)
    else:
        for name in getattr(node, "_fields", ()):
            children = getattr(node, name, None)
            for child in children if isinstance(children, list) else [children]:
                if hasattr(child, "_fields"):
                    _collect(child, bound, found)


def _collect_comprehension(node: Any, bound: frozenset[str], found: set[str]) -> None:
    for generator in node.generators:
        _collect(generator.iter, bound, found)
        bound = bound | _names(generator.target)
        for condition in generator.ifs:
            _collect(condition, bound, found)
    _collect(node.elt, bound, found)


def _collect_call(node: Any, bound: frozenset[str], found: set[str]) -> None:
    if getattr(node.func, "id", None) == "failed":
        texts = [argument.value for argument in node.args if hasattr(argument, "value")]
        found.update(str(text).partition("[")[0].strip() for text in texts)
        return
    for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
        _collect(argument, bound, found)


def _names(target: Any) -> frozenset[str]:
    if type(target).__name__ == "Name":
        return frozenset([target.id])
    return frozenset().union(*(_names(part) for part in target.elts))
