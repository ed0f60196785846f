"""The evaluation of one expression in the scope of a run."""

from __future__ import annotations

import sys

from levada.errors import InputError
from levada.expressions.reference import Reference, as_tree
from levada.expressions.scope import Outcome
from levada.expressions.texts import parse
from levada.operations import ExpressionError, TooLargeError, subscript, truth
from levada.operations.plain import each, finished, items, kind_of, loaded, opened
from levada.operations.walker import Variable, Walker, dotted_parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Mapping
    from typing import Any, Final, TypeVar

    from levada.expressions.scope import Key, Scope
    from levada.operations import Budget, Function
    from levada.operations.handled import HandledError
    from levada.record_types import ErrorPart
    from levada.trees.tree_types import Tree

    T = TypeVar("T")


def guarded(compute: Callable[[], T]) -> T:
    """Return what a computation gives; what is nested too deep for Python is TooLargeError."""
    try:
        return compute()
    except (RecursionError, MemoryError):
        raise TooLargeError("the expression is nested too deep, or too large") from None


class Evaluation(Walker):
    """Evaluates expressions in a scope."""

    __slots__ = ("active", "scope")

    def __init__(self, scope: Scope, budget: Budget) -> None:
        super().__init__(budget, dict(scope.variables))
        self.scope = scope
        self.active: set[Key] = set()  #: the definitions that are under way

    def result(self, text: str) -> object:
        """Return the value of a text, in a form that can be kept."""
        return guarded(lambda: finished(self.value(parse(text)), self.budget))

    def decision(self, node: ast.expr) -> bool:
        """Decide as ``if`` does."""
        return guarded(lambda: self.truth(node))

    def within(self, variables: dict[str, Variable]) -> Evaluation:
        """Return the evaluation where there are these variables."""
        inner = Evaluation(self.scope, self.budget)
        inner.variables = variables
        inner.active = self.active
        return inner

    # ------------------------------------------------------------------ definitions

    def defined(self, name: str) -> object:
        """Return the value of a definition."""
        return guarded(lambda: self._definition(name))

    def _definition(self, name: str) -> object:
        definitions = self.scope.definitions
        key = definitions.key(name, self.variables)
        outcome = definitions.outcomes.get(key)
        if outcome is None:
            if key in self.active:
                raise ExpressionError(f"`{name}` is defined by itself")
            if _is_deep():
                self._define_needed(name)
            outcome = self._define(name, key)
        return outcome.result()

    def _define_needed(self, name: str) -> None:
        """Evaluate what a definition needs before it is: a chain of them may be any length.

        What is raised is kept for whoever uses it; one in a branch that is not taken has no user.
        """
        definitions = self.scope.definitions

        def is_done(other: str) -> bool:
            key = definitions.key(other, self.variables)
            return key in definitions.outcomes or key in self.active

        for needed in definitions.in_order(name, is_done):
            if needed != name and not is_done(needed):
                self._define(needed, definitions.key(needed, self.variables))

    def _define(self, name: str, key: Key) -> Outcome:
        definitions = self.scope.definitions
        self.active.add(key)
        try:
            found = self.value(parse(definitions.texts[name]))
            outcome = Outcome(finished(found, self.budget))
        except RecursionError:  # there may be room for it elsewhere
            raise
        except Exception as error:  # noqa: BLE001  whoever uses it gets the same
            outcome = Outcome(None, error)
        finally:
            self.active.discard(key)
        definitions.outcomes[key] = outcome
        return outcome

    # ------------------------------------------------------------------ names

    def named(self, parts: list[str], node: ast.expr) -> object:  # noqa: ARG002
        """Return the value of a dotted name: what is not a name of the run's is an attribute."""
        found, rest = self._longest(parts)
        for name in rest:
            found = self.field(found, name)
        return found

    def _longest(self, parts: list[str]) -> tuple[object, list[str]]:
        scope = self.scope
        if parts[0] in self.variables:
            return self.variables[parts[0]].value, parts[1:]
        if parts[0] == "params" and len(parts) > 1:
            if parts[1] not in scope.parameters:
                raise ExpressionError(f"the pipeline has no parameter `{parts[1]}`")
            return Reference(scope.parameters[parts[1]], scope.store), parts[2:]
        name = scope.definitions.longest(parts)
        if name is not None:
            return self._definition(name), parts[name.count(".") + 1 :]
        for length in range(len(parts), 0, -1):
            name = ".".join(parts[:length])
            if name in scope.nodes:
                return Reference(scope.nodes.output(name, ()), scope.store), parts[length:]
        return _library_value(parts)

    def subscript(self, node: ast.Subscript) -> object:
        """Return an item; a node or definition in loops has one value for each iteration."""
        parts = dotted_parts(node.value)
        if parts is not None and parts[0] != "params" and parts[0] not in self.variables:
            indexes = self._indexes(node.slice)
            name = ".".join(parts)
            if indexes is not None and name in self.scope.definitions.texts:
                return self._definition(name)
            if indexes is not None and name in self.scope.nodes:
                return Reference(self.scope.nodes.output(name, indexes), self.scope.store)
        return super().subscript(node)

    def _indexes(self, node: Any) -> tuple[int, ...] | None:
        """Return the indexes of the iterations if the subscript is loop variables alone."""
        names = node.elts if type(node).__name__ == "Tuple" else [node]
        variables = self.variables
        if not all(type(n).__name__ == "Name" and n.id in variables for n in names):
            return None
        return tuple(variables[n.id].index for n in names)

    def field(self, holder: Any, name: str) -> object:
        """Return an output by its name; ``_0`` is an item of a tuple, ``_0of2`` of two items.

        ``_0of3at1`` is what the first of three names gets of which the second has a star.
        """
        if "of" in name and (counts := _unpacking(name)):
            index, count, *star = counts
            return self.parts(holder, count, star)[index]
        position = _position(name)
        if isinstance(holder, Reference):
            try:
                return holder.field(name if position is None else str(position), self.budget)
            except (LookupError, ValueError):
                holder = holder.loaded(self.budget)
        if name == "__name__" and kind_of(holder) == "exception":
            return holder.name  # of its class
        if position is not None:
            return subscript(opened(holder, self.budget), position, self.budget)
        return super().field(holder, name)

    def compared(self, op: str, left: object, right: object) -> object:
        """Return ``left op right``; what is asked for its identity alone is not loaded."""
        if op in ("is", "is not"):
            left, right = (
                each.identity(self.budget) if isinstance(each, Reference) else each
                for each in (left, right)
            )
            return (left is right) is (op == "is")
        return super().compared(op, left, right)

    # ------------------------------------------------------------------ calls

    def call(self, node: ast.Call) -> object:
        """Return the value of a call, with the functions that only a run has."""
        name = getattr(node.func, "id", "")
        if name == "from_json" and len(node.args) == 2 and not node.keywords:
            return self.from_json(node)
        if name == "folded" and len(node.args) == 4 and not node.keywords:
            return self.folded(*node.args)
        own = _OWN.get(name)
        if own is None or name in self.variables:
            return super().call(node)
        if node.keywords and name != "instance":
            raise ExpressionError(f"`{name}` takes no keywords")
        return own(self, *self.elements(node.args), **self.keywords(node))

    def flat(self, lists: object) -> list[object]:
        """Return the items of the lists in a list."""
        budget = self.budget
        return [item for each in items(lists, budget) for item in items(each, budget)]

    def folded(
        self, step: Any, source: ast.expr, initial: ast.expr, count: ast.expr
    ) -> tuple[object, ...]:
        """Return what iterations carry in the end, and the lists of what they have appended.

        The lambda ``step`` gives what they carry on, whether the loop ends, and a list of what to
        append to each of ``count`` lists.
        """
        budget = self.budget
        names = [each.arg for each in step.args.args]
        carried = items(self.value(initial), budget)
        lists: list[list[object]] = [[] for _ in range(loaded(self.value(count), budget))]
        inner = self.within(dict(self.variables))
        named, result = _in_turn(step.body)
        for item in each(self.value(source), budget):
            budget.spend(1, 64 * len(names))
            for name, value in zip(names, (*carried, item), strict=True):
                inner.variables[name] = Variable(value, 0)
            for target, one in named:
                inner.variables.update(inner.bound(target, inner.value(one), 0))
            carried, ends, parts = inner.value(result)
            for appended, part in zip(lists, parts, strict=True):
                appended += items(part, budget)
            if truth(opened(ends, budget)):
                break
        return (*carried, *lists)

    def member(self, enum: str, members: Mapping[str, Tree], value: object) -> object:
        """Return the member of an enumeration that has a value, without importing its class.

        None, which a parameter may be instead of a member, stays None.
        """
        value = loaded(value, self.budget)
        for name, known in members.items():
            if known == value and isinstance(value, bool) == isinstance(known, bool):
                return Reference({"$enum": [enum, name, known]}, self.scope.store)
        if value is None:
            return None
        raise ValueError(f"{value!r} is not a valid {enum.partition(':')[2]}")

    def instance(self, cls: str, kind: str, **fields: object) -> Reference:
        """Return an instance of a class with fields, without importing the class."""
        store = self.scope.store
        trees = {name: as_tree(value, store) for name, value in fields.items()}
        return Reference({f"${kind}": [cls, trees]}, store)

    def from_json(self, node: ast.Call) -> Reference:
        """Return what a form makes of a JSON value: ``from_json(params.config, form)``."""
        from levada import forms

        given, form = node.args
        value = loaded(self.value(given), self.budget)
        name = ".".join(dotted_parts(given) or ["value"]).removeprefix("params.")
        try:
            tree = forms.converted(self.value(form), value, name)
        except (LookupError, TypeError, AttributeError, StopIteration):
            raise ExpressionError("this is not a form of `from_json`") from None
        return Reference(tree, self.scope.store)

    # ------------------------------------------------------------------ failures

    def failed(self, *texts: object) -> bool:
        """Whether one of the nodes, or the body of a guard, has failed in this iteration."""
        return any(self._has_failed(loaded(text, self.budget)) for text in texts)

    def raises(self, *names: object) -> bool:
        """Whether evaluating one of the definitions raises something."""
        return any(self._raised(loaded(name, self.budget)) is not None for name in names)

    def error(self, guard: object) -> HandledError:
        """Return the exception that the handler of a guard handles."""
        from levada.operations.handled import HandledError

        return HandledError(self.error_of(loaded(guard, self.budget)))

    def catches(self, guard: object, *classes: object) -> bool:
        """Whether the exception that a guard's body raised is an instance of one of the classes."""
        bases = self.error_of(loaded(guard, self.budget)).get("bases") or ()
        return any(loaded(name, self.budget) in bases for name in classes)

    def error_of(self, guard: str) -> ErrorPart:
        """Return the error with which the body of a guard ended, as a record has it."""
        asked = self._failing(guard) or {}
        indexes = {name: v.index for name, v in self.variables.items() if v.leads}
        error = self.scope.nodes.error(asked.get("failed", []), indexes)
        if error is not None:
            return error
        for name in asked.get("raises", []):
            raised = self._raised(name)
            if raised is not None:
                from levada.failures import of_expression

                return of_expression(raised)
        raise ExpressionError(f"nothing in `{guard}` has failed")

    def _failing(self, name: str) -> dict[str, list[str]] | None:
        """Return what the definition of a guard asks; None for any other.

        It is ``failed(…)`` of nodes, ``raises(…)`` of definitions, or both.
        """
        text = self.scope.definitions.texts.get(name)
        node: Any = None if text is None else parse(text)
        found: dict[str, list[str]] = {}
        for call in getattr(node, "values", [node]):
            function = getattr(getattr(call, "func", None), "id", "")
            if function not in ("failed", "raises"):
                return None
            found[function] = [argument.value for argument in call.args]
        return found

    def _raised(self, name: str) -> Exception | None:
        """Return what evaluating a definition raises; None too where it was not reached."""
        if name not in self.scope.definitions.texts:
            raise ExpressionError(
                f"there is no value `{name}`: it was not given with the expressions"
            )
        try:
            self.defined(name)
        except InputError:
            return None
        except ExpressionError:  # the expression cannot be evaluated: Python has raised nothing
            raise
        except Exception as error:  # noqa: BLE001  whatever an expression raises
            return error
        return None

    def _has_failed(self, text: str) -> bool:
        node: Any = parse(text)
        variables = self.variables
        asked = self._failing(text)
        if asked is not None:
            return self.failed(*asked.get("failed", [])) or self.raises(*asked.get("raises", []))
        indexes = {name: v.index for name, v in variables.items() if v.leads}
        if type(node).__name__ == "Subscript":
            names = node.slice.elts if type(node.slice).__name__ == "Tuple" else [node.slice]
            indexes = {n.id: variables[n.id].index for n in names}
            text = text[: text.index("[")]
        return self.scope.nodes.failed(text.strip(), indexes)


