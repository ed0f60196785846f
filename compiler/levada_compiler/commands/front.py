"""From a ``FILE[:PIPELINE]`` to a checked program, with its diagnostics named for the reader."""

from __future__ import annotations

import os

from levada_compiler import compile_cache, output, targets
from levada_compiler.diagnostic import Diagnostic, Severity, Span
from levada_compiler.slotted import dataclass, replace
from levada_compiler.usage import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from levada.project import Project
    from levada_backends.target import Target

    from levada_compiler.ir import Program


@dataclass(frozen=True, slots=True)
class Checked:
    """A program with all that was found on the way.

    ``program`` is None if there are errors. ``sources`` and the spans of ``diagnostics`` have the
    files as the reader would name them; ``files`` maps absolute paths to digests.
    """

    program: Program | None
    diagnostics: tuple[Diagnostic, ...]
    sources: Mapping[str, str]
    files: Mapping[str, str]
    project: Project
    options: Mapping[str, Mapping[str, object]]

    @property
    def failed(self) -> bool:
        """Whether there is an error."""
        return any(diagnostic.severity is Severity.ERROR for diagnostic in self.diagnostics)


def split_reference(text: str) -> tuple[str, str | None]:
    """``FILE`` or ``FILE:PIPELINE``; a file whose name has a colon in it is a file."""
    file, colon, pipeline = text.rpartition(":")
    if not colon or not file or not pipeline.isidentifier() or os.path.exists(text):
        return text, None
    return file, pipeline


def check(
    reference: tuple[str, str | None], chosen: Sequence[Target] | None = (), *, every: bool = False
) -> Checked:
    """Compile one pipeline and ask each target about it. Never raises for bad input.

    ``chosen`` None means the targets that the project's settings name. ``every`` checks all
    pipelines of the module where none is named.
    """
    from levada import project as projects

    from levada_compiler.compilation import compile_file

    path, pipeline = reference
    project = projects.find(path)
    options = _target_options(project)
    compilation = compile_file(path, pipeline)
    wanted = compilation.pipelines if every and not pipeline else ()
    results = [compile_file(path, name) for name in wanted] if len(wanted) > 1 else [compilation]
    asked = [targets.load(name) for name in options] if chosen is None else chosen
    problems: list[Diagnostic] = []
    for result in results:
        problems += result.diagnostics
        if result.program is not None:
            for target in asked:
                problems += target.check(result.program, target_options(options, target))
    sources = {file: text for result in results for file, text in result.sources.items()}
    return Checked(
        results[0].program,
        tuple(_named(diagnostic, project.root) for diagnostic in _in_order(problems)),
        {_shown(file, project.root): text for file, text in sources.items()},
        {file: digest for result in results for file, digest in result.files.items()},
        project,
        options,
    )


def shown(
    diagnostics: Sequence[Diagnostic], checked: Checked
) -> tuple[tuple[Diagnostic, ...], dict[str, str]]:
    """More diagnostics of a program, with files as the reader would name them, and all sources."""
    root = checked.project.root
    found = tuple(_named(diagnostic, root) for diagnostic in _in_order(diagnostics))
    sources = dict(checked.sources)
    for diagnostic in diagnostics:
        name = _shown(diagnostic.span.file, root)
        if name not in sources:
            with open(os.path.join(root, diagnostic.span.file), "rb") as file:
                sources[name] = file.read().decode("utf-8", "replace")
    return found, sources


def target_options(
    options: Mapping[str, Mapping[str, object]], target: Target
) -> dict[str, object]:
    """What ``check`` and ``emit`` of a target are given: its settings, and Levada's version."""
    from levada import __version__

    return {**options.get(target.name, {}), "compiler": __version__}


def is_repeatable(program: Program) -> bool:
    """Whether the cache can tell all that the program was made from: not what a glob will find."""
    return not any(setting.name == "files" for step in program.steps for setting in step.settings)


def remember(arguments: list[str], product: output.Product, checked: Checked) -> None:
    """Keep a product for the next time that the same is asked."""
    files = dict(checked.files)
    settings = os.path.join(checked.project.root, "pyproject.toml")
    if os.path.isfile(settings):
        with open(settings, "rb") as file:
            files[settings] = compile_cache.sha256(file.read())
    search = list(checked.project.search)
    compile_cache.remember(arguments, product, files, checked.project.root, search)


def _target_options(project: Project) -> dict[str, dict[str, object]]:
    """``[tool.levada.targets]`` of the project."""
    from levada.project import ProjectError

    try:
        tables = project.settings.get("targets", {})
    except ProjectError:  # which the compilation reports
        return {}
    if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
        raise UsageError("[tool.levada.targets] in pyproject.toml must hold tables")
    return tables


def _in_order(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    unique = list(dict.fromkeys(diagnostics))
    return sorted(unique, key=lambda diagnostic: (diagnostic.span, diagnostic.id))


def _named(diagnostic: Diagnostic, root: str) -> Diagnostic:
    labels = tuple(
        replace(label, span=_named_span(label.span, root)) for label in diagnostic.labels
    )
    return replace(diagnostic, span=_named_span(diagnostic.span, root), labels=labels)


def _named_span(span: Span, root: str) -> Span:
    return replace(span, file=_shown(span.file, root))


def _shown(file: str, root: str) -> str:
    return output.display_path(os.path.join(root, file)).replace(os.sep, "/")
