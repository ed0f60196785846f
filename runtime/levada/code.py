"""The code of a step: its function and all of the project that it reaches, and the digest of it.

The digest of a step changes when, and only when, something changes that its result may depend
on. It is computed from the syntax; nothing is imported or executed. Of the step's module and of
the local modules that it imports, these belong to a step:

- its function, and transitively each function, class, variable and import that these use by
  name, also as a default, a decorator, a base class or an annotation (but not within a string);
- of ``helpers.clean`` and ``from helpers import clean`` only ``clean``; the whole module where
  it is taken as a value (``getattr(helpers, name)``) or where a name cannot be told;
- what a module does when it is imported: all of its statements but imports, plain definitions and
  assignments of constants belong to every step that imports it. A statement that names steps or
  pipelines belongs to these alone, and a subclass wherever one of its base classes is reached. A
  definition is plain if its decorators are known to do nothing else (``@dataclass``, ``@cache``)
  and, of a class, no base class takes note of it; a constant is computed by what is known to have
  no effect (``Path("data")``, ``len(NAMES)``, a dataclass of the project).

Comments, formatting and what runs only under ``if __name__ == "__main__"`` do not belong, and
neither do the settings in ``@step(…)``, except ``environment``, which the function can see.
A docstring belongs only where it may be read: of what is decorated, derived or passed
as a value, of functions within functions, and everywhere if ``__doc__`` is mentioned.

An assignment, also of what a call gives, belongs only where its name is reached. Of
``name = step(function, …)`` what ``function`` is belongs to the step, and of the settings only
those that the function can see.

Packages that the project takes from folders are part of it. A step that an installed distribution
declares has that distribution as its project. If ``step(function)`` is given a function of another
installed distribution, all Python files of that one belong to the step: following imports through
a library of two thousand modules would take a minute.

Not seen: modules imported by a computed name, and what is done by code outside of the project.
"""

from __future__ import annotations

import os

from levada import code_dump, code_units, data_files
from levada.hashing import sha256
from levada.regular_files import regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Iterable, Iterator
    from typing import Any

    from levada.code_units import Import, Unit
    from levada.project import Project

    #: A module of a distribution that is imported, and the name taken from it (None: the module).
    Preload = tuple[str, str | None]

#: Part of every digest: to be changed when the meaning of a slice changes.
_VERSION = "levada.code/1"
#: The settings of a step that its function can see.
VISIBLE_SETTINGS = frozenset(("environment",))
#: What a step may call to log something.
LOGGING = ("log_artifact", "log_metric")
#: With one of these a name may be made while the code runs.
_COMPUTED = ("getattr", "eval", "exec", "globals", "vars", "import_module", "__import__")
_WORDS = (*LOGGING, *_COMPUTED, "levada")
_PYCF_ONLY_AST = 0x400  # ast.PyCF_ONLY_AST, without importing ast
#: Builtins that see or run what cannot be told from the syntax.
_DYNAMIC = frozenset(("eval", "exec", "globals"))
_DEFINITIONS = frozenset(
    ("AsyncFunctionDef", "ClassDef", "FunctionDef", "Global", "Import", "ImportFrom", "Pass")
)
#: Functions, classes, methods and decorators, by their last name, that only make a value.
_PURE = frozenset(
    (
        *("Decimal", "Fraction", "NewType", "ParamSpec", "Path", "PurePath", "PurePosixPath"),
        *("TypeVar", "UUID", "abs", "absolute", "asdict", "attrgetter", "bool", "bytes", "cache"),
        *("cached_property", "chain", "compile", "contextmanager", "dataclass", "date"),
        *("datetime", "define", "dict", "divmod", "dirname", "enumerate", "exists", "field"),
        *("final", "float", "format", "from_iterable", "frozen", "frozenset", "get", "getLogger"),
        *("getenv", "guvectorize", "int", "isinstance", "itemgetter", "items", "jit", "join"),
        *("keys", "len", "list", "njit", "vectorize"),
        *("lower", "lru_cache", "max", "min", "namedtuple", "overload", "partial", "product"),
        *("range", "replace", "resolve", "reversed", "round", "runtime_checkable", "set"),
        *("sorted", "split", "str", "strip", "sum", "timedelta", "timezone", "total_ordering"),
        *("tuple", "unique", "upper", "values", "with_name", "with_suffix", "wraps", "zip"),
    )
)
_CONSTRUCTORS = frozenset(("__init__", "__new__", "__post_init__", "__init_subclass__"))
#: In some of the supported versions of Python, not in all of them.
_STANDARD_SOMETIMES = frozenset(
    (
        *("annotationlib", "asynchat", "asyncore", "aifc", "audioop", "cgi", "cgitb", "chunk"),
        *("compression", "crypt", "distutils", "imghdr", "imp", "lib2to3", "mailcap", "msilib"),
        *("nis", "nntplib", "ossaudiodev", "pipes", "smtpd", "sndhdr", "spwd", "sunau"),
        *("telnetlib", "uu", "xdrlib"),
    )
)


