"""From a file to a checked program: the entry point of the compiler.

Three passes: read (``ast``), declare (steps and pipelines), lower (values, flow and types in one
walk). Nothing of the user's is imported or run.
"""

from __future__ import annotations

import ast
import os
from contextlib import contextmanager

from levada import project as projects
from levada.code import Code, Syntax
from levada.hashing import sha256
from levada.operations import TooLargeError
from levada.regular_files import regular

from .compiled import Compilation
from .diagnostics.diagnostic import Label, Span
from .diagnostics.reports import Reports, closest
from .front import made_steps, nested_steps, outside
from .front import modules as m
from .front.budget import CompilationBudget
from .front.declare import Declarations, name_span
from .front.functions import check_function
from .front.importable import bind_unimported
from .front.source import Source
from .front.walking import walk
from .lowering import (  # noqa: F401 - each registers what it lowers
    bodies,
    calls,
    displays,
    expressions,
    frame,
    statements,
    unused,
)
from .program import check, order, pruning
from .program.digest import digest_of
from .program.ir import Program
from .slotted import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from levada.project import Project


class Reading:
    """What several compilations of one command read once: settings, packages, shared modules.

    >>> reading = Reading()
    >>> compile_file("missing.py", reading=reading).program is None
    True
    """

    __slots__ = ("projects", "syntax")

    def __init__(self) -> None:
        self.projects: dict[str, Project] = {}
        self.syntax = Syntax()

    def project(self, path: str) -> Project:
        """Return the project of the module at ``path``."""
        return projects.find(path, self.projects)


def compile_file(
    path: str, pipeline: str | None = None, *, reading: Reading | None = None
) -> Compilation:
    """Compile the pipeline named ``pipeline`` of the module at ``path``.

    Without a name: the only one, or the only one that no other pipeline of the module calls.
    A ``.json`` file holds a program itself (``levada.ir/2``). Never raises for bad input: whatever
    is wrong is a diagnostic. ``reading`` is given where several files are compiled.
    """
    path = os.fspath(path)
    if path.endswith(".json"):
        from .ir_file import compile_ir

        return compile_ir(path, pipeline)
    return _Compiler(os.path.abspath(path), reading=reading).run(pipeline)[0]


def compile_pipelines(
    path: str, several: str, *, reading: Reading | None = None
) -> list[Compilation]:
    """Compile several pipelines of the module at ``path``; return one compilation for each.

    ``several`` is `pipelines` for all of them, `outermost` for those that no other one of the
    module calls. The file is read once, and all draw from one budget, so nothing is compiled after
    a pipeline that is too large. The first compilation has the diagnostics of the file as a whole.
    Where there is just one pipeline to compile, or none, this is :func:`compile_file`.
    """
    path = os.fspath(path)
    if path.endswith(".json"):
        return [compile_file(path)]
    compiler = _Compiler(os.path.abspath(path), reading=reading)
    found = compiler.run(several=several)
    if len(found) == 1 or not compiler.uses_other_folders:
        return found
    return list(_apart(compiler.path, getattr(found[0], several), reading))


def _apart(path: str, names: Iterable[str], reading: Reading | None) -> Iterator[Compilation]:
    """Compile pipelines of a module one by one, with one budget for all.

    A program has the folders of other packages in which its own modules were found. Which pipeline
    needs which cannot be told once they share what was read.
    """
    budget = CompilationBudget()
    spent = 0
    for name in names:
        compiler = _Compiler(path, budget, spent, reading)
        yield from compiler.run(name)
        spent = compiler.spent
        if compiler.is_too_large:
            return


