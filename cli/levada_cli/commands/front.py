"""From a ``FILE[:PIPELINE]`` to a checked program, with its diagnostics named for the reader."""

from __future__ import annotations

import os

from levada.regular_files import regular
from levada_compiler import output_files, targets
from levada_compiler.diagnostics.diagnostic import Diagnostic, Severity, Span
from levada_compiler.slotted import dataclass, replace

from levada_cli import compile_cache

from . import configuration, project_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from levada.project import Project
    from levada_backends.images.pins import Pins
    from levada_compiler.compilation import Reading
    from levada_compiler.program.ir import Program
    from levada_compiler.target import Target

    from levada_cli.output import Product


@dataclass(frozen=True, slots=True)
class Checked:
    """The programs of a module, with all that was found on the way.

    ``programs`` are those without errors, each with the images that the project's lock has for it,
    None without a lock. ``sources`` and the spans of ``diagnostics`` have the files as the reader
    would name them; ``files`` maps absolute paths to digests, and ``consulted`` are the paths that
    decided what imports mean. ``declared`` are the names of all pipelines in the file,
    ``outermost`` of those that no other one calls, and ``environment`` is the one that the options
    are of.
    """

    programs: tuple[tuple[Program, Pins | None], ...]
    diagnostics: tuple[Diagnostic, ...]
    sources: Mapping[str, str]
    files: Mapping[str, str]
    consulted: tuple[str, ...]
    project: Project
    targets: tuple[Target, ...]
    options: Mapping[str, Mapping[str, object]]
    declared: tuple[str, ...] = ()
    outermost: tuple[str, ...] = ()
    environment: str | None = None

    @property
    def program(self) -> Program | None:
        """The program, or the first of several; None if there are errors in it."""
        return self.programs[0][0] if self.programs else None

    @property
    def failed(self) -> bool:
        """Whether there is an error."""
        return any(diagnostic.severity is Severity.ERROR for diagnostic in self.diagnostics)


def split_reference(text: str) -> tuple[str, str | None]:
    """``FILE`` or ``FILE:PIPELINE``; a file whose name has a colon in it is a file."""
    file, colon, pipeline = text.rpartition(":")
    plain = pipeline.replace("-", "_").replace(".", "_")  # as a pipeline may be named
    is_file = pipeline.endswith((".py", ".json")) or os.path.exists(text)
    if not colon or not file or not plain.isidentifier() or is_file:
        return text, None
    return file, pipeline


def check(
    reference: tuple[str, str | None],
    chosen: Sequence[Target] | None = (),
    *,
    several: str = "",
    choice: configuration.Choice | None = None,
    reading: Reading | None = None,
) -> Checked:
    """Compile one pipeline and ask each target about it. Never raises for bad input.

    ``chosen`` None means the targets that the project's settings name. Where no pipeline is named,
    ``several`` takes more than one: `pipelines` all of the module, `outermost` those that no other
    one of the module calls. ``choice`` says what the targets' options are; ``reading`` is given
    where several files are checked.
    """
    from levada import project as projects
    from levada_compiler import target_checks
    from levada_compiler.compilation import compile_file, compile_pipelines

    path, pipeline = reference
    project = projects.find(path) if reading is None else reading.project(path)
    configured = configuration.tables(project)
    names = configuration.default_targets(project, configured) if chosen is None else ()
    asked = tuple(map(targets.load, names)) if chosen is None else tuple(chosen)
    choice = choice or configuration.Choice()
    options = configuration.resolve(configured, asked, choice, configuration.bucket(project))
    is_one = bool(pipeline) or not several
    results = (
        [compile_file(path, pipeline, reading=reading)]
        if is_one
        else compile_pipelines(path, several, reading=reading)
    )
    located, environment = configuration.located, choice.environment
    problems: list[Diagnostic] = []
    pins = [_pins(result.program, project) if asked else None for result in results]
    for result, pinned in zip(results, pins, strict=True):
        problems += (*result.diagnostics, *(pinned.diagnostics if pinned else ()))
        if result.program is not None:
            for target in asked:
                program = with_images(result.program, pinned, target)
                given = target_options(options, target, environment)
                found = target_checks.check(target, program, given)
                problems += (located(one, target, project, environment) for one in found)
    problems = project_settings.judged(problems, project, strict=choice.strict)
    sources = {file: text for result in results for file, text in result.sources.items()}
    files = {file: digest for result in results for file, digest in result.files.items()}
    for pinned in pins:
        files |= pinned.files if pinned else {}
    pairs = zip(results, pins, strict=True)
    return Checked(
        tuple((each.program, pinned) for each, pinned in pairs if each.program is not None),
        tuple(_named(diagnostic, project) for diagnostic in _in_order(problems)),
        {_shown(file, project): text for file, text in _all(sources, problems, project)},
        files,
        tuple(path for result in results for path in result.consulted),
        project,
        asked,
        options,
        results[0].pipelines,
        results[0].outermost,
        environment,
    )