class StepCode:
    """What a step reaches.

    ``digest`` is ``sha256:…``. ``imports`` are the outside modules that the reached code imports
    (dotted, sorted, without the standard library and Levada). ``files`` are the project's modules
    that running the step imports (POSIX paths relative to the root, sorted). ``logs`` are those of
    ``log_artifact`` and ``log_metric`` that the reached code may call. ``reads`` are the units of
    it that open files which texts name.
    """

    __slots__ = ("digest", "files", "imports", "logs", "reads")

    def __init__(
        self,
        digest: str,
        imports: tuple[str, ...],
        files: tuple[str, ...],
        logs: tuple[str, ...],
        reads: tuple[Unit, ...],
    ) -> None:
        self.digest = digest
        self.imports = imports
        self.files = files
        self.logs = logs
        self.reads = reads


class _Module:
    """A parsed module of the project. ``package`` is what relative imports start from."""

    __slots__ = ("bindings", "futures", "loads", "package", "path", "stars", "units")

    def __init__(self, path: str, package: str, units: list[Unit]) -> None:
        self.path = path
        self.package = package
        self.units = units
        self.bindings: dict[str, list[Unit]] = {}
        for unit in units:
            for name in unit.bound:
                self.bindings.setdefault(name, []).append(unit)
        self.stars = [(unit, target) for unit in units for target in unit.stars]
        self.futures = sorted(
            name or "" for unit in units for _, module, name in unit.early if module == "__future__"
        )
        self.loads: list[str] | None = None


class _Found:
    """What a name stands for: units on the way to it, whole modules, outside names."""

    __slots__ = ("outside", "seen", "units", "whole")

    def __init__(self) -> None:
        self.units: dict[Unit, None] = {}
        self.whole: dict[str, None] = {}
        self.outside: dict[str, None] = {}
        self.seen: dict[tuple[str, str], bool] = {}


class _Links:
    """What a unit needs: other units, whole modules, modules that it loads, outside modules.

    ``libraries`` are files of installed distributions that are needed as a whole.
    """

    __slots__ = (
        "libraries",
        "loads",
        "modules",
        "role",
        "shown",
        "units",
        "whole",
    )

    def __init__(self, role: str) -> None:
        self.role = role
        self.units: dict[Unit, None] = {}
        self.whole: dict[str, None] = {}
        self.loads: dict[str, None] = {}
        self.modules: dict[str, None] = {}
        self.libraries: dict[str, None] = {}
        self.shown: dict[Unit, None] = {}


class Syntax:
    """The texts and the syntax of modules by their paths, each read once.

    It may be shared by several :class:`Code`. Nothing may change what it holds.
    """

    __slots__ = ("texts", "trees", "units")

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.trees: dict[str, ast.Module] = {}
        self.units: dict[str, list[Unit]] = {}

    def forget(self, path: str) -> None:
        """Drop a module that nobody will ask for again."""
        self.texts.pop(path, None)
        self.trees.pop(path, None)
        self.units.pop(path, None)


