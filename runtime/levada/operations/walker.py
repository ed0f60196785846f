"""The walk over an expression's tree: how Python evaluates it, whatever its names mean.

The runtime and the compiler each have a subclass that says what names mean to them.
"""

from __future__ import annotations

from levada.operations.errors import UnsupportedError
from levada.operations.operators import (
    BINARY_SYMBOLS,
    COMPARE_SYMBOLS,
    UNARY_SYMBOLS,
    binary,
    compare,
    subscript,
    truth,
    unary,
)
from levada.operations.plain import (
    check_hashes,
    each,
    extent,
    flat_source,
    is_iterable,
    items,
    kind_of,
    loaded,
    opened,
    text_bytes,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Iterator, Sequence
    from typing import Any, Final, Self

    from levada.operations.budget import Budget
    from levada.operations.function import Function

_CONVERSIONS: Final = {-1: "", 115: "s", 114: "r", 97: "a"}
#: What is left out on purpose, and what to write.
_LEFT_OUT: Final = {
    "NamedExpr": "`:=` cannot be used in an expression: assign the name before",
    "Await": "`await` cannot be used in an expression",
    "Yield": "`yield` cannot be used in an expression",
    "YieldFrom": "`yield from` cannot be used in an expression",
    "Starred": "`*` cannot be used here: write the items one by one",
}


class Variable:
    """What a loop variable is bound to, and the map index of the loop's iteration.

    ``leads`` is true for the first variable of a loop: the one that stands for the loop. ``name``
    is what the source calls it, where it is another name than in expressions.
    """

    __slots__ = ("index", "leads", "name", "value")

    def __init__(self, value: object, index: int) -> None:
        self.value = value
        self.index = index
        self.leads = False
        self.name = ""


class Walker:
    """Evaluates one expression. ``variables`` are those of loops around a place in it."""

    __slots__ = ("budget", "variables")

    def __init__(self, budget: Budget, variables: dict[str, Variable]) -> None:
        self.budget = budget
        self.variables = variables

    # ------------------------------------------------------------------ what subclasses say

    def within(self, variables: dict[str, Variable]) -> Self:
        """Return what evaluates where there are these variables."""
        raise NotImplementedError

    def named(self, parts: list[str], node: ast.expr) -> object:
        """Return the value of a dotted name."""
        raise NotImplementedError

    def function(self, node: ast.expr) -> Function | None:
        """Return the function that a callee means, None if it is something else."""
        parts = dotted_parts(node)
        if parts is None or parts[0] in self.variables:
            return None
        from levada.operations.functions import named

        return named(".".join(parts))

    def field(self, holder: object, name: str) -> object:
        """Return an attribute of a value."""
        from levada.operations.methods import attribute

        return attribute(holder, name)

    def uncallable(self, node: ast.expr) -> Exception:
        """Return the error of a call of something that is not a function."""
        parts = dotted_parts(node)
        if parts is None:
            return UnsupportedError("only functions and methods can be called in an expression")
        name = ".".join(parts)
        return UnsupportedError(f"`{name}(…)` cannot be called in a pipeline: call it in a step")

    # ------------------------------------------------------------------ values

    def value(self, node: ast.expr) -> Any:
        """Return the value of a node. Raises what Python raises, and ExpressionError."""
        budget = self.budget
        budget.steps -= 1
        if budget.steps < 0:
            budget.spend(0)
        kind = type(node).__name__
        method = _KINDS.get(kind)
        if method is None:
            raise UnsupportedError(_LEFT_OUT.get(kind, f"{kind} is not part of expressions"))
        return getattr(self, method)(node)

    def loaded(self, node: ast.expr) -> object:
        """Return the value of a node, with nothing deferred in it."""
        return loaded(self.value(node), self.budget)

    def truth(self, node: ast.expr) -> bool:
        """Decide as ``if`` does."""
        return truth(opened(self.value(node), self.budget))

    def starred(self, node: ast.expr) -> list[object]:
        """Return what a ``*`` before a node unpacks."""
        value = opened(self.value(node), self.budget)
        if not is_iterable(value):
            raise TypeError(f"Value after * must be an iterable, not {type(value).__name__}")
        return items(value, self.budget)

    def literal(self, node: ast.Constant) -> object:
        """Return the value of a literal."""
        return node.value

    def name(self, node: ast.Name) -> object:
        """Return the value of a name."""
        return self.named([node.id], node)

    def attribute(self, node: ast.Attribute) -> object:
        """Return the value of a dotted name, or an attribute of a value."""
        parts = dotted_parts(node)
        if parts is not None:
            return self.named(parts, node)
        return self.field(self.value(node.value), node.attr)

    def subscript(self, node: ast.Subscript) -> object:
        """Return an item or a slice of a value."""
        holder = opened(self.value(node.value), self.budget)
        return subscript(holder, self.loaded(node.slice), self.budget)

    def slice(self, node: ast.Slice) -> object:
        """Return the slice between the brackets of a subscript."""
        parts = (node.lower, node.upper, node.step)
        return slice(*(None if part is None else self.loaded(part) for part in parts))

    # ------------------------------------------------------------------ operators

    def unary(self, node: ast.UnaryOp) -> object:
        """Return the value of a unary operator."""
        op = UNARY_SYMBOLS[type(node.op).__name__]
        if op == "not":
            return not self.truth(node.operand)
        return unary(op, self.loaded(node.operand), self.budget)

    def binary(self, node: ast.BinOp) -> object:
        """Return the value of a chain of binary operators."""
        chain: list[Any] = [node]  # `a + b + c + …` is nested to the left, as deep as it is long
        while type(chain[-1].left).__name__ == "BinOp":
            chain.append(chain[-1].left)
        self.budget.spend(len(chain))
        found = self.loaded(chain[-1].left)
        for operation in reversed(chain):
            found = self.operated(operation, found, self.loaded(operation.right))
        return found

    def operated(self, node: ast.BinOp, left: object, right: object) -> object:
        """Return ``left op right``."""
        return binary(BINARY_SYMBOLS[type(node.op).__name__], left, right, self.budget)

    def boolean(self, node: ast.BoolOp) -> object:
        """Return the operand that decides an ``and`` or ``or``."""
        wanted = type(node.op).__name__ == "Or"
        *first, last = node.values
        for operand in first:
            found = self.value(operand)
            if truth(opened(found, self.budget)) is wanted:
                return found
        return self.value(last)

    def compare(self, node: ast.Compare) -> object:
        """Return the value of a comparison, chained or not."""
        left = self.value(node.left)
        result: object = True
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(right_node)
            result = self.compared(COMPARE_SYMBOLS[type(op).__name__], left, right)
            if right_node is not node.comparators[-1] and not truth(result):
                return result
            left = right
        return result

    def compared(self, op: str, left: object, right: object) -> object:
        """Return ``left op right``."""
        budget = self.budget
        return compare(op, loaded(left, budget), loaded(right, budget), budget)

    def conditional(self, node: ast.IfExp) -> object:
        """Return the value of the side that the condition chooses."""
        return self.value(node.body if self.truth(node.test) else node.orelse)

    # ------------------------------------------------------------------ displays

    def elements(self, nodes: Sequence[Any]) -> list[object]:
        """Return the values of nodes, those with a ``*`` unpacked."""
        found: list[object] = []
        for node in nodes:
            if type(node).__name__ == "Starred":
                found += self.starred(node.value)
            else:
                found.append(self.value(node))
        self.budget.spend(0, 56 + 8 * len(found))
        return found

    def list_display(self, node: ast.List) -> object:
        """Return the value of ``[…]``."""
        return self.elements(node.elts)

    def tuple_display(self, node: ast.Tuple) -> object:
        """Return the value of ``(…, …)``."""
        return tuple(self.elements(node.elts))

    def set_display(self, node: ast.Set) -> object:
        """Return the value of ``{…}``."""
        return self.made_set([loaded(item, self.budget) for item in self.elements(node.elts)])

    def made_set(self, members: list[object]) -> set[object]:
        """Return the set of these members."""
        self.budget.spend(extent(self.budget, members).steps, 100 * len(members))
        check_hashes(members, len(members), self.budget)
        return set(members)

    def dict_display(self, node: ast.Dict) -> object:
        """Return the value of ``{…: …}``."""
        pairs: list[tuple[object, object]] = []
        for key, item in zip(node.keys, node.values, strict=True):
            if key is None:
                pairs += self.merged(self.value(item))
            else:
                name = self.loaded(key)  # Python evaluates the key before the value
                pairs.append((name, self.value(item)))
        return self.made_dict(pairs)

    def merged(self, value: object) -> list[tuple[object, object]]:
        """Return the items of a dict that is unpacked by ``**``."""
        held = opened(value, self.budget)
        if kind_of(held) != "dict":
            raise TypeError(f"'{type(held).__name__}' object is not a mapping")
        self.budget.spend(len(held) // 20, 100 * len(held))
        return list(held.items())

    def made_dict(self, pairs: list[tuple[object, object]]) -> dict[object, object]:
        """Return the dict of these pairs."""
        keys = [key for key, _ in pairs]
        self.budget.spend(extent(self.budget, keys).steps, 232 + 100 * len(keys))
        check_hashes(keys, len(keys), self.budget)
        return dict(pairs)

    def text(self, node: Any) -> str:
        """Return the text of an f-string."""
        parts = [self.value(part) for part in node.values]
        self.budget.spend(len(parts) // 20, sum(map(text_bytes, parts)))
        return "".join(parts)

    def formatted(self, node: ast.FormattedValue) -> str:
        """Return the text of one field of an f-string."""
        from levada.operations.text_formats import formatted

        value = self.loaded(node.value)
        specification = "" if node.format_spec is None else self.text(node.format_spec)
        return formatted(value, _CONVERSIONS[node.conversion], specification, self.budget)

    # ------------------------------------------------------------------ comprehensions

    def list_comprehension(self, node: ast.ListComp) -> object:
        """Return the list of a comprehension."""
        return [inner.value(node.elt) for inner in self.iterations(node.generators)]

    def set_comprehension(self, node: ast.SetComp) -> object:
        """Return the set of a comprehension."""
        return self.made_set([inner.loaded(node.elt) for inner in self.iterations(node.generators)])

    def dict_comprehension(self, node: ast.DictComp) -> object:
        """Return the dict of a comprehension."""
        return self.made_dict(
            [
                (inner.loaded(node.key), inner.value(node.value))
                for inner in self.iterations(node.generators)
            ]
        )

    def generator(self, node: ast.GeneratorExp) -> Iterator[object]:
        """Return what evaluates the items of a generator expression when they are taken."""
        value = opened(self.value(node.generators[0].iter), self.budget)  # now, as in Python
        source = each(flat_source(value, self.budget), self.budget)
        return (inner.value(node.elt) for inner in self.iterations(node.generators, source))

    def iterations(
        self, generators: list[ast.comprehension], source: Iterator[object] | None = None
    ) -> Iterator[Self]:
        """Return what evaluates in each iteration of the clauses of a comprehension."""
        first, *rest = generators
        if first.is_async:
            raise UnsupportedError("`async for` cannot be used in an expression")
        spend = self.budget.spend
        inner = self.within(dict(self.variables))
        index = 0
        for item in each(self.value(first.iter), self.budget) if source is None else source:
            spend(1, 64)
            inner.variables.update(self.bound(first.target, item, index))
            if all(map(inner.truth, first.ifs)):
                index += 1
                if rest:
                    yield from inner.iterations(rest)
                else:
                    yield inner

    def bound(self, target: ast.expr, item: object, index: int) -> dict[str, Variable]:
        """Return the variables that a loop binds in one iteration."""
        variables = {name: Variable(value, index) for name, value in self.assigned(target, item)}
        for variable in variables.values():
            variable.leads = True
            break
        return variables

    def assigned(self, target: Any, value: object) -> Iterator[tuple[str, object]]:
        """Return the names that an assignment to a target binds, with their values."""
        kind = type(target).__name__
        if kind == "Name":
            yield target.id, value
        elif kind in ("Tuple", "List"):
            for part, item in zip(target.elts, self.unpacked(target.elts, value), strict=True):
                inner = part.value if type(part).__name__ == "Starred" else part
                yield from self.assigned(inner, item)
        else:
            raise UnsupportedError(f"a loop binds names, and no {kind}")

    def unpacked(self, targets: Sequence[ast.expr], value: object) -> list[object]:
        """Return a value for each target. Raises Python's errors if their number differs."""
        stars = [i for i, target in enumerate(targets) if type(target).__name__ == "Starred"]
        return self.parts(value, len(targets), stars)

    def parts(self, value: object, count: int, stars: Sequence[int]) -> list[object]:
        """Return a value for each of ``count`` targets; that at a star gets a list of the rest."""
        parts = unpacked(value, count - len(stars), self.budget, more=bool(stars))
        for star in stars:
            end = len(parts) - (count - star - 1)
            parts[star:end] = [parts[star:end]]
        return parts

    # ------------------------------------------------------------------ calls

    def call(self, node: ast.Call) -> object:
        """Return the value of a call of a function or a method."""
        function = self.function(node.func)
        if function is not None:
            return function.call(self.elements(node.args), self.keywords(node), self.budget)
        called: Any = node.func
        if type(called).__name__ != "Attribute":
            raise self.uncallable(called)
        from levada.operations.methods import method

        receiver = self.value(called.value)
        arguments, keywords = self.elements(node.args), self.keywords(node)
        return method(receiver, called.attr, arguments, keywords, self.budget)

    def lambda_function(self, node: ast.Lambda) -> object:
        """Return a function that evaluates the body of a ``lambda``, for ``key=`` and the like."""
        from levada.operations.function import Function

        names = [each.arg for each in node.args.args]
        inner = self.within(dict(self.variables))

        def run(_: Budget, /, *arguments: object) -> object:
            if len(arguments) != len(names):
                message = f"<lambda>() takes {len(names)} arguments, not {len(arguments)}"
                raise TypeError(message)
            for name, value in zip(names, arguments, strict=True):
                inner.variables[name] = Variable(value, 0)
            return inner.loaded(node.body)

        return Function("builtins.lambda", "lambda", run=run, passes_on=True)

    def keywords(self, node: ast.Call) -> dict[str, Any]:
        """Return the keyword arguments of a call."""
        found: dict[str, Any] = {}
        for keyword in node.keywords:
            named = {keyword.arg: keyword.value}.items() if keyword.arg else ()
            pairs = [(name, self.value(item)) for name, item in named]
            for name, item in pairs or self.merged(self.value(keyword.value)):
                if type(name) is not str:
                    raise TypeError("keywords must be strings")
                if name in found:
                    raise TypeError(f"got multiple values for keyword argument '{name}'")
                found[name] = item
        return found


#: The methods that evaluate each kind of node.
_KINDS: Final = {
    "Constant": "literal",
    "Name": "name",
    "Attribute": "attribute",
    "Subscript": "subscript",
    "Slice": "slice",
    "UnaryOp": "unary",
    "BinOp": "binary",
    "BoolOp": "boolean",
    "Compare": "compare",
    "IfExp": "conditional",
    "List": "list_display",
    "Tuple": "tuple_display",
    "Set": "set_display",
    "Dict": "dict_display",
    "JoinedStr": "text",
    "FormattedValue": "formatted",
    "ListComp": "list_comprehension",
    "SetComp": "set_comprehension",
    "DictComp": "dict_comprehension",
    "GeneratorExp": "generator",
    "Call": "call",
    "Lambda": "lambda_function",
}


def dotted_parts(node: Any) -> list[str] | None:
    """Return the names of ``a.b.c``, None for anything else."""
    parts: list[str] = []
    while type(node).__name__ == "Attribute":
        parts.append(node.attr)
        node = node.value
    if type(node).__name__ != "Name":
        return None
    return [node.id, *reversed(parts)]


def unpacked(value: object, wanted: int, budget: Budget, *, more: bool = False) -> list[object]:
    """Return the items of a value that is unpacked into ``wanted`` names, or ``more``."""
    held = opened(value, budget)
    try:
        source = each(held, budget)
    except TypeError:
        raise TypeError(f"cannot unpack non-iterable {type(held).__name__} object") from None
    parts: list[object] = []
    for item in source:
        parts.append(item)
        if len(parts) > wanted and not more:
            raise ValueError(f"too many values to unpack (expected {wanted})")
    if len(parts) < wanted:
        least = "at least " if more else ""
        message = f"not enough values to unpack (expected {least}{wanted}, got {len(parts)})"
        raise ValueError(message)
    return parts
