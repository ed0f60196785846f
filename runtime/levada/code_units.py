"""What the top-level statements of a module bind, use and do: the units of a slice.

One pass over the syntax, without recursion (generated code nests deeper than the interpreter's
stack). Names are resolved by Python's scoping rules, so that a local variable is never taken
for a helper of the same name.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

#: How a name is used: called (or changed in place), taken as a value.
CALLED, VALUE = 1, 2

#: Functions and methods that open the file that their first argument names.
_READERS = frozenset(("genfromtxt", "imread", "loadtxt", "open", "read_bytes", "read_text"))
_FUNCTIONS = frozenset(("FunctionDef", "AsyncFunctionDef", "Lambda"))
_COMPREHENSIONS = frozenset(("ListComp", "SetComp", "GeneratorExp", "DictComp"))

if TYPE_CHECKING:
    #: A name, and the attributes taken from it: ``np.random.seed`` is ("np", ("random", "seed")).
    Reference = tuple[str, tuple[str, ...]]
    #: An import: the dots in front, the module, and the name taken from it (None: the module).
    Import = tuple[int, str, str | None]


class Unit:
    """One top-level statement, or one name of an import.

    ``references`` are the names of the module that it uses, ``inner`` the uses of what its
    functions import, ``imports`` all that it imports, and ``early`` those that run when the
    module is imported. ``reads`` are texts that name a file which it opens to read. ``statement``
    is what is written in the source, all names of an import included. ``outer`` is the
    function that a step is declared within, None for what is at the top level.
    """

    __slots__ = (
        "bound",
        "decorators",
        "early",
        "imports",
        "index",
        "inner",
        "is_typing",
        "kind",
        "node",
        "outer",
        "path",
        "reads",
        "reads_docstrings",
        "references",
        "stars",
        "statement",
    )

    def __init__(self, path: str, index: int, node: ast.AST, *, is_typing: bool) -> None:
        """Make a unit of what :func:`read_units` found; ``kind`` tells what it defines."""
        self.path = path
        self.index = index
        self.node = self.statement = node
        self.kind = _kind(node)
        self.outer: Unit | None = None
        self.is_typing = is_typing
        self.bound: dict[str, Import | None] = {}
        self.decorators: list[ast.expr] = []
        self.references: dict[Reference, int] = {}
        self.inner: dict[tuple[Import, tuple[str, ...]], int] = {}
        self.imports: list[Import] = []
        self.early: list[Import] = []
        self.stars: list[Import] = []
        self.reads: list[ast.Constant] = []
        self.reads_docstrings = False


def _kind(node: ast.AST) -> str:
    name = node.__class__.__name__
    if name in _FUNCTIONS:
        return "function"
    if name == "ClassDef":
        return "class"
    if name in ("Assign", "AnnAssign", "AugAssign", "TypeAlias"):
        return "variable"
    return "import" if name in ("Import", "ImportFrom", "alias") else "other"


def read_units(path: str, tree: ast.Module) -> list[Unit]:
    """Split a module into units, in source order; what runs only as a script is left out."""
    units: list[Unit] = []
    for statement, is_typing in _statements(tree.body):
        name = statement.__class__.__name__
        aliases = statement.names if name in ("Import", "ImportFrom") else [None]
        for alias in aliases:
            unit = Unit(path, len(units), statement, is_typing=is_typing)
            if alias is None:
                _Scanner(unit).scan_statement(statement)
            else:
                unit.node = _single(statement, alias)
                _Scanner(unit).scan([unit.node])
            units.append(unit)
    return units


def nested_unit(outer: Unit, name: str) -> Unit | None:
    """Return the function ``name`` that the function ``outer`` defines, as ``outer.name``.

    Its names are those of the module: it uses no local variable of ``outer``. None if there is no
    such function directly in the body.
    """
    node = nested_function(outer.node, name)
    if node is None:
        return None
    unit = Unit(outer.path, outer.index, node, is_typing=outer.is_typing)
    unit.outer = outer
    _Scanner(unit).scan_statement(node)
    unit.bound = {f"{outer.node.name}.{name}": None}  # type: ignore[attr-defined]
    return unit


def nested_function(outer: Any, name: str) -> ast.FunctionDef | None:
    """Return the last function ``name`` directly in the body of a function or module."""
    found: ast.FunctionDef | None = None
    for node in outer.body if outer.__class__.__name__ in ("FunctionDef", "Module") else ():
        if node.__class__.__name__ == "FunctionDef" and node.name == name:
            found = node
    return found


def free_names(node: ast.FunctionDef) -> set[str]:
    """Return the names that a function uses of what is around it, builtins among them.

    Those of its decorators, defaults and annotations are included.
    """
    unit = Unit("", 0, node, is_typing=False)
    scanner = _Scanner(unit)
    scanner.scan_statement(node)
    scanner.scan(unit.decorators)
    return {name for name, _ in unit.references}


def local_names(function: ast.FunctionDef) -> set[str]:
    """Return the parameters of a function, and the names that its body binds."""
    unit = Unit("", 0, function, is_typing=False)
    scanner = _Scanner(unit)
    for statement in function.body:
        scanner.scan_statement(statement)
    return {each.arg for each in _arguments(function.args)} | set(unit.bound)


def _single(statement: Any, alias: ast.alias) -> Any:
    """Make an import of one name, so that its neighbours in the statement do not matter."""
    if statement.__class__.__name__ == "Import":
        return statement.__class__(names=[alias])
    return statement.__class__(module=statement.module, names=[alias], level=statement.level)


def _statements(body: Iterable[Any]) -> Iterable[tuple[Any, bool]]:
    """Yield the statements, with whether only type checkers see them."""
    for statement in body:
        test = getattr(statement, "test", None)
        is_plain_if = statement.__class__.__name__ == "If" and not statement.orelse
        if is_plain_if and _is_type_checking(test):
            for inner in statement.body:
                yield inner, True
        elif not (is_plain_if and _is_main(test)):
            yield statement, False


def _is_type_checking(test: object) -> bool:
    return "TYPE_CHECKING" in (getattr(test, "id", None), getattr(test, "attr", None))


def _is_main(test: object) -> bool:
    sides = [getattr(test, "left", None), *getattr(test, "comparators", ())]
    return len(sides) == 2 and {
        getattr(side, "id", getattr(side, "value", None)) for side in sides
    } == {"__name__", "__main__"}


def reference(node: Any) -> Reference | None:
    """Return what a chain of attributes, subscripts and calls starts from.

    The attributes are those up to the first subscript or call: ``app.routes["/"].add`` gives
    ``("app", ("routes",))``. None where the chain does not start from a name.
    """
    chain: list[str] = []
    while True:
        name = node.__class__.__name__
        if name == "Name":
            return node.id, tuple(reversed(chain))
        if name == "Attribute":
            chain.append(node.attr)
            node = node.value
        elif name in ("Subscript", "Call", "Await", "Starred", "keyword"):
            chain.clear()
            node = getattr(node, "func", None) or node.value
        else:
            return None


def scan_expressions(unit: Unit, nodes: list[ast.expr]) -> None:
    """Add to ``unit`` what some of its decorators use."""
    _Scanner(unit).scan(list(nodes))


class _Scope:
    """The names of a module, class, function or comprehension while it is scanned."""

    __slots__ = ("bound", "imports", "kind", "outer", "parent", "references")

    def __init__(self, kind: str, parent: _Scope | None, bound: Iterable[str] = ()) -> None:
        self.kind = kind
        self.parent = parent
        self.bound = set(bound)
        self.outer: dict[str, str] = {}  # declared global or nonlocal
        self.imports: dict[str, list[Import]] = {}
        self.references: dict[Reference, int] = {}


class _Enter:
    __slots__ = ("bound", "kind")

    def __init__(self, kind: str, bound: Iterable[str] = ()) -> None:
        self.kind = kind
        self.bound = bound


_LEAVE = object()


class _Scanner:
    """Scans syntax into a unit. ``stack`` holds what is still to be visited."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.module = self.scope = _Scope("module", None)
        self.module.references = unit.references
        self.stack: list[Any] = []

    def scan_statement(self, statement: ast.stmt) -> None:
        """Scan a top-level statement; a definition's decorators are kept for later."""
        decorators = getattr(statement, "decorator_list", None)
        if decorators:
            self.unit.decorators = decorators
        self.scan([statement])

    def scan(self, nodes: Iterable[ast.AST]) -> None:
        self.push(list(nodes))
        while self.stack:
            item = self.stack.pop()
            if item is _LEAVE:
                self.leave()
            elif item.__class__ is _Enter:
                self.scope = _Scope(item.kind, self.scope, item.bound)
            else:
                name = item.__class__.__name__
                visit = _VISITS.get(name)
                if visit is None:
                    self.push_children(item)
                else:
                    visit(self, item)

    def push(self, nodes: Iterable[object]) -> None:
        """Have ``nodes`` visited next, in order."""
        self.stack.extend(node for node in reversed(list(nodes)) if node is not None)

    def push_children(self, node: ast.AST) -> None:
        children: list[object] = []
        for field in node._fields:
            value = getattr(node, field, None)
            if value.__class__ is list:
                children.extend(each for each in value if hasattr(each, "_fields"))
            elif hasattr(value, "_fields"):
                children.append(value)
        self.push(children)

    # ------------------------------------------------------------------ names

    def bind(self, name: str) -> None:
        scope = self.scope
        if scope.kind == "module":
            self.unit.bound.setdefault(name, None)
        elif scope.outer.get(name) == "global":
            self.unit.bound.setdefault(name, None)
            self.use(name, (), CALLED)
        else:
            scope.bound.add(name)

    def bind_import(self, name: str, target: Import) -> None:
        if self.scope.kind == "module" or self.scope.outer.get(name) == "global":
            self.unit.bound[name] = target
        else:
            self.scope.bound.add(name)
            self.scope.imports.setdefault(name, []).append(target)

    def use(self, name: str, chain: tuple[str, ...], how: int) -> None:
        scope = self.scope
        # A class body reads the module's name until it binds one of its own.
        if scope.kind == "class" and name in scope.bound and name not in scope.outer:
            self.use_import(scope, name, chain, how)
            return
        key = (name, chain)
        scope.references[key] = scope.references.get(key, 0) | how

    def use_import(self, scope: _Scope, name: str, chain: tuple[str, ...], how: int) -> None:
        for target in scope.imports.get(name, ()):
            key = (target, chain)
            self.unit.inner[key] = self.unit.inner.get(key, 0) | how

    def leave(self) -> None:
        """Close a scope: what it does not bind belongs to the scopes around it."""
        scope = self.scope
        parent = scope.parent
        assert parent is not None  # noqa: S101 - a scope that was entered has a parent
        self.scope = parent
        outside = parent
        if scope.kind != "class":
            while outside.kind == "class" and outside.parent is not None:
                outside = outside.parent
        for (name, chain), how in scope.references.items():
            declared = scope.outer.get(name)
            holder = self.module if declared == "global" else outside
            if scope.kind != "class" and declared is None and name in scope.bound:
                self.use_import(scope, name, chain, how)
            else:
                key = (name, chain)
                holder.references[key] = holder.references.get(key, 0) | how

    # ------------------------------------------------------------------ visits

    def visit_name(self, node: ast.Name) -> None:
        if node.ctx.__class__.__name__ == "Load":
            self.use(node.id, (), VALUE)
        else:
            self.bind(node.id)
        if node.id in ("__doc__", "getdoc"):
            self.unit.reads_docstrings = True

    def visit_attribute(self, node: ast.Attribute, how: int = VALUE) -> None:
        chain = [node.attr]
        inner: Any = node.value
        while inner.__class__.__name__ == "Attribute":
            chain.append(inner.attr)
            inner = inner.value
        if "__doc__" in chain or "getdoc" in chain:
            self.unit.reads_docstrings = True
        if node.ctx.__class__.__name__ != "Load":
            how = CALLED
        if inner.__class__.__name__ == "Name":
            self.use(inner.id, tuple(reversed(chain)), how)
        else:
            self.push([inner])

    def visit_subscript(self, node: ast.Subscript) -> None:
        if node.ctx.__class__.__name__ != "Load":
            base = reference(node.value)
            if base is not None:
                self.use(*base, CALLED)
        self.push([node.value, node.slice])

    def visit_call(self, node: ast.Call) -> None:
        function: Any = node.func
        name = function.__class__.__name__
        if name == "Name":
            self.use(function.id, (), CALLED)
            self.note_docstring_reader(function.id)
        elif name == "Attribute":
            self.visit_attribute(function, CALLED)
        self.note_read(node)
        self.note_dynamic_import(node)
        rest = [] if name in ("Name", "Attribute") else [function]
        self.push([*rest, *node.args, *node.keywords])

    def note_docstring_reader(self, name: str) -> None:
        if name == "getdoc":
            self.unit.reads_docstrings = True

    def note_read(self, node: ast.Call) -> None:
        function: Any = node.func
        called = getattr(function, "attr", getattr(function, "id", ""))
        if called not in _READERS and not called.startswith("read_"):
            return
        mode: Any = node.args[1] if len(node.args) > 1 else None
        mode = next((each.value for each in node.keywords if each.arg == "mode"), mode)
        named: Any = node.args[0] if node.args else None
        holder: Any = getattr(function, "value", None)
        if holder.__class__.__name__ == "Call" and holder.args:  # Path("…").read_text()
            named, mode = holder.args[0], named
        writes = str(getattr(mode, "value", "r")).strip("rbtU") if called == "open" else ""
        if isinstance(getattr(named, "value", None), str) and not writes:
            self.unit.reads.append(named)

    def note_dynamic_import(self, node: ast.Call) -> None:
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        text = getattr(node.args[0], "value", None) if node.args else None
        if called in ("import_module", "__import__") and isinstance(text, str) and text:
            module = text.lstrip(".")
            target = (len(text) - len(module), module, None)
            self.add_import(target)
            self.unit.inner[target, ()] = VALUE

    def visit_assign(self, node: Any) -> None:
        annotation = getattr(node, "annotation", None)
        targets = getattr(node, "targets", None) or [node.target]
        self.push([annotation, node.value, *targets])

    def visit_augmented(self, node: Any) -> None:
        if node.target.__class__.__name__ == "Name":
            self.use(node.target.id, (), VALUE)
        self.push([node.value, node.target])

    def visit_named(self, node: ast.NamedExpr) -> None:
        scope = self.scope
        while self.scope.kind == "comprehension" and self.scope.parent is not None:
            self.scope = self.scope.parent
        self.bind(node.target.id)
        self.scope = scope
        self.push([node.value])

    def visit_function(self, node: ast.FunctionDef) -> None:
        self.bind(node.name)
        arguments = _arguments(node.args)
        outside = [
            *node.args.defaults,
            *node.args.kw_defaults,
            *(each.annotation for each in arguments),
            node.returns,
        ]
        names = [each.arg for each in arguments]
        inside = [_Enter("function", names), *node.body, _LEAVE]
        self.push([*self.own_decorators(node), *_generic(node, [*outside, *inside])])

    def visit_lambda(self, node: ast.Lambda) -> None:
        names = [each.arg for each in _arguments(node.args)]
        outside = [*node.args.defaults, *node.args.kw_defaults]
        self.push([*outside, _Enter("function", names), node.body, _LEAVE])

    def visit_class(self, node: ast.ClassDef) -> None:
        self.bind(node.name)
        inside = [*node.bases, *node.keywords, _Enter("class"), *node.body, _LEAVE]
        self.push([*self.own_decorators(node), *_generic(node, inside)])

    def own_decorators(self, node: ast.FunctionDef | ast.ClassDef) -> list[ast.expr]:
        """Return the decorators, but for those of the unit itself."""
        return [] if node is self.unit.node else node.decorator_list

    def visit_comprehension(self, node: Any) -> None:
        first, *others = node.generators
        parts: list[object] = [first.iter, _Enter("comprehension"), first.target, *first.ifs]
        for each in others:
            parts += [each.iter, each.target, *each.ifs]
        values = [node.key, node.value] if hasattr(node, "key") else [node.elt]
        self.push([*parts, *values, _LEAVE])

    def visit_import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.add_import((0, alias.name, None))
            first = alias.name.partition(".")[0]
            if alias.asname:
                self.bind_import(alias.asname, (0, alias.name, None))
            else:
                self.bind_import(first, (0, first, None))

    def visit_import_from(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            target = (node.level, node.module or "", alias.name)
            if alias.name == "*":
                self.add_import((node.level, node.module or "", None))
                self.unit.stars.append((node.level, node.module or "", None))
            else:
                self.add_import(target)
                self.bind_import(alias.asname or alias.name, target)

    def add_import(self, target: Import) -> None:
        self.unit.imports.append(target)
        scope: _Scope | None = self.scope
        while scope is not None and scope.kind != "function":
            scope = scope.parent
        if scope is None:
            self.unit.early.append(target)

    def visit_declaration(self, node: ast.Global | ast.Nonlocal) -> None:
        declared = node.__class__.__name__.lower()
        self.scope.outer.update(dict.fromkeys(node.names, declared))
        for name in node.names if declared == "nonlocal" else ():
            self.use(name, (), CALLED)

    def visit_named_part(self, node: ast.AST) -> None:
        """Visit what binds a plain string: an exception's name, a capture of a pattern."""
        name = getattr(node, "name", None) or getattr(node, "rest", None)
        if name:
            self.bind(name)
        self.push_children(node)

    def visit_constant(self, node: ast.Constant) -> None:
        """Pass: a constant uses nothing, and neither does an annotation in quotes."""


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    rest = [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *rest]


def _generic(node: ast.AST, inside: Sequence[object]) -> Sequence[object]:
    """Put the scope of the type parameters (Python 3.12) around ``inside``."""
    parameters = getattr(node, "type_params", None)
    if not parameters:
        return inside
    return [_Enter("function", [each.name for each in parameters]), *parameters, *inside, _LEAVE]


_VISITS: dict[str, Callable[[_Scanner, Any], None]] = {
    "AnnAssign": _Scanner.visit_assign,
    "Assign": _Scanner.visit_assign,
    "AsyncFunctionDef": _Scanner.visit_function,
    "Attribute": _Scanner.visit_attribute,
    "AugAssign": _Scanner.visit_augmented,
    "Call": _Scanner.visit_call,
    "ClassDef": _Scanner.visit_class,
    "Constant": _Scanner.visit_constant,
    "ExceptHandler": _Scanner.visit_named_part,
    "FunctionDef": _Scanner.visit_function,
    "Global": _Scanner.visit_declaration,
    "Import": _Scanner.visit_import,
    "ImportFrom": _Scanner.visit_import_from,
    "Lambda": _Scanner.visit_lambda,
    "MatchAs": _Scanner.visit_named_part,
    "MatchMapping": _Scanner.visit_named_part,
    "MatchStar": _Scanner.visit_named_part,
    "Name": _Scanner.visit_name,
    "NamedExpr": _Scanner.visit_named,
    "Nonlocal": _Scanner.visit_declaration,
    "Subscript": _Scanner.visit_subscript,
    **dict.fromkeys(_COMPREHENSIONS, _Scanner.visit_comprehension),
}