class Code:
    """The local modules of a project, parsed at most once each.

    ``library_files`` are the files of installed distributions that are in a digest as a whole.
    ``syntax`` is what was read for other files of the same command.
    """

    def __init__(self, project: Project, syntax: Syntax | None = None) -> None:
        self.project = project
        self._syntax = syntax or Syntax()
        self.library_files: dict[str, None] = {}
        self._libraries: dict[str, bytes] = {}
        self._modules: dict[str, _Module] = {}
        self._links: dict[Unit, _Links] = {}
        self._acts: dict[str, list[Unit]] = {}
        self._triggers: dict[Unit, list[Unit]] = {}
        self._imports: dict[str, Reach] = {}
        self._contents: dict[tuple[Reach, bool], list[bytes]] = {}
        self._dumps: dict[tuple[Unit, bool], bytes] = {}
        self._made: dict[Unit, ast.Call | None] = {}
        self._words: dict[Unit, list[str]] = {}
        self._common_words: dict[Reach, frozenset[str]] = {}
        self._common_reads: dict[Reach, tuple[Unit, ...]] = {}

    def text(self, path: str) -> str:
        """Return the text of a module, its line ends as Python reads them.

        Raises OSError, and SyntaxError where it is not text in the encoding that it declares.
        """
        texts = self._syntax.texts
        if path not in texts:
            with open(path, "rb", opener=regular) as file:
                texts[path] = _decode(file.read(), path)
        return texts[path]

    def tree(self, path: str) -> ast.Module:
        """Return the syntax of a module. Raises OSError and SyntaxError."""
        trees = self._syntax.trees
        if path not in trees:
            trees[path] = parse(self.text(path), path)
        return trees[path]

    def step(self, path: str, function: str, files: Iterable[str] = ()) -> StepCode:
        """Return the code of the step ``function`` in the module at ``path``.

        A step that is declared within a pipeline is ``pipeline.step``.

        ``files`` are the globs of the step's setting of this name; the content of what they
        match is part of the digest. Raises LookupError if the module does not define the
        function, and OSError or SyntaxError if a module that it needs cannot be read.
        """
        module = self._module_with(os.path.abspath(path), function)
        if function not in module.bindings:
            raise LookupError(f"`{function}` is not defined in {self.project.relative(path)}")
        reach = self.reach(module.path, function)
        libraries = sorted({self._library(each) for each in reach.libraries})
        own = [self.project.module_name(path)] if self.project.is_installed(module.path) else []
        return StepCode(
            _digest([*self._content(reach), *libraries], self._data(files)),
            tuple(sorted(filter(_is_outside, {*reach.modules, *own}))),
            tuple(sorted(self.project.relative(each) for each in reach.loaded)),
            self._logs(reach),
            self._reads(reach),
        )

    def reach(self, path: str, function: str) -> Reach:
        """Return all that ``function`` in the module at ``path`` reaches. Raises as `step` does."""
        path = os.path.abspath(path)
        reach = Reach(self, self._imported(path))
        reach.add_all(self.resolve(path, function))
        reach.close()
        return reach

    def _imported(self, path: str) -> Reach:
        """Return what importing the module at ``path`` reaches: all its steps have it in common."""
        if path not in self._imports:
            reach = self._imports[path] = Reach(self)
            reach.load(path)
            reach.close()
        return self._imports[path]

    def resolve(self, path: str, name: str, chain: tuple[str, ...] = ()) -> list[Unit]:
        """Return the units on the way to what ``name.chain`` stands for in the module at ``path``.

        None of them if the module does not have the name.
        """
        found = _Found()
        self._resolve(self._module_with(path, name), name, chain, found)
        return list(found.units)

    def preloads(self, path: str) -> list[Preload]:
        """Return what importing the module at ``path`` imports of distributions first, in order.

        The list ends where a module of the project does something that a later import may depend
        on: any statement but an import, a plain definition and the assignment of a constant. None
        of them for a module that is not one of the project's files.
        """
        is_local = any(path.startswith(folder + os.sep) for folder in self.project.search)
        if not is_local or self.project.is_installed(path):
            return []
        found: dict[Preload, None] = {}
        module = self._module(os.path.abspath(path))
        name = self.project.module_name(path)
        self._walk_imports(self._loaded_by(module, name, None), found, {})
        return list(found)

    def _walk_imports(
        self, paths: list[str], found: dict[Preload, None], seen: dict[str, None]
    ) -> None:
        """Add what the modules at ``paths`` import, up to the first statement that may matter."""
        pending = [unit for path in reversed(paths) for unit in self._first_seen(path, seen)]
        while pending:
            unit = pending.pop()
            if unit.is_typing:
                continue
            if unit.kind != "import":
                if self._may_matter_to_imports(unit):
                    return
                continue
            module = self._modules[unit.path]
            for target in unit.early:
                dotted = _absolute(module, target)
                local = self._loaded_by(module, dotted, target[2])
                if not local and _is_outside(dotted):
                    found[dotted, target[2]] = None
                for path in reversed(local):
                    pending += self._first_seen(path, seen)

    def _first_seen(self, path: str, seen: dict[str, None]) -> list[Unit]:
        """Return the units of a module, the last one first; none if it was asked for before."""
        if path in seen:
            return []
        seen[path] = None
        return list(reversed(self._module(path).units))

    def _may_matter_to_imports(self, unit: Unit) -> bool:
        """Whether a statement may change what an import after it does."""
        if self.made_by(unit) is not None:
            return False
        node: Any = unit.node
        if unit.kind not in ("function", "class"):
            return node.__class__.__name__ == "AugAssign" or not self._is_plain(unit, node)
        decorators = [each for each in unit.decorators if not self.role_of(unit, each)]
        if not all(self._is_pure_decorator(unit, each) for each in decorators):
            return True
        if unit.kind == "function":
            return not all(self._is_pure(unit, each) for each in _defaults(node.args))
        has_hook = bool(node.keywords) or any(_has_hook(base) for base in self._bases(unit))
        return has_hook or not all(self._is_plain_member(unit, each) for each in node.body)

    def _is_plain_member(self, unit: Unit, statement: Any) -> bool:
        """Whether a statement of a class body runs nothing that has an effect."""
        name = statement.__class__.__name__
        if name in ("FunctionDef", "AsyncFunctionDef"):
            decorators = [d for d in statement.decorator_list if d.__class__.__name__ == "Call"]
            return all(self._is_pure(unit, each) for each in decorators)
        return name == "Pass" or (name != "ClassDef" and self._is_plain(unit, statement))

    def data_files(self, pattern: str) -> list[str]:
        """Return the files that a glob or a folder matches: POSIX paths relative to the root."""
        return data_files.find(self.project.root, pattern)

    # ---------------------------------------------------------------- the digest

    def _content(self, reach: Reach) -> list[bytes]:
        """Return one digest a module of its reached units, and one of those that it always has.

        Modules are not named, so that it does not matter what a folder above them is called.
        """
        common = reach.common
        own = reach.units.keys() - common.units.keys() if common else reach.units.keys()
        docstrings = any(unit.reads_docstrings for unit in own)
        if common is None:
            return self._digests(own, reach, docstrings)
        docstrings = docstrings or common.reads_docstrings
        shown = reach.shown.keys() & common.units.keys() - common.shown.keys()
        if (common, docstrings) not in self._contents:
            found = self._digests(common.units.keys(), common, docstrings)
            self._contents[common, docstrings] = found
        content = [
            *self._contents[common, docstrings],
            *self._digests(own | shown, reach, docstrings),
        ]
        return sorted(content)

    def _digests(self, units: Iterable[Unit], reach: Reach, docstrings: bool) -> list[bytes]:
        """Return one digest a module: of some of its units in source order."""
        of_module: dict[str, list[Unit]] = {}
        for unit in units:
            of_module.setdefault(unit.path, []).append(unit)
        content = []
        for path, of_path in of_module.items():
            of_path.sort(key=lambda unit: unit.index)
            parts = [self._dump(unit, docstrings or unit in reach.shown) for unit in of_path]
            futures = " ".join(self._modules[path].futures).encode()
            content.append(_sha256(futures, *parts))
        return sorted(content)

    def _library(self, path: str) -> bytes:
        """Return the digest of all Python files of the distribution that has the file at ``path``.

        Its version does not tell what is in one that was built from a folder or a repository.
        """
        environment = self.project.environment
        owner = environment.owner(path)
        key = owner.folder if owner is not None else path
        if key not in self._libraries:
            folder = environment.holder(path) or ""
            parts = []
            for name in environment.sources(path):
                file = os.path.join(folder, *name.split("/"))
                with open(file, "rb", opener=regular) as opened:
                    parts += [name.encode("utf-8", "surrogateescape"), opened.read()]
                self.library_files[file] = None
            self._libraries[key] = _sha256(*parts)
        return self._libraries[key]

    def _logs(self, reach: Reach) -> tuple[str, ...]:
        """Return what the code may log by: it has the name somewhere, or can make it."""
        common = reach.common.units.keys() if reach.common else frozenset()
        found = self._words_of(reach.units.keys() - common)
        if reach.common is not None:
            if reach.common not in self._common_words:
                self._common_words[reach.common] = self._words_of(common)
            found |= self._common_words[reach.common]
        if "levada" in found and not found.isdisjoint(_COMPUTED):
            return LOGGING
        return tuple(word for word in LOGGING if word in found)

    def _reads(self, reach: Reach) -> tuple[Unit, ...]:
        """Return the units that open files which texts name, in a fixed order."""
        common = reach.common
        if common is None:
            found = [unit for unit in reach.units if unit.reads]
            return tuple(sorted(found, key=lambda unit: (unit.path, unit.index)))
        if common not in self._common_reads:
            self._common_reads[common] = self._reads(common)
        own = [unit for unit in reach.units.keys() - common.units.keys() if unit.reads]
        own.sort(key=lambda unit: (unit.path, unit.index))
        return (*self._common_reads[common], *own)

    def _words_of(self, units: Iterable[Unit]) -> frozenset[str]:
        return frozenset().union(*(self._words.get(unit, ()) for unit in units))

    def _dump(self, unit: Unit, docstrings: bool) -> bytes:
        key = (unit, docstrings)
        if key not in self._dumps and (call := self.made_by(unit)) is not None:
            made = _called(call.args[0], call, _visible_settings(call))
            self._dumps[key] = _sha256(code_dump.dump(made, docstrings=True).encode())
        if key not in self._dumps:
            foreign = [each for each in unit.decorators if not self.role_of(unit, each)]
            text = code_dump.dump(
                unit.node,
                docstrings=docstrings or bool(foreign),
                decorators=self._decorators(unit),
            )
            self._dumps[key] = _sha256(text.encode())
            self._words[unit] = [word for word in _WORDS if word in text]
        return self._dumps[key]

    def _decorators(self, unit: Unit) -> list[ast.expr]:
        """Return the decorators, and of ``@step(…)`` only the settings that matter."""
        kept: list[ast.expr] = []
        for decorator in unit.decorators:
            if self.role_of(unit, decorator):
                kept += [each.value for each in _visible_settings(decorator)]
            else:
                kept.append(decorator)
        return kept

    def _data(self, patterns: Iterable[str]) -> list[bytes]:
        names = sorted({name for pattern in patterns for name in self.data_files(pattern)})
        data = []
        for name in names:
            with open(os.path.join(self.project.root, name), "rb", opener=regular) as file:
                data.append(_sha256(name.encode("utf-8", "surrogateescape"), file.read()))
        return data

    # ---------------------------------------------------------------- modules and names

    def _module(self, path: str) -> _Module:
        if path not in self._modules:
            name = self.project.module_name(path)
            is_package = os.path.basename(path) == "__init__.py"
            package = name if is_package else name.rpartition(".")[0]
            self._modules[path] = _Module(path, package, self._units(path))
        return self._modules[path]

    def _units(self, path: str) -> list[Unit]:
        held = self._syntax.units
        if path not in held:
            held[path] = code_units.read_units(path, self.tree(path))
        return held[path]

    def _module_with(self, path: str, name: str) -> _Module:
        """Return a module with ``name``, also where it is ``pipeline.step``: a step within one."""
        module = self._module(path)
        pipeline, dot, function = name.partition(".")
        if dot and name not in module.bindings:
            for outer in module.bindings.get(pipeline, ())[-1:]:
                unit = code_units.nested_unit(outer, function)
                if unit is not None:
                    module.bindings[name] = [unit]
        return module

    def _resolve(self, module: _Module, name: str, chain: tuple[str, ...], found: _Found) -> bool:
        """Find what ``name``, with the attributes ``chain``, stands for in a module.

        Returns whether the module has the name, itself or by ``import *``.
        """
        key = (module.path, ".".join((name, *chain)))
        if key in found.seen:
            return found.seen[key]
        found.seen[key] = name in module.bindings  # what is asked again while it is looked for
        units = module.bindings.get(name, [])
        for unit in units:
            found.units[unit] = None
            target = unit.bound[name]
            if target is not None and not unit.is_typing:
                self._follow(module, target, chain, found)
        return bool(units) or self._resolve_star(module, name, chain, found)

    def _resolve_star(
        self, module: _Module, name: str, chain: tuple[str, ...], found: _Found
    ) -> bool:
        """Find a name among those that ``import *`` brings; any of the modules if it is unclear."""
        outside = []
        for unit, target in module.stars:
            dotted = _absolute(module, target)
            path = self._file(module, dotted)
            if path is None:
                outside.append((unit, dotted))
            elif self._resolve(self._module(path), name, chain, found):
                found.units[unit] = None
                return True
        if not outside or _is_builtin(name):
            return False
        for unit, dotted in outside:
            found.units[unit] = None
            found.outside[".".join((dotted, name, *chain))] = None
        return True

    def _follow(
        self, module: _Module, target: Import, chain: tuple[str, ...], found: _Found
    ) -> None:
        """Find what an import, with the attributes ``chain``, stands for."""
        name = target[2]
        attributes = chain if name is None else (name, *chain)
        dotted = _absolute(module, target)
        while True:
            path = self.project.locate_for(module.path, dotted)
            if path is None:
                found.outside[".".join((dotted, *attributes))] = None
                return
            if not attributes:
                found.whole[path] = None
                return
            inside = self._module(path) if path.endswith(".py") else None
            submodule = self.project.locate_for(module.path, f"{dotted}.{attributes[0]}")
            # `from . import parts` in a package's own __init__ can only mean the module.
            is_own = inside is module and submodule is not None
            if (
                inside
                and not is_own
                and self._resolve(inside, attributes[0], attributes[1:], found)
            ):
                return
            if submodule is None:
                break
            dotted = f"{dotted}.{attributes[0]}"
            attributes = attributes[1:]
        if inside:
            found.whole[path] = None  # made by __getattr__, or by a name that is set from outside
        else:
            found.outside[".".join((dotted, *attributes))] = None

    def _file(self, module: _Module, dotted: str) -> str | None:
        path = self.project.locate_for(module.path, dotted) if dotted else None
        return path if path and path.endswith(".py") else None

    # ---------------------------------------------------------------- what a unit needs

    def links(self, unit: Unit) -> _Links:
        """Return what a unit needs, resolved once."""
        if unit not in self._links:
            links = self._links[unit] = _Links(self._prepare(unit))
            if not unit.is_typing:
                self._link(unit, links)
        return self._links[unit]

    def _prepare(self, unit: Unit) -> str:
        """Scan the decorators of a unit and return its role: ``step``, ``pipeline`` or nothing."""
        call = self.made_by(unit)
        if call is not None:
            unit.references.clear()
            function = _called(call.args[0], call, [])
            visible = [each.value for each in _visible_settings(call)]
            code_units.scan_expressions(unit, [call.func, function, *visible])
            return "step"
        role = ""
        kept: list[ast.expr] = []
        for decorator in unit.decorators:
            of_levada = self.role_of(unit, decorator)
            role = role or of_levada
            visible = [each.value for each in _visible_settings(decorator)]
            kept += visible if of_levada else [decorator]
        code_units.scan_expressions(unit, kept)
        return role

    def made_by(self, unit: Unit) -> ast.Call | None:
        """Return the call in ``name = step(function, …)``, None for any other statement."""
        if unit not in self._made:
            call: Any = getattr(unit.node, "value", None) if unit.kind == "variable" else None
            is_call = call.__class__.__name__ == "Call" and call.args
            is_named = is_call and call.func.__class__.__name__ in ("Name", "Attribute")
            is_made = is_named and self.role_of(unit, call.func) == "step"
            self._made[unit] = call if is_made else None
        return self._made[unit]

    def role_of(self, unit: Unit, decorator: ast.expr) -> str:
        """Return ``step`` or ``pipeline`` if the decorator is that of Levada, else nothing."""
        base = code_units.reference(decorator)
        if base is None:
            return ""
        found = _Found()
        self._resolve(self._modules[unit.path], *base, found)
        for dotted in found.outside:
            package, _, name = dotted.rpartition(".")
            if package.partition(".")[0] == "levada" and name in ("step", "pipeline"):
                return name
        return ""

    def _link(self, unit: Unit, links: _Links) -> None:
        module = self._modules[unit.path]
        made = code_units.reference(call.args[0]) if (call := self.made_by(unit)) else None
        for (name, chain), how in unit.references.items():
            found = _Found()
            if not self._resolve(module, name, chain, found):
                self._link_unknown(module, name, links)
            self._add_found(found, how, links)
            if made == (name, chain):
                links.libraries.update(dict.fromkeys(self._installed(found.outside)))
        for (target, chain), how in unit.inner.items():
            found = _Found()
            self._follow(module, target, chain, found)
            self._add_found(found, how, links)
        for target in unit.imports:
            self._add_load(module, target, links)

    def _installed(self, names: Iterable[str]) -> Iterator[str]:
        """Yield the files of the installed modules that have these qualified names."""
        for dotted in filter(_is_outside, names):
            parts = dotted.split(".")
            for count in range(len(parts), 0, -1):
                path = self.project.environment.locate(".".join(parts[:count]))
                if path is not None:
                    yield path
                    break

    def _link_unknown(self, module: _Module, name: str, links: _Links) -> None:
        """Account for a name that the module does not bind: a builtin, or one that is hidden."""
        if name in _DYNAMIC:
            links.whole[module.path] = None
        elif not _is_builtin(name):
            for _, target in module.stars:
                path = self._file(module, _absolute(module, target))
                if path:
                    links.whole[path] = None

    def _add_found(self, found: _Found, how: int, links: _Links) -> None:
        links.units.update(found.units)
        links.whole.update(found.whole)
        if how & code_units.VALUE:
            links.shown.update(found.units)

    def _add_load(self, module: _Module, target: Import, links: _Links) -> None:
        dotted = _absolute(module, target)
        paths = self._loaded_by(module, dotted, target[2])
        links.loads.update(dict.fromkeys(paths))
        if not paths:
            links.modules[dotted] = None

    def _loaded_by(self, module: _Module, dotted: str, name: str | None) -> list[str]:
        """Return the local files that an import runs: the packages on the way, and the module."""
        parts = dotted.split(".") if dotted else []
        names = [".".join(parts[: end + 1]) for end in range(len(parts))]
        if name is not None and name != "*":
            names.append(f"{dotted}.{name}")
        paths = [self._file(module, each) for each in names]
        return [path for path in paths if path is not None]

    def loads(self, path: str) -> list[str]:
        """Return the local files that importing the module at ``path`` imports itself."""
        module = self._module(path)
        if module.loads is None:
            module.loads = [
                file
                for unit in module.units
                if not unit.is_typing
                for file in self.unit_loads(unit)
            ]
        return module.loads

    def imports(self, path: str) -> set[str]:
        """Return the local files that the module at ``path`` imports anywhere, for types also."""
        module = self._module(path)
        targets = [target for unit in module.units for target in (*unit.early, *unit.imports)]
        return {
            file
            for target in targets
            for file in self._loaded_by(module, _absolute(module, target), target[2])
        }

    def unit_loads(self, unit: Unit) -> list[str]:
        """Return the local files that a unit imports when its module is imported."""
        module = self._module(unit.path)
        return [
            file
            for target in unit.early
            for file in self._loaded_by(module, _absolute(module, target), target[2])
        ]

    def outside_imports(self, unit: Unit) -> list[tuple[str, str | None]]:
        """Return what a unit imports from outside of the project: (module, name taken from it)."""
        module = self._module(unit.path)
        found = ((_absolute(module, target), target[2]) for target in unit.imports)
        return [
            (dotted, name)
            for dotted, name in found
            if _is_outside(dotted) and not self._loaded_by(module, dotted, name)
        ]

    def units(self, path: str) -> list[Unit]:
        """Return the units of the module at ``path``."""
        return self._module(path).units

    # ---------------------------------------------------------------- what a unit does

    def acts(self, path: str) -> list[Unit]:
        """Return the units of a module that belong to every step that imports it.

        These are all statements but imports, plain definitions and assignments of constants. What
        belongs only where something is reached is found by :meth:`triggered` from then on: so a
        step costs what it reaches, and not what there is in its modules.
        """
        if path not in self._acts:
            self._acts[path] = []
            for unit in self.units(path):
                triggers = self._triggers_of(unit)
                if triggers is None:
                    self._acts[path].append(unit)
                for trigger in triggers or ():
                    self._triggers.setdefault(trigger, []).append(unit)
        return self._acts[path]

    def triggered(self, unit: Unit) -> list[Unit]:
        """Return the units, of the modules asked about so far, that belong with ``unit``."""
        return self._triggers.get(unit, [])

    def _triggers_of(self, unit: Unit) -> list[Unit] | None:
        """Return what a unit belongs with; None if with every step that imports its module.

        A statement that names steps belongs with these, and a class with its base classes, which
        know their subclasses.
        """
        if unit.is_typing or unit.kind == "import" or self.links(unit).role:
            return []
        if self._acts_on_import(unit):
            return [each for each in self.links(unit).units if self.links(each).role] or None
        return self._bases(unit) if unit.kind == "class" else []

    def _acts_on_import(self, unit: Unit) -> bool:
        node: Any = unit.node
        if unit.kind in ("function", "class"):
            is_plain = all(self._is_pure_decorator(unit, each) for each in unit.decorators)
            return (
                not is_plain
                or any(_has_hook(base) for base in self._bases(unit))
                or (unit.kind == "class" and not all(map(_is_plain_member, node.body)))
            )
        return not self._is_plain(unit, node)

    def _bases(self, unit: Unit) -> list[Unit]:
        """Return the project's classes that a class is made from, transitively."""
        found: dict[Unit, None] = {}
        pending = [unit]
        while pending:
            each = pending.pop()
            for base in getattr(each.node, "bases", ()):
                name = code_units.reference(base)
                target = _Found()
                if name is not None:
                    self._resolve(self._modules[each.path], *name, target)
                new = [other for other in target.units if other.kind == "class"]
                pending += [other for other in new if other not in found]
                found.update(dict.fromkeys(new))
        return list(found)

    def _is_plain(self, unit: Unit, statement: Any) -> bool:
        """Whether a statement only defines names, of what has no effect."""
        name = statement.__class__.__name__
        if name in _DEFINITIONS:
            return True
        if name in ("Assign", "AnnAssign", "AugAssign", "TypeAlias"):
            targets = getattr(statement, "targets", None) or [
                getattr(statement, "target", None) or statement.name
            ]
            is_named = all(each.__class__.__name__ in ("Name", "Tuple") for each in targets)
            return is_named and self._is_pure(unit, statement.value)
        if name == "Expr":
            return bool(statement.value.__class__.__name__ == "Constant")
        if name in ("If", "Try"):
            bodies = [getattr(statement, part, ()) for part in ("body", "orelse", "finalbody")]
            bodies += [handler.body for handler in getattr(statement, "handlers", ())]
            return self._is_pure(unit, getattr(statement, "test", None)) and all(
                self._is_plain(unit, each) for body in bodies for each in body
            )
        return False

    def _is_pure(self, unit: Unit, expression: ast.expr | None) -> bool:
        """Whether evaluating an expression has no effect: what it calls is known to have none."""
        pending = [expression]
        while pending:
            node: Any = pending.pop()
            name = node.__class__.__name__
            if name in ("Await", "Yield", "YieldFrom", "NamedExpr"):
                return False
            if name == "Call" and not self._is_pure_call(unit, node.func):
                return False
            if name != "Lambda":
                for field in getattr(node, "_fields", ()):
                    child = getattr(node, field, None)
                    pending += child if isinstance(child, list) else [child]
        return True

    def _is_pure_decorator(self, unit: Unit, decorator: ast.expr) -> bool:
        if decorator.__class__.__name__ != "Call":
            return self._is_pure_call(unit, decorator)
        return self._is_pure(unit, decorator)

    def _is_pure_call(self, unit: Unit, function: ast.expr) -> bool:
        """Whether calling what an expression names has no effect."""
        base = code_units.reference(function)
        last = getattr(function, "attr", getattr(function, "id", ""))
        if base is None:
            return str(last) in _PURE
        found = _Found()
        self._resolve(self._modules[unit.path], *base, found)
        if any(dotted.partition(".")[0] == "levada" for dotted in found.outside):
            return True
        made = [each for each in found.units if each.kind in ("class", "function")]
        if made:
            return all(each.kind == "class" and not _has_constructor(each) for each in made)
        return str(last) in _PURE