class _Compiler:
    """The compilation of one file."""

    def __init__(
        self,
        path: str,
        budget: CompilationBudget | None = None,
        spent: int = 0,
        reading: Reading | None = None,
    ) -> None:
        self.path = path
        self.reports = Reports()
        reading = reading or Reading()
        self.project = reading.project(path)
        self.file = self.project.file or os.path.basename(path)
        self.code = Code(self.project, reading.syntax)
        self.modules = m.Modules(self.project, self.code, self.reports, budget)
        self.declarations = Declarations(self.modules, self.reports)
        self.text = ""
        self.pipelines: tuple[str, ...] = ()
        self.outermost: tuple[str, ...] = ()
        self.spent = spent  #: nodes and unrolled iterations of all pipelines so far
        self.is_too_large = False  #: whether a pipeline has spent what there was

    @property
    def uses_other_folders(self) -> bool:
        """Whether modules were found in folders of packages outside of the project's search."""
        return len(self.project.used_search) > len(self.project.search)

    def run(self, pipeline: str | None = None, several: str = "") -> list[Compilation]:
        """Compile the pipeline of this name, or several; return at least one compilation."""
        chosen: list[m.Function] = []
        with self._within_limits(self.reports):
            tree = self._read()
            if tree is not None:
                chosen = self._declare(tree, pipeline, several)
        lowered: list[tuple[Program | None, Reports]] = []
        for function in chosen:
            if not self.is_too_large:
                reports = Reports() if len(chosen) > 1 else self.reports
                lowered.append((self._program(function, reports), reports))
        return self._compilations(lowered or [(None, self.reports)])

    def _program(self, function: m.Function, reports: Reports) -> Program | None:
        with self._within_limits(reports):
            return self._lower(function, reports)
        return None

    @contextmanager
    def _within_limits(self, reports: Reports) -> Iterator[None]:
        """End the compilation where the block finds that there is too much to compile."""
        try:
            yield
        except TooLargeError:  # which has been reported
            self.is_too_large = True
        except (RecursionError, MemoryError):
            self.is_too_large = True  # what calls this pipeline is nested in the same way
            reports.error(
                "nesting-too-deep",
                reports.place or self._whole,
                "this statement, or an expression in it, is nested too deeply",
                help="split it up, or compute it in a step; each `elif`, `case` and early `return` "
                "is nested in the one before: look the value up in a dict instead",
            )

    def _compilations(self, lowered: list[tuple[Program | None, Reports]]) -> list[Compilation]:
        failed = self.reports.failed
        lowered[0][1].add_all(self.reports)
        sources = self._sources([reports for _, reports in lowered])
        files = self._files()
        consulted = (
            *self.project.consulted,
            *sorted(self.modules.data_files | self.modules.consulted),
        )
        return [
            Compilation(
                None if failed or reports.failed else program,
                reports.sorted(self.file),
                sources,
                files,
                self.pipelines,
                consulted,
                self.outermost,
            )
            for program, reports in lowered
        ]

    # -- reading

    @property
    def _whole(self) -> Span:
        """The place of what is wrong with the file as a whole."""
        return Span(self.file, 1, 1, 1, 2)

    def _error(self, rule: str, message: str, way_out: str, span: Span | None = None) -> None:
        self.reports.error(rule, span or self._whole, message, help=way_out)

    def _read(self) -> ast.Module | None:
        if self.path.endswith(".ipynb") and os.path.isfile(self.path):
            self._error(
                "notebook-file",
                f"`{self.file}` is a notebook, and a pipeline is compiled from a Python module",
                f"put the steps and the pipeline in a module, or make one of the notebook: "
                f"`jupyter nbconvert --to script {os.path.basename(self.path)}`",
            )
            return None
        try:
            self.text = self.code.text(self.path)
        except SyntaxError as error:
            self._error(
                "file-encoding",
                f"`{self.file}` is not text: {error.msg}",
                "save it as UTF-8, or declare its encoding in the first line",
            )
            return None
        except (UnicodeError, LookupError) as error:
            self._error("file-encoding", f"`{self.file}` is not text: {error}", "save it as UTF-8")
            return None
        except (OSError, ValueError) as error:
            self._report_unreadable(error)
            return None
        return self._parse()

    def _report_unreadable(self, error: Exception) -> None:
        shown = self.path.encode("utf-8", "replace").decode()
        if isinstance(error, FileNotFoundError):
            self._error("file-not-found", f"there is no file `{shown}`", "check the path")
            return
        reason = error.strerror if isinstance(error, OSError) else str(error)
        self._error(
            "file-not-found",
            f"`{shown}` cannot be read: {reason}",
            "give a Python file that you may read",
        )

    def _parse(self) -> ast.Module | None:
        try:
            return self.code.tree(self.path)
        except SyntaxError as error:
            self._report_syntax(error)
        except (RecursionError, MemoryError):
            self._error(
                "nesting-too-deep",
                "this module is nested too deeply for Python itself",
                "split the deepest expression up",
            )
        except ValueError as error:
            self._error("syntax-error", str(error), "remove what is not Python text")
        return None

    def _report_syntax(self, error: SyntaxError) -> None:
        source = Source(self.file, self.text)
        line = min(max(error.lineno or 1, 1), len(source.lines))
        width = len(source.lines[line - 1])
        column = min(max(error.offset or 1, 1), width + 1)
        end_line, end = error.end_lineno or line, error.end_offset or 0
        same_line = end_line == line and end > column
        span = Span(self.file, line, column, line, min(end, width + 1) if same_line else column + 1)
        if span.end_column <= span.column:
            span = Span(self.file, line, column, line, column + 1)
        self.reports.error(
            "syntax-error",
            span,
            error.msg or "this is not Python",
            help="correct it until `python -m py_compile` accepts the file",
        )

    # -- compiling

    def _declare(self, tree: ast.Module, pipeline: str | None, several: str) -> list[m.Function]:
        """Read the declarations of the module; return the pipelines to compile."""
        module = self.modules.add(self.path, Source(self.file, self.text), tree)
        self._read_project_settings()
        bind_unimported(module, self.reports)
        functions = [m.Function(module, node) for node in module.functions]
        for function in functions:
            if (kind := self.declarations.kind(function)) is not None:
                outside.open_named(self.modules, function, kind)
        functions += self.modules.made_steps(module)
        self._check_declarations(module, functions)
        functions += nested_steps.declared(self.declarations, module)
        pipelines = {
            function.node.name: function
            for function in functions
            if self.declarations.kind(function) == "pipeline"
        }
        self.pipelines = tuple(pipelines)
        self.outermost = tuple(each.node.name for each in self._outermost(pipelines))
        for function in functions:
            if self.declarations.kind(function) == "step":
                self.declarations.step(function)
        if any(self.declarations.kind(function) == "step" for function in functions):
            self._check_importable(module)
        chosen = [pipelines[name] for name in (getattr(self, several) if several else ())]
        if len(chosen) < 2:
            chosen = self._choose(module, pipelines, pipeline)
        for function in pipelines.values():
            if function not in chosen:  # its faults of this kind let no step of the module run
                check_function(self.reports, function, "pipeline", lowered=False)
        return chosen

    def _read_project_settings(self) -> None:
        try:
            _ = self.project.settings
        except projects.ProjectError as error:
            line = max(error.line, 1)
            file = self.project.relative(error.file)
            self._error(
                "project-settings",
                f"`{file}` cannot be read: {error.message}",
                "correct it; Levada reads its `[tool.levada]` table",
                Span(file, line, 1, line, 2),
            )

    def _check_importable(self, module: m.Module) -> None:
        """A step's process imports its module by name."""
        found = self.project.locate(module.name)
        if found == self.path and module.name != "__main__":
            return
        hidden = found is not None and found != self.path
        other = f": that is `{self.project.relative(str(found))}`" if hidden else ""
        self._error(
            "module-name",
            f"the steps of `{self.file}` cannot be imported from `{module.name}`{other}",
            "rename it: to end in `.py`, with no other dot, and so that no package hides it",
        )

    def _check_declarations(self, module: m.Module, functions: list[m.Function]) -> None:
        seen: dict[str, m.Function] = {}
        for function in functions:
            if self.declarations.kind(function) is None:
                continue
            name = function.node.name
            if name in seen:
                self.reports.error(
                    "duplicate-definition",
                    name_span(function),
                    f"`{name}` is defined twice",
                    labels=(Label(name_span(seen[name]), "it is defined here first"),),
                    help="rename one of them: Python keeps only the last",
                )
            seen[name] = function
        made_steps.report_misplaced(self.modules, module, self.reports)

    def _choose(
        self, module: m.Module, pipelines: dict[str, m.Function], name: str | None
    ) -> list[m.Function]:
        """Return the one pipeline that is asked for; none after a diagnostic."""
        if name is not None:
            named = self._named(module, pipelines, name)
            return [named] if named else []
        if len(pipelines) == 1:
            return list(pipelines.values())
        if not pipelines:
            self._error(
                "no-pipeline",
                "this module declares no pipeline",
                "put `@pipeline` on the function that calls the steps",
            )
            return []
        if len(self.outermost) == 1:
            return [pipelines[self.outermost[0]]]
        choices = self.outermost or self.pipelines
        first, *others = [pipelines[each] for each in choices]
        listed = ", ".join(f"`{item}`" for item in pipelines)
        self.reports.error(
            "several-pipelines",
            name_span(first),
            f"this module declares several pipelines: {listed}",
            labels=tuple(Label(name_span(other), "this is another") for other in others),
            help="name one: " + ", ".join(f"`{self.file}:{each}`" for each in choices),
        )
        return []

    @staticmethod
    def _outermost(pipelines: dict[str, m.Function]) -> list[m.Function]:
        """The pipelines that no other one of the module calls: those are only parts of it."""
        parts = {
            name
            for pipeline in pipelines.values()
            for name in _called(pipeline.node)
            if name != pipeline.node.name
        }
        return [pipeline for name, pipeline in pipelines.items() if name not in parts]

    def _named(
        self, module: m.Module, pipelines: dict[str, m.Function], name: str
    ) -> m.Function | None:
        if name in pipelines:
            return pipelines[name]
        imported = self.modules.lookup(module, name)
        if isinstance(imported, m.Function) and self.declarations.kind(imported) == "pipeline":
            return imported
        named = {self.declarations.pipeline(each).name: each for each in pipelines.values()}
        if name in named:
            return named[name]
        found = closest(name, [*pipelines, *named])
        listed = ", ".join(f"`{item}`" for item in named) or "none"
        self._error(
            "unknown-pipeline",
            f"there is no pipeline `{name}` in this module",
            f"did you mean `{found}`?" if found else f"its pipelines: {listed}",
        )
        return None

    def _lower(self, function: m.Function, reports: Reports) -> Program | None:
        building = frame.Building(self.modules, self.declarations, reports, self.spent)
        declared = self.declarations.pipeline(function)
        outer = frame.Frame(building, function)
        self.declarations.report_unreadable(declared)
        expressions.bind_parameters(outer, declared)
        try:
            returned = bodies.lower(outer)
        except frame.TooLargeError:
            self.is_too_large = True
            return None
        finally:
            self.spent = building.spent
        if reports.failed or self.reports.failed:
            return None
        unused.report(outer, reports)
        result = bodies.result_of(outer, returned, name_span(function))
        steps = self.declarations.called_steps(check.called_steps(outer.region))
        check.hidden_modules(steps, reports)
        cached = any(setting.name == "cache" for setting in declared.settings)
        body, result = order.ordered(
            pruning.pruned(outer.region, result.values),
            result,
            steps,
            building.hints,
            building.names.unique,
            cached=cached,
        )
        program = Program(
            name=declared.name,
            function="" if declared.name == function.node.name else function.node.name,
            description=declared.description,
            file=self.file,
            source="",
            search=self._search(),
            parameters=declared.parameters,
            settings=declared.settings,
            steps=steps,
            body=body,
            result=result,
            span=name_span(function),
        )
        return replace(program, source=digest_of(program))

    def _search(self) -> tuple[str, ...]:
        folders = [folder for folder in self.project.used_search if os.path.isdir(folder)]
        return tuple(self.project.relative(folder) for folder in folders)

    # -- what was read

    def _absolute(self, files: Iterable[str]) -> set[str]:
        return {self.project.absolute(file) for file in files}

    def _read_files(self) -> list[str]:
        """The modules of the project that were read: absolute paths, sorted."""
        files = {os.path.abspath(module.path) for module in self.modules.read()}
        return sorted(files | {self.path} | self._absolute(self.declarations.files))

    def _sources(self, collected: list[Reports]) -> dict[str, str]:
        sources = {module.source.file: module.source.text for module in self.modules.read()}
        if self.text:
            sources.setdefault(self.file, self.text)
        for item in (each for reports in collected for each in reports.sorted(self.file)):
            if item.span.file not in sources:
                self._add_source(item.span.file, sources)
        return sources

    def _add_source(self, file: str, sources: dict[str, str]) -> None:
        try:
            path = self.project.absolute(file)
            with open(path, encoding="utf-8", errors="replace", opener=regular) as stream:
                sources[file] = stream.read()
        except (OSError, ValueError):
            return

    def _files(self) -> dict[str, str]:
        others = self._absolute(["pyproject.toml", *self.declarations.data])
        return {
            path: digest
            for path in [*self._read_files(), *sorted({*others, *self.code.library_files})]
            if (digest := _file_digest(path)) is not None
        }


def _called(function: m.FunctionNode) -> Iterator[str]:
    """The plain names that ``function`` calls: ``f`` of ``f(…)`` and of ``f.after(x)(…)``."""
    for node in walk(function):
        target: ast.AST = node
        while isinstance(target, ast.Call | ast.Attribute):
            target = target.func if isinstance(target, ast.Call) else target.value
        if isinstance(node, ast.Call) and isinstance(target, ast.Name):
            yield target.id


def _file_digest(path: str) -> str | None:
    try:
        with open(path, "rb", opener=regular) as stream:
            return f"sha256:{sha256(stream.read()).hexdigest()}"
    except (OSError, ValueError):
        return None
