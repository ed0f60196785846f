"""Check or compile many files: in several processes, and only those that have changed."""

from __future__ import annotations

import os

from levada.regular_files import regular
from levada_compiler import origin, targets
from levada_compiler.compilation import Reading
from levada_compiler.diagnostics.diagnostic import Diagnostic, Label, Severity, Span
from levada_compiler.slotted import dataclass, field, replace
from levada_compiler.usage import UsageError

from levada_cli import batch_cache

from . import compiling, configuration, front, project_settings, workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from levada.project import Project
    from levada_compiler.target import Target

    from .selection import Selected

#: The diagnostics that a file has only because it is not one of a pipeline.
_EMPTY = "no-pipeline"
_SYNTAX = "syntax-error"


@dataclass(frozen=True, slots=True)
class Request:
    """What is done with each file.

    ``several`` is `pipelines` or `outermost`, as in :func:`front.check`. With ``emits`` the
    targets' files are made, for ``folder`` or where the project's settings say.
    """

    names: tuple[str, ...]
    environment: str | None
    overrides: tuple[str, ...]
    several: str
    emits: bool = False
    folder: str | None = None
    strict: bool = False

    @property
    def choice(self) -> configuration.Choice:
        """What the targets' options are, and whether warnings are errors."""
        return configuration.Choice(self.environment, self.overrides, self.strict)

    @property
    def key(self) -> list[str]:
        """The words that decide what a file gives, beside its contents."""
        from json import dumps

        folder = None if self.folder is None else os.path.abspath(self.folder)
        words = (self.names, self.environment, self.overrides, self.several, self.emits, folder)
        return [dumps((*words, self.strict))]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one file.

    ``is_empty`` says that there is no pipeline in it, which is an error only where it is the same
    with all the others; ``is_named`` that the command line has it. ``problem`` is a text about what
    was asked for: two targets that write one file, say. ``files`` are (target, path below
    ``folder``, text). ``outermost`` are the (function, name) of the programs that no other one of
    the file calls; ``is_whole`` that these are all of the file. ``targets`` are those that were
    asked. ``source`` is the file relative to its project's ``root``, ``declared`` its
    pipelines. ``inputs`` is what all this was told from.
    """

    path: str
    is_empty: bool = False
    is_named: bool = False
    problem: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    programs: int = 0
    outermost: tuple[tuple[str, str], ...] = ()
    is_whole: bool = False
    targets: tuple[str, ...] = ()
    folder: str = ""
    files: tuple[tuple[str, str, str], ...] = ()
    root: str = ""
    source: str = ""
    declared: tuple[str, ...] = ()
    inputs: batch_cache.Inputs | None = None

    @property
    def failed(self) -> bool:
        """Whether the file cannot be compiled."""
        return bool(self.problem) or any(each.is_error for each in self.diagnostics)


class Batch:
    """Some files and what became of them: :attr:`results`, in order.

    :attr:`places` are the folders that somebody has said to write to, each with the root of the
    project whose files go there. That of ``project`` is one, with or without files. Raises
    UsageError where the settings or the options are wrong for all of them.
    """

    def __init__(
        self, selected: Sequence[Selected], request: Request, project: Project | None = None
    ) -> None:
        self.places = _validate(selected, request, project)
        self._selected = selected
        self._cache = batch_cache.Cache(request.key)
        known = {each: self._cache.get(_name(each)) for each in selected}
        self._new = [each for each in selected if known[each] is None]
        reading = Reading()
        found = workers.spread(lambda each: _plain(_work(each, request, reading)), self._new)
        self._plain = dict(zip(self._new, found, strict=True))
        known |= self._plain
        self.results = [_result(known[each]) for each in selected]
        if any(each.declared for each in self.results):
            self.results = list(map(_excused, self.results))

    def remember(self) -> None:
        """Keep the results for the next time. To be called when all files are written.

        What is written may be in a folder where modules are looked for.
        """
        by_file = dict(zip(self._selected, self.results, strict=True))
        for each in self._new:
            inputs = by_file[each].inputs
            if inputs is not None:
                self._cache.put(_name(each), self._plain[each], inputs)
        if self._new:
            self._cache.write()


def check_in_turn(
    selected: Sequence[Selected],
    chosen: Sequence[Target] | None = (),
    choice: configuration.Choice | None = None,
) -> list[front.Checked]:
    """Check files for a command that needs their programs; those without a pipeline are left out.

    Of each file the pipelines that no other one of the file calls. Where no file has a pipeline,
    those that were named are not left out: their diagnostics say that they have none.
    """
    reading = Reading()
    found: list[front.Checked] = []
    empty: list[front.Checked] = []
    for each in selected:
        if not each.is_named and _has_none(each.path):
            continue
        checked = front.check(
            each.reference, chosen, several="outermost", choice=choice, reading=reading
        )
        reading.syntax.forget(os.path.abspath(each.path))
        if any(one.id == _EMPTY for one in checked.diagnostics):
            empty += [checked] if each.is_named else []
        elif each.is_named or not _is_of_something_else(each.path, checked):
            found.append(checked)
    return found if any(each.declared for each in found) else [*found, *empty]


def _excused(result: Result) -> Result:
    """A file without a pipeline, beside others that have one: a shell has expanded a glob."""
    if not result.is_empty:
        return result
    found = tuple(each for each in result.diagnostics if each.id != _EMPTY)
    return replace(result, diagnostics=found)


def without_same_names(results: Sequence[Result]) -> list[Result]:
    """Give a problem to files whose pipelines have one name: their compiled files would, too.

    Only where targets were asked, and within one project. What has errors is not compiled.
    """
    users: dict[tuple[str, str], list[tuple[Result, str]]] = {}
    for result in results:
        for function, name in result.outermost if result.targets and not result.failed else ():
            users.setdefault((result.root, name), []).append((result, function))
    problems: dict[int, str] = {}
    for (_, name), several in users.items():
        shown = dict.fromkeys(f"`{each.path}:{function}`" for each, function in several)
        if len(shown) > 1:
            for each, _ in several:
                problems[id(each)] = (
                    f"{' and '.join(shown)} both have the name `{name}`, and would be compiled to "
                    "one file; give one of them another by `@pipeline(name=…)`"
                )
    return [replace(each, problem=problems.get(id(each), each.problem)) for each in results]


def note_of_empty(results: Sequence[Result]) -> str:
    """`` (no pipeline in `__init__.py`)`` of files that the command line has named."""
    names = [result.path for result in results if result.is_empty and result.is_named]
    if not names:
        return ""
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f" (no pipeline in {', '.join(names[:3])}{rest})"


def _name(each: Selected) -> str:
    return "\0".join((each.path, each.pipeline or "", "named" if each.is_named else "found"))


def _validate(
    selected: Sequence[Selected], request: Request, own: Project | None
) -> set[tuple[str, str]]:
    """Return the folders that each project's files go to, as far as somebody has said where.

    Raises UsageError for settings and options that are wrong, once for each project.
    """
    from levada import project as projects

    folders = {os.path.dirname(os.path.abspath(each.path)): each.path for each in selected}
    found = {project.root: project for project in map(projects.find, folders.values())}
    found |= {own.root: own} if own else {}
    places: set[tuple[str, str]] = set()
    for _, project in sorted(found.items()):
        tables = configuration.tables(project)
        names = request.names or configuration.default_targets(project, tables)
        asked = tuple(targets.load(name) for name in dict.fromkeys(names))
        if request.emits:
            compiling.with_target(asked)
        options = configuration.resolve(
            tables, asked, request.choice, configuration.bucket(project)
        )
        project_settings.judged((), project)
        for target in asked:
            folder = configuration.output_folder(options[target.name], target, project)
            if request.folder is not None:
                folder = os.path.abspath(request.folder)
            places |= {(folder, project.root)} if folder else set()
    return places if request.emits and request.folder != "-" else set()


def _work(each: Selected, request: Request, reading: Reading) -> Result:
    if not each.is_named and _has_none(each.path):
        return Result(each.path, is_empty=True)
    try:
        return _checked(each, request, reading)
    except UsageError as error:
        return Result(each.path, problem=str(error))
    finally:
        reading.syntax.forget(os.path.abspath(each.path))


def _checked(each: Selected, request: Request, reading: Reading) -> Result:
    chosen = [targets.load(name) for name in dict.fromkeys(request.names)] or None
    checked = front.check(
        each.reference, chosen, several=request.several, choice=request.choice, reading=reading
    )
    if not each.is_named and _is_of_something_else(each.path, checked):
        return Result(each.path, is_empty=True, inputs=_inputs(checked))
    folders: dict[str, str] = {}
    files: tuple[tuple[str, str, str], ...] = ()
    if request.emits and not checked.failed:
        folders = compiling.folders_of(checked, request.folder)
        files = compiling.emit(checked, folders)
    if files and request.folder != "-":
        compiling.refuse_sources(compiling.base_of(folders), files, checked)
    empty = any(found.id == _EMPTY for found in checked.diagnostics) and not each.pipeline
    return Result(
        each.path,
        empty,
        each.is_named,
        "",
        checked.diagnostics,
        _shown_sources(checked),
        len(checked.programs),
        tuple(_outermost(checked)),
        each.pipeline is None,
        tuple(target.name for target in checked.targets),
        compiling.base_of(folders) if folders else "",
        files,
        checked.project.root,
        checked.project.relative(os.path.abspath(each.path)),
        checked.declared,
        _inputs(checked),
    )


def _outermost(checked: front.Checked) -> Iterator[tuple[str, str]]:
    for program, _ in checked.programs:
        function = program.function or program.name
        if len(checked.programs) == 1 or function in checked.outermost:
            yield function, program.name


def _has_none(path: str) -> bool:
    """Whether it can be told without reading its syntax that a file has no pipeline.

    A pipeline is under a decorator. What Levada has written has none of its own.
    """
    try:
        with open(path, "rb", opener=regular) as file:
            text = file.read()
    except OSError:
        return False
    return b"@" not in text or origin.is_made(text[: origin.HEAD].decode("utf-8", "replace"))


def _is_of_something_else(path: str, checked: front.Checked) -> bool:
    """Whether a file that nobody named has nothing to do with pipelines.

    It has none, or it is no Python file (a template, say) and does not have the word.
    """
    ids = {found.id for found in checked.diagnostics if found.is_error}
    if _EMPTY in ids:
        return True
    if _SYNTAX not in ids or checked.declared:
        return False
    with open(path, "rb", opener=regular) as file:
        return b"pipeline" not in file.read()


def _shown_sources(checked: front.Checked) -> dict[str, str]:
    """The texts that diagnostics point into."""
    spans = [span for found in checked.diagnostics for span in _spans(found)]
    files = {span.file for span in spans}
    return {file: text for file, text in checked.sources.items() if file in files}


def _spans(found: Diagnostic) -> list[Span]:
    return [found.span, *(label.span for label in found.labels)]


def _inputs(checked: front.Checked) -> batch_cache.Inputs | None:
    if not all(map(targets.is_own, checked.targets)):
        return None  # it may look at whatever it likes
    if any(found.is_error and found.id != _EMPTY for found in checked.diagnostics):
        return None  # what was looked for and is not there is in no list
    project = checked.project
    return batch_cache.Inputs(
        dict(checked.files),
        project.root,
        tuple(project.search),
        tuple(front.data_patterns(checked)),
        tuple(checked.consulted),
    )


# ------------------------------------------------------------- as plain values, for marshal


def _plain(result: Result) -> tuple[Any, ...]:
    values = [getattr(result, name) for name in Result.__match_args__]
    named = dict(zip(Result.__match_args__, values, strict=True))
    named["diagnostics"] = tuple(map(_plain_diagnostic, result.diagnostics))
    named["inputs"] = result.inputs and result.inputs.as_tuple()
    return tuple(named.values())


def _result(plain: tuple[Any, ...]) -> Result:
    named = dict(zip(Result.__match_args__, plain, strict=True))
    named["diagnostics"] = tuple(map(_diagnostic, named["diagnostics"]))
    named["inputs"] = named["inputs"] and batch_cache.Inputs(*named["inputs"])
    return Result(**named)


def _plain_diagnostic(found: Diagnostic) -> tuple[Any, ...]:
    labels = tuple((_plain_span(label.span), label.text) for label in found.labels)
    named = {name: getattr(found, name) for name in Diagnostic.__match_args__}
    named |= {"span": _plain_span(found.span), "severity": found.severity.value, "labels": labels}
    return tuple(named.values())


def _diagnostic(plain: tuple[Any, ...]) -> Diagnostic:
    named = dict(zip(Diagnostic.__match_args__, plain, strict=True))
    named["span"] = Span(*named["span"])
    named["severity"] = Severity(named["severity"])
    named["labels"] = tuple(Label(Span(*span), text) for span, text in named["labels"])
    return Diagnostic(**named)


def _plain_span(span: Span) -> tuple[Any, ...]:
    return span.file, span.line, span.column, span.end_line, span.end_column
