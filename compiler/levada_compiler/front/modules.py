"""Modules of the project as syntax, and what a name in one of them refers to.

Nothing is imported: an import of a project module is followed by parsing that module, any other
import is an :class:`External` with its qualified name. Modules of installed distributions are
parsed where one of the same distribution imports them, or one of which a pipeline names something
that it can use (:meth:`Modules.open`).
"""

from __future__ import annotations

import ast
import builtins
import sys

import levada

from ..diagnostics.diagnostic import Span
from ..slotted import dataclass
from .budget import CompilationBudget
from .source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Final, TypeAlias

    from levada.code import Code
    from levada.project import Project

    from ..diagnostics.reports import Reports
    from .constants import Folder

BUILTINS = frozenset(dir(builtins)) | {"__file__"}
#: Whose subclasses are enumerations.
ENUMS = frozenset(
    f"enum.{name}" for name in ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "ReprEnum")
)
#: What an enumeration converts its values to.
VALUE_TYPES: Final[dict[str, type]] = {
    "enum.IntEnum": int,
    "enum.IntFlag": int,
    "enum.StrEnum": str,
    "int": int,
    "str": str,
    "float": float,
}
FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, eq=False)
class Making:
    """``name = step(function, …)`` in ``module``: makes a step of a function that exists.

    ``given`` is what ``function`` refers to. With ``is_container`` the call is
    ``container(image, …)``: the step runs a program of that image.
    """

    module: Module
    name: str
    node: ast.stmt
    call: ast.Call
    given: Definition | None
    is_container: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function of a project module.

    Of one that ``making`` makes a step of, ``node`` is a copy with the step's name, and ``module``
    is where the function itself is. ``pipeline`` is the one that a step is declared within.
    """

    module: Module
    node: FunctionNode
    making: Making | None = None
    pipeline: FunctionNode | None = None

    @property
    def path(self) -> str:
        """The name by which a run finds it in its module: ``function`` or ``pipeline.step``."""
        if self.making is not None:
            return self.making.name
        return f"{self.pipeline.name}.{self.node.name}" if self.pipeline else self.node.name

    @property
    def key(self) -> str:
        """``module:function``, by which a run finds it."""
        module = self.module if self.making is None else self.making.module
        return f"{module.name}:{self.path}"


@dataclass(frozen=True, slots=True, eq=False)
class Class:
    """A class of a project module."""

    module: Module
    node: ast.ClassDef

    @property
    def key(self) -> str:
        """``module:Class``."""
        return f"{self.module.name}:{self.node.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """An assignment at module level, or in a class at module level (``owner``).

    ``value`` is None where there is not just one.
    """

    module: Module
    name: str
    value: ast.expr | None
    node: ast.stmt
    owner: Class | None = None


@dataclass(frozen=True, slots=True)
class External:
    """Something from outside the project, by its qualified name (``pandas.DataFrame``)."""

    name: str


#: What ``step`` is to those who import it.
STEP: Final = (External("levada.step"), External("levada.declarations.step"))
#: What ``container`` is to those who import it.
CONTAINER: Final = (External("levada.container"), External("levada.declarations.container"))


@dataclass(frozen=True, slots=True, eq=False)
class EnumMember:
    """A member of an enumeration of the project; ``value`` is what its ``.value`` is."""

    owner: Class
    name: str
    value: Constant


Definition: TypeAlias = "Function | Class | Constant | EnumMember | External | Module"


@dataclass(frozen=True, slots=True)
class Import:
    """``import a.b`` or ``from a import b``: ``member`` is None for the former."""

    target: str
    member: str | None
    node: ast.stmt


Binding: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | Import | Constant"


class Module:
    """One parsed module of the project, with what its top level binds."""

    def __init__(self, path: str, name: str, source: Source, tree: ast.Module) -> None:
        self.path = path
        self.name = name
        self.source = source
        self.tree = tree
        self.bindings: dict[str, Binding] = {}
        self.rebound: dict[ast.stmt, Binding] = {}  #: what a name was before it was assigned
        self.functions: list[FunctionNode] = []
        self.stars: list[Import] = []
        self.folded: dict[str, object] = {}  #: constants whose value is known (by ``constants``)
        #: the same where functions and classes of the project are values
        self.folded_with_definitions: dict[str, object] = {}
        self._changed_attributes: set[str] | None = None
        self._class_bodies: dict[ast.ClassDef, dict[str, list[ast.stmt]]] = {}
        self._bind(tree.body, certain=True)

    @property
    def package(self) -> str:
        """The package that relative imports start from."""
        if self.path.endswith("__init__.py"):
            return self.name
        return self.name.rpartition(".")[0]

    def span(self, node: ast.AST) -> Span:
        """The range of ``node`` in this module."""
        return self.source.span(node)

    def changed_attributes(self) -> set[str]:
        """The attributes that any code of the module assigns or deletes, of whatever object."""
        if self._changed_attributes is None:
            self._changed_attributes = {
                node.attr
                for node in ast.walk(self.tree)
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del)
            }
        return self._changed_attributes

    def bound_in(self, node: ast.ClassDef) -> dict[str, list[ast.stmt]]:
        """The statements of a class body by the names that they bind."""
        if node not in self._class_bodies:
            found: dict[str, list[ast.stmt]] = {}
            for statement in node.body:
                for name in _bound_in_class(statement):
                    found.setdefault(name, []).append(statement)
            self._class_bodies[node] = found
        return self._class_bodies[node]

    def _bind(self, body: list[ast.stmt], *, certain: bool) -> None:
        for node in body:
            self._bind_statement(node, certain=certain)

    def _bind_statement(self, node: ast.stmt, *, certain: bool) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self.functions.append(node)
            self.bindings[node.name] = node
        elif isinstance(node, ast.ClassDef):
            self.bindings[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self._bind_import(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Delete):
            self._bind_assignment(node, certain=certain)
        elif type(node).__name__ == "TypeAlias":  # `type Name = …`, from Python 3.12 on
            self._bind_type_alias(node)
        elif isinstance(node, ast.With) and certain and _opens_files(node):
            for item in node.items:
                if isinstance(item.optional_vars, ast.Name):
                    name = item.optional_vars.id
                    self.bindings[name] = Constant(self, name, item.context_expr, node)
            self._bind(node.body, certain=True)
        else:
            for block in _blocks(node):
                self._bind(block, certain=False)
            for name in _names_bound_by(node):
                self.bindings[name] = Constant(self, name, None, node)

    def _bind_type_alias(self, node: Any) -> None:
        self.bindings[node.name.id] = Constant(self, node.name.id, node.value, node)

    def _bind_import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.ImportFrom):
            target = self.absolute(node)
            for alias in node.names:
                if alias.name == "*":
                    self.stars.append(Import(target, None, node))
                else:
                    self.bindings[alias.asname or alias.name] = Import(target, alias.name, node)
            return
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            target = alias.name if alias.asname else name
            self.bindings[name] = Import(target, None, node)

    def absolute(self, node: ast.ImportFrom) -> str:
        """The dotted name of what a ``from … import`` imports from."""
        if not node.level:
            return node.module or ""
        parts = self.package.split(".")
        kept = parts[: len(parts) - (node.level - 1)]
        return ".".join([part for part in kept if part] + ([node.module] if node.module else []))

    def _bind_assignment(
        self, node: ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Delete, *, certain: bool
    ) -> None:
        value = node.value if certain and isinstance(node, ast.Assign | ast.AnnAssign) else None
        if isinstance(node, ast.AnnAssign) and node.value is None:
            return
        targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else [node.target]
        for target in targets:
            if isinstance(target, ast.Name):
                known = value if target.id not in self.bindings else None
                if value is not None and known is None:
                    self.rebound[node] = self.bindings[target.id]
                self.bindings[target.id] = Constant(self, target.id, known, node)
                continue
            for name in ast.walk(target):
                if isinstance(name, ast.Name):
                    self.bindings[name.id] = Constant(self, name.id, None, node)


def _opens_files(node: ast.With) -> bool:
    """Whether a `with` opens files to read each of them once."""
    read = [name.id for each in node.body for name in ast.walk(each) if isinstance(name, ast.Name)]
    for item in node.items:
        called = item.context_expr.func if isinstance(item.context_expr, ast.Call) else None
        if getattr(called, "id", getattr(called, "attr", "")) != "open":
            return False
        name = item.optional_vars
        if not isinstance(name, ast.Name) or read.count(name.id) > 1:
            return False
    return True


def _assignment(owner: Class, name: str) -> Constant | None:
    """What the body of a class binds ``name`` to; ``value`` is None unless it is one assignment."""
    bound = owner.module.bound_in(owner.node).get(name)
    if not bound:
        return None
    value = bound[0].value if isinstance(bound[0], ast.Assign | ast.AnnAssign) else None
    changed = name in owner.module.changed_attributes()
    plain = len(bound) == 1 and _is_plain_target(bound[0]) and not changed
    full = f"{owner.node.name}.{name}"
    return Constant(owner.module, full, value if plain else None, bound[0], owner)


def _is_plain_target(node: ast.stmt) -> bool:
    """Whether a statement assigns one name and no more."""
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Name) for target in node.targets)
    return isinstance(node, ast.AnnAssign)


def _bound_in_class(node: ast.stmt) -> set[str]:
    """The names that a statement of a class body binds, however deep."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return set()
    names = {
        item.id
        for item in ast.walk(node)
        if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store | ast.Del)
    }
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    return names


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if isinstance(block, list):
            yield [item for item in block if isinstance(item, ast.stmt)]
    for handler in getattr(node, "handlers", ()):
        yield handler.body