_OWN: Final[dict[str, Callable[..., object]]] = {
    "flat": Evaluation.flat,
    "member": Evaluation.member,
    "instance": Evaluation.instance,
    "failed": Evaluation.failed,
    "raises": Evaluation.raises,
    "error": Evaluation.error,
    "catches": Evaluation.catches,
}


def _in_turn(body: ast.expr) -> tuple[list[tuple[ast.expr, ast.expr]], ast.expr]:
    """Return what ``[result for x in [one] for y in [other]][0]`` names in turn, and the result.

    There may be hundreds of names, one for each step of a loop's body, which is too deep for
    clauses within each other.
    """
    found: Any = getattr(body, "value", None)
    clauses = found.generators if type(found).__name__ == "ListComp" else []
    is_plain = all(
        type(one.iter).__name__ == "List" and len(one.iter.elts) == 1 and not one.ifs
        for one in clauses
    )
    if not clauses or not is_plain or type(body).__name__ != "Subscript":
        return [], body
    return [(one.target, one.iter.elts[0]) for one in clauses], found.elt


def _is_deep() -> bool:
    """Whether half of Python's stack is used."""
    try:
        sys._getframe(sys.getrecursionlimit() // 2)
    except ValueError:
        return False
    return True


def _library_value(parts: list[str]) -> tuple[object, list[str]]:
    """Return a function as a value (of ``key=``), or a constant of a library and attributes."""
    from levada.operations import CONSTANTS, RESERVED, constant, named

    name = ".".join(parts)
    if parts[0] in RESERVED:
        function: Function | None = named(name)
        if function is not None:
            return function, []
        for length in range(len(parts), 0, -1):
            beginning = ".".join(parts[:length])
            if beginning in CONSTANTS:
                return constant(beginning), parts[length:]
    raise ExpressionError(f"`{name}` is not a parameter, node or variable here")


def _position(name: str) -> int | None:
    """Read ``_0``, an item of a tuple."""
    index = name[1:]
    return int(index) if name[:1] == "_" and index.isdecimal() else None


def _unpacking(name: str) -> list[int]:
    """Read ``_0of2``, one of exactly two items of anything, and ``_0of3at1``, with a star."""
    index, of, counts = name[1:].partition("of")
    numbers = [index, *counts.split("at")]
    is_one = name[:1] == "_" and of and len(numbers) <= 3 and all(map(str.isdecimal, numbers))
    return [int(number) for number in numbers] if is_one else []
