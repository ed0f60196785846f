"""What ``[tool.levada]`` says of diagnostics, and what it has that nothing reads."""

from __future__ import annotations

from functools import lru_cache

from levada.pyproject import ProjectError
from levada.regular_files import regular
from levada_compiler import rule_pages
from levada_compiler.diagnostics.diagnostic import Diagnostic, Severity, Span
from levada_compiler.slotted import replace
from levada_compiler.usage import UsageError

from .configuration import near

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from levada.project import Project

FILE = "pyproject.toml"
#: All keys of the table; each is read where it is used.
KEYS = ("allow", "images", "index", "pipelines", "store", "target", "targets")
_UNKNOWN = "unknown-project-setting"


def judged(
    found: Iterable[Diagnostic], project: Project, *, strict: bool = False
) -> list[Diagnostic]:
    """Return diagnostics as the project wants them.

    Those about its table are added. Warnings that ``allow`` names are left out, and with ``strict``
    the others are errors; what is an error stays one. Raises UsageError if ``allow`` is no list of
    ids.
    """
    try:
        settings = project.settings
    except ProjectError:  # a diagnostic of the compiler's says so
        settings = {}
    allowed = allow(settings)
    kept = [
        each
        for each in (*found, *_unknown(project, settings, allowed))
        if each.severity is Severity.ERROR or each.id not in allowed
    ]
    if not strict:
        return kept
    return [replace(each, severity=Severity.ERROR) for each in kept]


def allow(settings: Mapping[str, object]) -> Sequence[str]:
    """Return the ids of the warnings that a project does not want to see."""
    found = settings.get("allow", [])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise UsageError(
            f"[tool.levada] allow in {FILE} must be a list of ids of diagnostics:"
            ' allow = ["undeclared-file"]'
        )
    return found


def _unknown(
    project: Project, settings: Mapping[str, object], allowed: Sequence[str]
) -> list[Diagnostic]:
    found = [
        _warning(project, name, f"`[tool.levada]` has no setting `{name}`", near(name, KEYS))
        for name in settings
        if name not in KEYS
    ]
    for rule in allowed:
        if not _is_rule(rule):
            way_out = near(rule, rule_pages.listing())
            way_out = way_out if way_out.startswith("did") else "`levada explain` lists all ids"
            found.append(
                _warning(project, "allow", f"there is no diagnostic `{rule}` to allow", way_out)
            )
    return found


@lru_cache
def _is_rule(rule: str) -> bool:
    return rule_pages.find(rule) is not None


def _warning(project: Project, key: str, message: str, way_out: str) -> Diagnostic:
    return Diagnostic(_UNKNOWN, message, _span(project, key), Severity.WARNING, help=way_out)


def _span(project: Project, key: str) -> Span:
    """The line where a key of the table is set; else the start of the file."""
    try:
        with open(project.absolute(FILE), encoding="utf-8", opener=regular) as file:
            lines = file.read().splitlines()
    except (OSError, ValueError):
        lines = []
    table = ""
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith("["):
            table = text.partition("#")[0].strip("[] \t").replace('"', "")
            if table == f"tool.levada.{key}" or table.startswith(f"tool.levada.{key}."):
                return Span(FILE, number, 1, number, len(line) + 1)
        elif table == "tool.levada" and text.partition("=")[0].strip(' \t"') == key:
            start = len(line) - len(line.lstrip()) + 1
            return Span(FILE, number, start, number, len(line.rstrip()) + 1)
    return Span(FILE, 1, 1, 1, 1)