class Reach:
    """The closure of what a step needs.

    ``units`` are the statements that it reaches, ``loaded`` the local modules that running it
    imports, ``whole`` those of them that it reaches as a whole (absolute paths).
    """

    def __init__(self, code: Code, common: Reach | None = None) -> None:
        """Start with nothing, or with all that is reached in ``common``."""
        self.code = code
        self.common = common
        self.units: dict[Unit, None] = {} if common is None else common.units.copy()
        self.shown: dict[Unit, None] = {} if common is None else common.shown.copy()
        self.modules: dict[str, None] = {} if common is None else common.modules.copy()
        self.libraries: dict[str, None] = {} if common is None else common.libraries.copy()
        self.loaded: dict[str, None] = {} if common is None else common.loaded.copy()
        self.whole: dict[str, None] = {} if common is None else common.whole.copy()
        self._reads_docstrings: bool | None = None
        self.pending: list[Unit] = []
        self.arrivals: list[str] = []  # loaded, and not yet asked what they do

    @property
    def reads_docstrings(self) -> bool:
        """Whether anything that is reached looks at docstrings; asked once all is."""
        if self._reads_docstrings is None:
            self._reads_docstrings = any(unit.reads_docstrings for unit in self.units)
        return self._reads_docstrings

    def add_all(self, units: Iterable[Unit]) -> None:
        """Add units that are not there yet; what they need is added by :meth:`close`."""
        for unit in units:
            if unit not in self.units:
                self.units[unit] = None
                self.load(unit.path)
                self.pending.append(unit)

    def load(self, path: str) -> None:
        """Note that a module is imported, and with it all that it imports itself."""
        pending = [path]
        while pending:
            each = pending.pop()
            if each not in self.loaded:
                self.loaded[each] = None
                self.arrivals.append(each)
                pending += self.code.loads(each)

    def close(self) -> None:
        """Add what is needed until nothing is missing."""
        while self.pending or self.arrivals:
            while self.arrivals:
                self.add_acts(self.arrivals.pop())
            if self.pending:
                unit = self.pending.pop()
                self.add_needs(unit)
                self.add_triggered(unit)

    def add_needs(self, unit: Unit) -> None:
        """Add what a unit uses, and note what it loads."""
        links = self.code.links(unit)
        self.add_all(links.units)
        self.shown.update(links.shown)
        self.modules.update(links.modules)
        self.libraries.update(links.libraries)
        for path in links.loads:
            self.load(path)
        for path in links.whole:
            self.add_whole(path)

    def add_whole(self, path: str) -> None:
        """Add all that is in a module."""
        if path in self.whole or not path.endswith(".py"):
            return
        self.whole[path] = None
        units = self.code.units(path)
        self.shown.update(dict.fromkeys(units))
        self.load(path)
        self.add_all(units)

    def add_acts(self, path: str) -> None:
        """Add what a module does in any case, and what it does to what is reached already."""
        self.add_all(self.code.acts(path))
        for unit in list(self.units):
            self.add_triggered(unit)

    def add_triggered(self, unit: Unit) -> None:
        """Add the statements of loaded modules that belong wherever ``unit`` is reached."""
        self.add_all(each for each in self.code.triggered(unit) if each.path in self.loaded)


