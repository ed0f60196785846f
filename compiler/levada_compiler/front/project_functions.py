"""Evaluates functions of the project that constants call, as far as they are pure and plain.

The statements are a closed subset. A function may change lists, dicts and sets that it has made
itself, never what it was given or what a constant holds: Python would change those for everyone.
"""

from __future__ import annotations

import ast

from levada.operations import UnsupportedError, operators
from levada.operations.plain import check_hashes, each, extent, finished, items, kind_of
from levada.operations.walker import Variable

from .not_constant import NotConstantError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, Final

    from levada.operations import Budget

    from . import modules as m
    from .constants import Folder

#: Calls within calls: a recursion this deep is not what a constant needs.
MAX_CALLS: Final = 40
#: Decorators that leave what a function returns as it is.
_CACHES: Final = ("functools.cache", "functools.lru_cache")
#: The methods that change a value in place, by its type.
_CHANGES: Final = {
    "list": ("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"),
    "dict": ("clear", "pop", "popitem", "setdefault", "update"),
    "set": ("add", "clear", "discard", "remove", "update"),
}
_LEFT_OUT: Final = {
    ast.AsyncFor: "`async for`",
    ast.AsyncWith: "`async with`",
    ast.AsyncFunctionDef: "a function within a function",
    ast.ClassDef: "a class within a function",
    ast.Delete: "`del`",
    ast.FunctionDef: "a function within a function",
    ast.Global: "`global`",
    ast.Import: "an import within a function",
    ast.ImportFrom: "an import within a function",
    ast.Match: "`match`",
    ast.Nonlocal: "`nonlocal`",
    ast.Try: "`try`",
}


class _Signal:
    """How a block was left before its end."""

    def __init__(self, kind: str, value: object = None) -> None:
        self.kind = kind
        self.value = value


_BREAK: Final = _Signal("break")
_CONTINUE: Final = _Signal("continue")


def evaluate(
    folder: Folder,
    function: m.Function,
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    node: ast.Call,
) -> Any:
    """Return what a function of the project returns.

    Raises NotConstantError for the call, with the place in the function that stopped it.
    """
    _check_callable(folder, function, node)
    call = Call(function, folder.under_call)
    body = folder.at(function.module, folder.limit if function.module is folder.module else None)
    body.under_call = call
    try:
        body.variables = call.bound(body, arguments, keywords)
        result = call.run(body)
    except NotConstantError as error:
        raise _stopped(error, folder, function, node) from error
    if function.node.decorator_list:
        call.keep(result)  # a cache gives the same value to all
    return result


def _check_callable(folder: Folder, function: m.Function, node: ast.Call) -> None:
    """Refuse what a decorator replaces, and what does not return its result."""
    name = ast.unparse(node.func)
    for decorator in function.node.decorator_list:
        if not folder.is_any(decorator, _CACHES, function.module):
            raise NotConstantError(node, f"`{name}(…)` would have to be run", module=folder.module)
    inside = (item for statement in function.node.body for item in ast.walk(statement))
    made = next((item for item in inside if isinstance(item, ast.Yield | ast.YieldFrom)), None)
    if made is not None or isinstance(function.node, ast.AsyncFunctionDef):
        why = "it is async" if made is None else "`yield` makes it a generator: return a list"
        stopped = NotConstantError(made or function.node, why, module=function.module)
        raise _stopped(stopped, folder, function, node)


def _stopped(
    error: NotConstantError, folder: Folder, function: m.Function, node: ast.Call
) -> NotConstantError:
    place = error.stopped or (error.module or function.module, error.node, error.why)
    reason = place[2]
    if error.rule == "constant-error":
        why = f"`{ast.unparse(node.func)}(…)` fails: {reason}"
    elif error.rule == "not-constant":
        why = f"`{ast.unparse(node.func)}(…)` cannot be evaluated while compiling: {reason}"
    else:
        why = f"`{ast.unparse(node.func)}(…)`: {reason}"
    help_text = error.help
    if error.rule == "not-constant" and not help_text:
        help_text = "change that line, or call the function in a step"
    return NotConstantError(node, why, error.rule, folder.module, help=help_text, stopped=place)