def statements(block: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements of a block, those within others too; ``ast.walk`` goes into expressions."""
    stack: list[Any] = list(block)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.stmt):
            yield node
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, field, None)
            if inner:
                stack += inner


def prefixes(name: str) -> list[str]:
    """The modules that something with a dotted name may be in, the longest name first."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _unknown_function(place: ast.stmt) -> ast.FunctionDef:
    """A function of which nothing is known but that ``place`` has a name for it."""
    node = ast.parse("def function(*args, **kwargs): ...").body[0]
    assert isinstance(node, ast.FunctionDef)  # noqa: S101 - it is written above
    for inner in ast.walk(node):
        ast.copy_location(inner, place)
    return node


def _names_bound_by(node: ast.stmt) -> Iterator[str]:
    target: ast.AST | None = None
    if isinstance(node, ast.For | ast.AsyncFor):
        target = node.target
    for name in ast.walk(target) if target else ():
        if isinstance(name, ast.Name):
            yield name.id


def _no_instance(_folder: Folder, _node: ast.Call, _definition: Class) -> None:
    return None


def _no_member(_member: EnumMember) -> None:
    return None


class Modules:
    """The modules of the project that this compilation has read."""

    def __init__(
        self,
        project: Project,
        code: Code,
        reports: Reports,
        budget: CompilationBudget | None = None,
    ) -> None:
        self.project = project
        self.code = code
        self.reports = reports
        self.budget = budget or CompilationBudget()
        #: The files that constants read, or tried to read (``project_files``).
        self.data_files: set[str] = set()
        #: other files that decide what is said of the program
        self.consulted: set[str] = set()
        self.broken: set[str] = set()  #: dotted names of modules that are not valid Python
        #: What makes a constant of a call of a class, and of a member of an enumeration.
        self.instance: Callable[[Folder, ast.Call, Class], object | None] = _no_instance
        self.enum_member: Callable[[EnumMember], object | None] = _no_member
        self._modules: dict[str, Module | None] = {}
        self._made: dict[tuple[ast.stmt, str], Function | None] = {}
        #: Files of the distributions that are open, by the first part of their modules' names.
        self._opened: dict[str, list[str]] = {}

    def add(self, path: str, source: Source, tree: ast.Module) -> Module:
        """Register a module that has been parsed already."""
        module = Module(path, self.project.module_name(path), source, tree)
        self._modules[path] = module
        return module

    def read(self) -> list[Module]:
        """The modules read so far."""
        return [module for module in self._modules.values() if module]

    def load(self, name: str, importer: Module | None = None) -> Module | None:
        """The module of that dotted name, or None; broken ones are reported once.

        It is one of the project, of the same distribution as ``importer``, or of one that is open.
        """
        if not name or name.partition(".")[0] == "levada":
            return None
        path = self.project.locate_for(importer.path if importer else "", name)
        if path is None or not path.endswith(".py"):
            path = self._locate_opened(name)
        return self._read(path, name) if path is not None else None

    def _read(self, path: str, name: str) -> Module | None:
        if path not in self._modules:
            self._modules[path] = None
            self._modules[path] = self._parse(path)
            if self._modules[path] is None:
                self.broken.add(name)
        return self._modules[path]

    # -- installed distributions

    def outside(self, name: str) -> Definition | None:
        """What an installed module defines under a qualified name; None without its source."""
        seen: set[str] = set()
        while name not in seen:  # a module may pass on what another distribution has
            seen.add(name)
            found = self._outside(name)
            if not isinstance(found, External):
                return found
            name = found.name
        return None

    def _outside(self, name: str) -> Definition | None:
        if name.partition(".")[0] in sys.stdlib_module_names or name.startswith("levada."):
            return None
        for dotted in prefixes(name):
            path = self.project.environment.locate(dotted)
            found: Definition | None = self._read(path, dotted) if path is not None else None
            if found is not None:
                for attribute in name.removeprefix(dotted).split(".")[1:]:
                    found = None if found is None else self.member(found, attribute)
                return found
        return None

    def open(self, name: str) -> None:
        """Count the distribution that has what is called ``name`` among those of the project."""
        for dotted in reversed(prefixes(name)):
            path = self.project.environment.locate(dotted)
            if path is not None:
                self._opened.setdefault(name.partition(".")[0], []).append(path)
                return

    def _locate_opened(self, name: str) -> str | None:
        opened = self._opened.get(name.partition(".")[0], ())
        environment = self.project.environment
        path = environment.locate(name) if opened else None
        if path is None or not any(environment.share_distribution(each, path) for each in opened):
            return None
        return path

    def _parse(self, path: str) -> Module | None:
        file = self.project.relative(path)
        try:
            tree = self.code.tree(path)
            text = self.code.text(path)
        except SyntaxError as error:
            span = Span(file, error.lineno or 1, max(error.offset or 1, 1), error.lineno or 1, 1)
            span = Span(file, span.line, span.column, span.line, span.column + 1)
            self.reports.error(
                "syntax-error",
                span,
                f"{error.msg}, in a module that is imported",
                help="correct it: its steps and constants cannot be read",
            )
            return None
        except (OSError, ValueError, RecursionError, MemoryError) as error:
            place = Span(file, 1, 1, 1, 2)
            self.reports.error("file-encoding", place, f"`{file}` cannot be read: {error}")
            return None
        return Module(path, self.project.module_name(path), Source(file, text), tree)

    def lookup(self, module: Module, name: str) -> Definition | None:
        """What ``name`` refers to at the top level of ``module``; None if it is not bound there."""
        return self._lookup(module, name, frozenset())

    def _lookup(
        self, module: Module, name: str, seen: frozenset[tuple[str, str]]
    ) -> Definition | None:
        key = (module.path, name)
        if key in seen:
            return None
        seen |= {key}
        binding = module.bindings.get(name)
        if binding is None:
            return self._lookup_star(module, name, seen)
        return self._bound(module, binding, seen)

    def _bound(
        self, module: Module, binding: Binding, seen: frozenset[tuple[str, str]]
    ) -> Definition | None:
        if isinstance(binding, Import):
            return self._lookup_import(module, binding, seen)
        if isinstance(binding, Constant):
            return self._follow_alias(binding, seen)
        if isinstance(binding, ast.ClassDef):
            return Class(module, binding)
        return Function(module, binding)

    def _follow_alias(
        self, constant: Constant, seen: frozenset[tuple[str, str]]
    ) -> Definition | None:
        """``fit = train`` at module level: another name for the same definition."""
        if not isinstance(constant.value, ast.Name):
            return self.made(constant) or constant
        found = self._lookup(constant.module, constant.value.id, seen)
        return constant if found is None or isinstance(found, Constant) else found

    # -- steps made of functions that exist

    def made(self, constant: Constant) -> Function | None:
        """The step that ``name = step(…)`` or ``container(…)`` makes; None for other constants."""
        key = (constant.node, constant.name)
        if key not in self._made:
            self._made[key] = None  # for `name = step(name)` where there is no other `name`
            call = getattr(constant.node, "value", None)
            is_known = constant.value is not None or constant.node in constant.module.rebound
            if is_known and isinstance(call, ast.Call) and self.is_making(constant.module, call):
                self._made[key] = self._make(constant, call)
        return self._made[key]

    def made_steps(self, module: Module) -> list[Function]:
        """The steps that assignments of a module make of functions."""
        constants = [each for each in module.bindings.values() if isinstance(each, Constant)]
        made = (self.made(constant) for constant in constants)
        return [function for function in made if function is not None]

    def is_making(self, module: Module, call: ast.Call) -> bool:
        """Whether a call is ``step(function, …)`` or ``container(image, …)``."""
        if not isinstance(call.func, ast.Name | ast.Attribute):
            return False
        callee = self.resolve(module, call.func)
        return callee in CONTAINER or (bool(call.args) and callee in STEP)

    def _make(self, constant: Constant, call: ast.Call) -> Function:
        is_container = self.resolve(constant.module, call.func) in CONTAINER
        given = None if is_container else self._given(constant, call.args[0])
        if isinstance(given, External):
            given = self.outside(given.name) or given
        making = Making(constant.module, constant.name, constant.node, call, given, is_container)
        name = next((each.value for each in call.keywords if each.arg == "name"), None)
        shown = name.value if isinstance(name, ast.Constant) else None
        if isinstance(given, Function):
            module, node = given.module, type(given.node)(**vars(given.node))
        else:
            module, node = constant.module, _unknown_function(constant.node)
        node.name = shown if isinstance(shown, str) and shown.isidentifier() else constant.name
        return Function(module, node, making)

    def _given(self, constant: Constant, node: ast.expr) -> Definition | None:
        before = constant.module.rebound.get(constant.node)
        if before is not None and isinstance(node, ast.Name) and node.id == constant.name:
            return self._bound(constant.module, before, frozenset())
        return self.resolve(constant.module, node)

    def _lookup_star(
        self, module: Module, name: str, seen: frozenset[tuple[str, str]]
    ) -> Definition | None:
        for star in reversed(module.stars):
            target = self.load(star.target, module)
            if target is None:
                if star.target == "levada" and name in levada.__all__:
                    return External(f"levada.{name}")
                continue
            found = None if name.startswith("_") else self._lookup(target, name, seen)
            if found is not None:
                return found
        return None

    def _lookup_import(
        self, importer: Module, binding: Import, seen: frozenset[tuple[str, str]]
    ) -> Definition | None:
        module = self.load(binding.target, importer)
        if binding.member is None:
            return module or External(binding.target)
        if module is not None:
            found = self._lookup(module, binding.member, seen)
            if found is not None:
                return found
        submodule = self.load(f"{binding.target}.{binding.member}", importer)
        if submodule is not None:
            return submodule
        return None if module is not None else External(f"{binding.target}.{binding.member}")

    def imported(
        self, module: Module, node: ast.Import | ast.ImportFrom
    ) -> Iterator[tuple[str, Definition | None]]:
        """The names that an import within a function binds, and what they stand for."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                target = alias.name if alias.asname else name
                yield name, self._lookup_import(module, Import(target, None, node), frozenset())
            return
        target = module.absolute(node)
        for alias in node.names:
            if alias.name != "*":
                binding = Import(target, alias.name, node)
                yield alias.asname or alias.name, self._lookup_import(module, binding, frozenset())

    def member(self, definition: Definition, name: str) -> Definition | None:
        """``definition.name`` of a module, a class or something external, if it is known."""
        if isinstance(definition, Class):
            return self.class_member(definition, name)
        if isinstance(definition, EnumMember):
            return self._enum_value(definition) if name == "value" else None
        if isinstance(definition, External):
            return self.load(f"{definition.name}.{name}") or External(f"{definition.name}.{name}")
        if not isinstance(definition, Module):
            return None
        found = self.lookup(definition, name)
        return found or self.load(f"{definition.name}.{name}", definition)

    def class_member(self, owner: Class, name: str) -> Constant | EnumMember | None:
        """A constant of a class, or a member of an enumeration.

        Only of classes that nothing changes: no decorator, no metaclass, no base but those of
        ``enum`` and of what is as plain.
        """
        kind = self._plain_kind(owner, frozenset())
        found = _assignment(owner, name)
        if kind is None or found is None:
            return None
        if kind == "class":
            return found
        return None if name.startswith("_") else EnumMember(owner, name, found)

    def _plain_kind(self, owner: Class, seen: frozenset[str]) -> str | None:
        """``enum`` or ``class``; None for a class whose attributes may be something else."""
        node = owner.node
        checks = all(self._only_checks(owner, item) for item in node.decorator_list)
        if not checks or node.keywords or owner.key in seen:
            return None
        kinds: set[str | None] = set()
        for base in node.bases:
            found = self.resolve(owner.module, base)
            if isinstance(found, Class):
                hooked = _assignment(found, "__init_subclass__") is not None
                kinds.add(None if hooked else self._plain_kind(found, seen | {owner.key}))
            elif isinstance(found, External):
                kinds.add("enum" if found.name in ENUMS else None)
            else:
                plain = isinstance(base, ast.Name) and base.id in ("object", "str", "int", "float")
                kinds.add("class" if found is None and plain else None)
        if None in kinds:
            return None
        return "enum" if "enum" in kinds else "class"

    def _only_checks(self, owner: Class, decorator: ast.expr) -> bool:
        """Whether a decorator leaves the class as it is."""
        found = self.resolve(owner.module, decorator)
        return isinstance(found, External) and found.name == "enum.unique"

    def _enum_value(self, member: EnumMember) -> Constant:
        """The ``value`` of a member, where ``enum`` leaves it as it is written."""
        constant = member.value
        changed = Constant(constant.module, f"{constant.name}.value", None, constant.node)
        if any(_assignment(member.owner, name) for name in ("__new__", "__init__")):
            return changed
        written = member.value.value
        literal = type(written.value) if isinstance(written, ast.Constant) else None
        for base in member.owner.node.bases:
            found = self.resolve(member.owner.module, base)
            name = found.name if isinstance(found, External) else ast.unparse(base)
            if isinstance(found, Class) or literal is not VALUE_TYPES.get(name, literal):
                return changed
        return constant

    def resolve(self, module: Module, node: ast.expr) -> Definition | None:
        """What a name or a dotted name refers to."""
        if isinstance(node, ast.Name):
            return self.lookup(module, node.id)
        if isinstance(node, ast.Attribute):
            owner = self.resolve(module, node.value)
            return None if owner is None else self.member(owner, node.attr)
        return None

    def qualified(self, module: Module, dotted: str) -> str | None:
        """The qualified name of a dotted name as written in ``module``; None if it is unknown."""
        first = dotted.partition(".")[0]
        if first in BUILTINS and self.lookup(module, first) is None:
            return dotted
        definition = self.find(module, dotted)
        if isinstance(definition, External):
            return definition.name
        if isinstance(definition, Class):
            return definition.key
        return None

    def find(self, module: Module, dotted: str) -> Definition | None:
        """What a dotted name as written in ``module`` refers to."""
        first, *rest = dotted.split(".")
        definition = self.lookup(module, first)
        for name in rest:
            definition = None if definition is None else self.member(definition, name)
        return definition