def _pins(program: Program | None, project: Project) -> Pins | None:
    """The images that the project's lock has for a program; one that is stale is an error."""
    if program is None or not os.path.isfile(os.path.join(project.root, "levada.lock")):
        return None
    from levada_backends.images import pins

    return pins.Pins(program, project)


def with_images(program: Program, pins: Pins | None, target: Target) -> Program:
    """The program as a target is given it: with the lock's images, if it has a use for them."""
    settings = target.capabilities.settings
    if pins and any(setting.name == "image" and setting.supported for setting in settings):
        return pins.apply()
    return program


def _all(
    sources: Mapping[str, str], diagnostics: Sequence[Diagnostic], project: Project
) -> list[tuple[str, str]]:
    """The sources, with those that only a diagnostic is about."""
    found = dict(sources)
    for diagnostic in diagnostics:
        file = diagnostic.span.file
        path = project.absolute(file)
        if file not in found and os.path.isfile(path):
            with open(path, "rb", opener=regular) as opened:
                found[file] = opened.read().decode("utf-8", "replace")
    return list(found.items())


def shown(
    diagnostics: Sequence[Diagnostic], checked: Checked
) -> tuple[tuple[Diagnostic, ...], dict[str, str]]:
    """More diagnostics of a program, with files as the reader would name them, and all sources."""
    project = checked.project
    found = tuple(_named(diagnostic, project) for diagnostic in _in_order(diagnostics))
    sources = dict(checked.sources)
    for file, text in _all({}, diagnostics, project):
        sources.setdefault(_shown(file, project), text)
    return found, sources


def target_options(
    options: Mapping[str, Mapping[str, object]], target: Target, environment: str | None
) -> dict[str, object]:
    """What ``check`` and ``emit`` of a target are given.

    Its options, Levada's version, and the name of the environment where one was chosen.
    """
    from levada import __version__

    chosen = {} if environment is None else {"environment": environment}
    return {**own_options(options, target), "compiler": __version__, **chosen}


def own_options(options: Mapping[str, Mapping[str, object]], target: Target) -> dict[str, object]:
    """The options of a target without ``output``, which says where its files go."""
    own = dict(options.get(target.name, {}))
    known = target.capabilities.options
    if known is not None and configuration.OUTPUT not in known.definitions():
        own.pop(configuration.OUTPUT, None)
    return own


def remember(arguments: list[str], product: Product, checked: Checked) -> None:
    """Keep a product for the next time that the same is asked."""
    files = dict(checked.files)
    settings = os.path.join(checked.project.root, "pyproject.toml")
    if os.path.isfile(settings):
        with open(settings, "rb", opener=regular) as file:
            files[settings] = compile_cache.sha256(file.read())
    project = checked.project
    compile_cache.remember(
        arguments,
        product,
        files,
        project.root,
        list(project.search),
        data_patterns(checked),
        checked.consulted,
    )


def data_patterns(checked: Checked) -> list[str]:
    """The globs of the data files of the programs' steps."""
    programs = [program for program, _ in checked.programs]
    steps = [step for program in programs for step in program.steps]
    settings = [setting for step in steps for setting in step.settings]
    texts = {setting.value for setting in settings if setting.name == "files"}
    if not texts:
        return []
    import json

    return sorted({pattern for text in texts for pattern in json.loads(text)})


def _in_order(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    unique = list(dict.fromkeys(diagnostics))
    return sorted(unique, key=lambda diagnostic: (diagnostic.span, diagnostic.id))


def _named(diagnostic: Diagnostic, project: Project) -> Diagnostic:
    labels = tuple(
        replace(label, span=_named_span(label.span, project)) for label in diagnostic.labels
    )
    return replace(diagnostic, span=_named_span(diagnostic.span, project), labels=labels)


def _named_span(span: Span, project: Project) -> Span:
    return replace(span, file=_shown(span.file, project))


def _shown(file: str, project: Project) -> str:
    return output_files.display_path(project.absolute(file)).replace(os.sep, "/")