class Call:
    """One call of a function that is under way: its names, and what it may not change."""

    def __init__(self, function: m.Function, outer: Call | None) -> None:
        self.function = function
        self.locals = frozenset(_local_names(function.node))
        self.depth: int = outer.depth + 1 if outer else 1
        #: Values by their ids: those of constants, in all calls under way, and those given to it.
        self._constants: dict[int, object] = outer._constants if outer else {}
        self._given: dict[int, object] = {}

    def run(self, folder: Folder) -> Any:
        """Return what the body returns."""
        if self.depth > MAX_CALLS:
            why = f"calls are nested more than {MAX_CALLS} deep"
            raise NotConstantError(self.function.node, why, "constant-too-large", folder.module)
        signal = self._block(folder, self.function.node.body)
        return signal.value if signal is not None else None

    # ------------------------------------------------------------------ names and values

    def bound(
        self, folder: Folder, arguments: Sequence[Any], keywords: Mapping[str, Any]
    ) -> dict[str, Variable]:
        """Return the parameters with their arguments. Raises NotConstantError as Python would."""
        try:
            found = _bound(self.function.node, arguments, keywords)
        except TypeError as error:
            raise NotConstantError(
                self.function.node, str(error), "constant-error", folder.module
            ) from error
        definer = folder.at(self.function.module, self.function.node.lineno)
        values = {
            name: definer.fold(value.node) if isinstance(value, _Default) else value
            for name, value in found.items()
        }
        for value in values.values():
            self._remember(value, self._given)
        return {name: Variable(value, 0) for name, value in values.items()}

    def keep(self, value: object) -> None:
        """Note the value of a constant: it may not be changed."""
        self._remember(value, self._constants)

    def _remember(self, value: object, known: dict[int, object]) -> None:
        stack = [value]
        while stack:
            item = stack.pop()
            if id(item) in known or not isinstance(item, list | dict | set | tuple):
                continue
            known[id(item)] = item
            stack.extend(item.values() if isinstance(item, dict) else item)

    def check_assigned(self, node: ast.Name) -> None:
        """Refuse a name of the function's own that has no value yet."""
        if node.id in self.locals:
            raise NotConstantError(
                node, f"`{node.id}` has no value here", "constant-error", self.function.module
            )

    def _check_own(self, value: object, what: str, node: ast.AST) -> None:
        if id(value) in self._constants or id(value) in self._given:
            kind = type(value).__name__
            raise NotConstantError(
                node,
                f"{what} changes a {kind} that `{self.function.node.name}` has not made itself",
                module=self.function.module,
                help=f"copy it first: `xs = {kind}(xs)`",
            )

    # ------------------------------------------------------------------ changing values

    def changes(self, node: ast.Call) -> bool:
        """Whether a call may be that of a method that changes a value in place."""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        return any(name in names for names in _CHANGES.values())

    def changed(self, folder: Folder, node: ast.Call) -> Any:
        """Call such a method."""
        from levada.operations import method

        assert isinstance(node.func, ast.Attribute)  # noqa: S101 - what `changes` has found
        name = node.func.attr
        receiver = folder.value(node.func.value)
        arguments, keywords = folder.elements(node.args), folder.keywords(node)
        if name not in _CHANGES.get(kind_of(receiver) or "", ()):
            return method(receiver, name, arguments, keywords, folder.budget)
        self._check_own(receiver, f"`{name}`", node)
        if name in ("extend", "update"):
            arguments = [_listed(argument, folder.budget) for argument in arguments]
        key = keywords.get("key")
        if key is not None:
            keywords["key"] = lambda item: key.call([item], {}, folder.budget)
        _pay_for_change(folder.budget, receiver, name, [*arguments, *keywords.values()])
        before = len(receiver)
        result = getattr(receiver, name)(*arguments, **keywords)
        _check_growth(receiver, before, folder.budget)
        return result

    def _assign_item(self, folder: Folder, target: ast.Subscript, value: Any) -> None:
        holder, index = folder.value(target.value), folder.value(target.slice)
        self._set_item(folder, target, holder, index, value)

    def _set_item(
        self, folder: Folder, target: ast.Subscript, holder: Any, index: Any, value: Any
    ) -> None:
        self._check_own(holder, "this", target)
        if isinstance(index, slice):
            value = _listed(value, folder.budget)
        _pay_for_change(folder.budget, holder, "", [index, value])
        if kind_of(holder) not in ("list", "dict"):
            kind = type(holder).__name__
            raise TypeError(f"'{kind}' object does not support item assignment")
        before = len(holder)
        holder[index] = value
        _check_growth(holder, before, folder.budget)

    # ------------------------------------------------------------------ statements

    def _block(self, folder: Folder, statements: Sequence[ast.stmt]) -> _Signal | None:
        for node in statements:
            signal = self._statement(folder, node)
            if signal is not None:
                return signal
        return None

    def _statement(self, folder: Folder, node: ast.stmt) -> _Signal | None:
        handler = _STATEMENTS.get(type(node), Call._refuse)
        try:
            folder.budget.spend(1)
            return handler(self, folder, node)
        except (NotConstantError, RecursionError, MemoryError):
            raise
        except Exception as error:
            raise folder.failed(error, node) from error

    def _refuse(self, folder: Folder, node: ast.stmt) -> None:  # noqa: ARG002
        what = _LEFT_OUT.get(type(node), f"`{type(node).__name__.lower()}`")
        raise UnsupportedError(f"{what} is not available in a function that constants call")

    def _expression(self, folder: Folder, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            folder.value(node.value)

    def _pass(self, folder: Folder, node: ast.Pass) -> None:
        pass

    def _return(self, folder: Folder, node: ast.Return) -> _Signal:
        return _Signal("return", None if node.value is None else folder.value(node.value))

    def _break(self, folder: Folder, node: ast.Break) -> _Signal:  # noqa: ARG002
        return _BREAK

    def _continue(self, folder: Folder, node: ast.Continue) -> _Signal:  # noqa: ARG002
        return _CONTINUE

    def _assign(self, folder: Folder, node: ast.Assign) -> None:
        if isinstance(node.value, ast.Lambda):
            raise UnsupportedError("a lambda cannot be used but as `key=`: define a function")
        value = folder.value(node.value)
        for target in node.targets:
            self._assign_to(folder, target, value)

    def _with(self, folder: Folder, node: ast.With) -> _Signal | None:
        from .project_files import OpenFile

        for item in node.items:
            value = folder.value(item.context_expr)
            if not isinstance(value, OpenFile):
                what = "`with` of anything but `open(…)`"
                raise UnsupportedError(f"{what} is not available in a function that constants call")
            value.ends = True
            if item.optional_vars is not None:
                self._assign_to(folder, item.optional_vars, value)
        return self._block(folder, node.body)

    def _assign_annotated(self, folder: Folder, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._assign_to(folder, node.target, folder.value(node.value))

    def _assign_to(self, folder: Folder, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Subscript):
            self._assign_item(folder, target, value)
        elif isinstance(target, ast.Tuple | ast.List):
            parts = folder.unpacked(target.elts, value)
            for part, item in zip(target.elts, parts, strict=True):
                inner = part.value if isinstance(part, ast.Starred) else part
                self._assign_to(folder, inner, item)
        elif isinstance(target, ast.Name):
            folder.variables[target.id] = Variable(value, 0)
        else:
            raise UnsupportedError("an attribute cannot be assigned in a function of a constant")

    def _augment(self, folder: Folder, node: ast.AugAssign) -> None:
        target = node.target
        if isinstance(target, ast.Subscript):
            holder, index = folder.value(target.value), folder.value(target.slice)
            current = operators.subscript(holder, index, folder.budget)
            self._set_item(folder, target, holder, index, self._augmented(folder, node, current))
        elif isinstance(target, ast.Name):
            value = self._augmented(folder, node, folder.value(target))
            folder.variables[target.id] = Variable(value, 0)
        else:
            raise UnsupportedError("an attribute cannot be assigned in a function of a constant")

    def _augmented(self, folder: Folder, node: ast.AugAssign, current: Any) -> Any:
        """Return ``current op= value``: Python changes lists, dicts and sets in place."""
        given = folder.value(node.value)
        symbol = operators.BINARY_SYMBOLS[type(node.op).__name__]
        kind = kind_of(current)
        if kind not in _CHANGES:
            return operators.binary(symbol, current, given, folder.budget)
        self._check_own(current, f"`{symbol}=`", node)
        grow = {("list", "+"): "extend", ("set", "|"): "update", ("dict", "|"): "update"}
        if (kind, symbol) in grow:
            if kind == "list":
                given = _listed(given, folder.budget)
            elif kind_of(given) != kind:
                return operators.binary(symbol, current, given, folder.budget)
            _pay_for_change(folder.budget, current, "", [given])
            before = len(current)
            getattr(current, grow[kind, symbol])(given)
            _check_growth(current, before, folder.budget)
            return current
        value = operators.binary(symbol, current, given, folder.budget)
        content = list(value)
        current.clear()
        current.extend(content) if kind == "list" else current.update(content)
        return current

    def _if(self, folder: Folder, node: ast.If) -> _Signal | None:
        return self._block(folder, node.body if folder.truth(node.test) else node.orelse)

    def _for(self, folder: Folder, node: ast.For) -> _Signal | None:
        for item in each(folder.value(node.iter), folder.budget):
            self._assign_to(folder, node.target, item)
            signal = self._block(folder, node.body)
            if signal is _BREAK:
                return None
            if signal is not None and signal is not _CONTINUE:
                return signal
        return self._block(folder, node.orelse)

    def _while(self, folder: Folder, node: ast.While) -> _Signal | None:
        while folder.truth(node.test):
            signal = self._block(folder, node.body)
            if signal is _BREAK:
                return None
            if signal is not None and signal is not _CONTINUE:
                return signal
        return self._block(folder, node.orelse)

    def _raise(self, folder: Folder, node: ast.Raise) -> None:
        raised = node.exc
        text = "an exception"
        if isinstance(raised, ast.Call):
            parts = [str(finished(folder.value(part), folder.budget)) for part in raised.args[:1]]
            text = ": ".join([ast.unparse(raised.func), *parts])
        elif raised is not None:
            text = ast.unparse(raised)
        raise NotConstantError(node, text, "constant-error", self.function.module)

    def _assert(self, folder: Folder, node: ast.Assert) -> None:
        if not folder.truth(node.test):
            parts = [] if node.msg is None else [str(folder.value(node.msg))]
            text = ": ".join(["AssertionError", *parts])
            raise NotConstantError(node, text, "constant-error", self.function.module)


_STATEMENTS: Final[dict[type[ast.stmt], Callable[[Call, Folder, Any], _Signal | None]]] = {
    ast.AnnAssign: Call._assign_annotated,
    ast.Assert: Call._assert,
    ast.Assign: Call._assign,
    ast.AugAssign: Call._augment,
    ast.Break: Call._break,
    ast.Continue: Call._continue,
    ast.Expr: Call._expression,
    ast.For: Call._for,
    ast.If: Call._if,
    ast.Pass: Call._pass,
    ast.Raise: Call._raise,
    ast.Return: Call._return,
    ast.While: Call._while,
    ast.With: Call._with,
}


# ---------------------------------------------------------------------------- parameters


class _Default:
    """The default of a parameter that was not given."""

    def __init__(self, node: ast.expr) -> None:
        self.node = node


def _bound(
    node: m.FunctionNode, arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what each parameter is given. Raises Python's TypeErrors."""
    given = node.args
    plain = [parameter.arg for parameter in (*given.posonlyargs, *given.args)]
    only = {parameter.arg for parameter in given.posonlyargs}
    found: dict[str, Any] = dict(zip(plain, arguments, strict=False))
    if given.vararg is not None:
        found[given.vararg.arg] = tuple(arguments[len(plain) :])
    elif len(arguments) > len(plain):
        count = f"{len(plain)} positional argument" + ("s" if len(plain) != 1 else "")
        were = "was" if len(arguments) == 1 else "were"
        raise TypeError(f"{node.name}() takes {count} but {len(arguments)} {were} given")
    more: dict[str, Any] = {}
    known = {*plain, *(parameter.arg for parameter in given.kwonlyargs)} - only
    for name, value in keywords.items():
        if name in known and name in found:
            raise TypeError(f"{node.name}() got multiple values for argument '{name}'")
        if name not in known and given.kwarg is None:
            raise TypeError(f"{node.name}() got an unexpected keyword argument '{name}'")
        (found if name in known else more)[name] = value
    if given.kwarg is not None:
        found[given.kwarg.arg] = more
    return _with_defaults(node, plain, found)


def _with_defaults(node: m.FunctionNode, plain: list[str], found: dict[str, Any]) -> dict[str, Any]:
    given = node.args
    defaults: dict[str, ast.expr | None] = dict(
        zip(plain[len(plain) - len(given.defaults) :], given.defaults, strict=True)
    )
    keyword_only = [parameter.arg for parameter in given.kwonlyargs]
    defaults |= dict(zip(keyword_only, given.kw_defaults, strict=True))
    for names, kind in ((plain, "positional"), (keyword_only, "keyword-only")):
        missing = [f"'{n}'" for n in names if n not in found and defaults.get(n) is None]
        if missing:
            listed = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
            argument = f"{kind} argument" + ("s" if len(missing) > 1 else "")
            raise TypeError(f"{node.name}() missing {len(missing)} required {argument}: {listed}")
    for name, default in defaults.items():
        if name not in found and default is not None:
            found[name] = _Default(default)
    return found


def _local_names(node: m.FunctionNode) -> Iterator[str]:
    """Return the names that belong to a function: its parameters, and what it assigns."""
    for item in ast.walk(node.args):
        if isinstance(item, ast.arg):
            yield item.arg
    stack: list[ast.AST] = list(node.body)
    while stack:
        inner = stack.pop()
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            yield inner.id
        if not isinstance(inner, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            stack.extend(ast.iter_child_nodes(inner))


# ---------------------------------------------------------------------------- prices


def _listed(value: Any, budget: Budget) -> Any:
    return value if kind_of(value) == "dict" else items(value, budget)


def _pay_for_change(budget: Budget, holder: Any, name: str, given: Sequence[Any]) -> None:
    measured = extent(budget, *(value for value in given if not callable(value)))
    budget.spend(10 + measured.steps, 100 * measured.count)
    if name in ("sort", "insert", "pop", "remove", "reverse"):
        inside = extent(budget, holder)
        rounds = len(holder).bit_length() if name == "sort" else 1
        budget.spend(rounds * (inside.steps + len(holder) // 20))


def _check_growth(holder: Any, before: int, budget: Budget) -> None:
    """Look at the hashes of a dict or set whenever its size has doubled."""
    size = len(holder)
    if type(holder) is not list and size.bit_length() != before.bit_length():
        check_hashes(holder, size, budget)