def parse(text: str, path: str) -> ast.Module:
    """Parse a module. Whatever is wrong with it is raised as SyntaxError."""
    import warnings

    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise SyntaxError("source code cannot contain null bytes", (path, line, 1, ""))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an invalid escape, say: not ours to report here
            tree: Any = compile(text, path, "exec", _PYCF_ONLY_AST, dont_inherit=True)
    except (RecursionError, MemoryError) as error:
        raise SyntaxError("this is nested too deeply", (path, 1, 1, "")) from error
    return tree  # type: ignore[no-any-return]  # PyCF_ONLY_AST gives a module


def _decode(content: bytes, path: str) -> str:
    content = content.removeprefix(b"\xef\xbb\xbf")
    encoding = "utf-8"
    if any(b"coding" in line for line in content.split(b"\n", 2)[:2]):
        encoding = _declared_encoding(content, path)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SyntaxError(f"this is not {encoding} text", (path, line, 1, "")) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _declared_encoding(content: bytes, path: str) -> str:
    import io
    import tokenize

    try:
        return tokenize.detect_encoding(io.BytesIO(content).readline)[0]
    except SyntaxError as error:
        raise SyntaxError(error.msg, (path, 1, 1, "")) from error


def _absolute(module: _Module, target: Import) -> str:
    """Return the dotted name of the module that an import names, empty where there is none."""
    level, name, _ = target
    if not level:
        return name
    parts = module.package.split(".") if module.package else []
    if level - 1 > len(parts):
        return ""
    kept = parts[: len(parts) - (level - 1)]
    return ".".join([*kept, name] if name else kept)


def _visible_settings(call: object) -> list[ast.keyword]:
    keywords: list[ast.keyword] = getattr(call, "keywords", [])
    return [keyword for keyword in keywords if keyword.arg in VISIBLE_SETTINGS]


def _called(function: ast.expr, like: ast.Call, keywords: list[ast.keyword]) -> ast.Call:
    """Make a call of ``function``; ``like`` any call, whose class it has without importing ast."""
    return like.__class__(func=function, args=[], keywords=keywords)


def _defaults(arguments: ast.arguments) -> list[ast.expr]:
    return [*arguments.defaults, *(each for each in arguments.kw_defaults if each is not None)]


def _has_hook(unit: Unit) -> bool:
    """Whether making a subclass of a class runs code of it."""
    node: Any = unit.node
    named = [getattr(item, "name", "") for item in getattr(node, "body", ())]
    return "__init_subclass__" in named or len(getattr(node, "keywords", ())) > 0


def _has_constructor(unit: Unit) -> bool:
    """Whether making an instance of a class runs code of it."""
    node: Any = unit.node
    named = {getattr(item, "name", "") for item in getattr(node, "body", ())}
    return not named.isdisjoint(_CONSTRUCTORS) or len(getattr(node, "keywords", ())) > 0


def _is_plain_member(statement: Any) -> bool:
    """Whether a statement of a class body is a definition, a value or a docstring."""
    name = statement.__class__.__name__
    if name == "Expr":
        return bool(statement.value.__class__.__name__ == "Constant")
    return name in (*_DEFINITIONS, "AnnAssign", "Assign")


def _is_builtin(name: str) -> bool:
    import builtins

    return hasattr(builtins, name)


def _is_outside(dotted: str) -> bool:
    import sys

    first = dotted.partition(".")[0]
    standard = first in sys.stdlib_module_names or first in _STANDARD_SOMETIMES
    return bool(first) and not standard and first != "levada"


def _sha256(*parts: bytes) -> bytes:
    """Digest the parts, each with its length, so that no two lists of parts look the same."""
    digest = sha256(b"", sum(map(len, parts)))
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    found: bytes = digest.digest()
    return found


def _digest(code: list[bytes], data: list[bytes]) -> str:
    content = _sha256(_VERSION.encode(), _sha256(*code), _sha256(*data))
    return f"sha256:{content.hex()}"
