"""The options of targets: ``[tool.levada.targets.<name>]``, one environment of it, ``--set``."""

from __future__ import annotations

from levada.regular_files import regular
from levada_compiler.diagnostics.diagnostic import Span
from levada_compiler.slotted import dataclass, replace
from levada_compiler.usage import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from levada.project import Project
    from levada_compiler.diagnostics.diagnostic import Diagnostic
    from levada_compiler.target import Target

    Table = dict[str, object]

ENVIRONMENTS = "environments"
#: The folder that a target's files are written to; every target may have it.
OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which environment, and what the command line sets: ``KEY=VALUE`` each."""

    environment: str | None = None
    overrides: tuple[str, ...] = ()
    strict: bool = False  #: warnings are errors


def tables(project: Project) -> dict[str, Table]:
    """``[tool.levada.targets]`` of the project; {} if the file is wrong: a compile says so."""
    from levada.project import ProjectError

    try:
        found = project.settings.get("targets", {})
    except ProjectError:
        return {}
    if not isinstance(found, dict) or not all(isinstance(t, dict) for t in found.values()):
        raise UsageError("[tool.levada.targets] in pyproject.toml must hold tables")
    return found


def default_targets(project: Project, configured: Mapping[str, Table]) -> tuple[str, ...]:
    """The targets to compile for where the command line names none.

    Those of ``[tool.levada] target``, else all that have a table.
    """
    from levada.project import ProjectError

    try:
        given = project.settings.get("target")
    except ProjectError:
        return ()
    if given is None:
        return tuple(configured)
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise UsageError(
            "[tool.levada] target in pyproject.toml must be a name, or a list of names"
        )
    return tuple(dict.fromkeys(names))


def output_folder(options: Mapping[str, object], target: Target, project: Project) -> str | None:
    """The folder that the project has for a target's files: an absolute path, or None.

    Raises UsageError where ``output`` is no text.
    """
    import os

    found = options.get(OUTPUT)
    if found is None:
        return None
    if not isinstance(found, str) or not found:
        raise UsageError(f'[tool.levada.targets.{target.name}] {OUTPUT} must be a folder: `"dags"`')
    return os.path.abspath(os.path.join(project.root, found))


def bucket(project: Project) -> str:
    """The store of the project if that is in a bucket, and so is the same everywhere; or nothing.

    A folder is one of the machine that runs `levada run`. Raises UsageError for a URL that nothing
    here can open.
    """
    from levada.project import ProjectError
    from levada.store import BUCKETS, url_problem

    try:
        store = project.settings.get("store")
    except ProjectError:
        return ""
    if isinstance(store, str) and (problem := url_problem(store)):
        raise UsageError(f"[tool.levada] store in pyproject.toml: {problem}")
    is_bucket = isinstance(store, str) and store.partition("://")[0] in BUCKETS
    return str(store) if is_bucket else ""


def resolve(
    configured: Mapping[str, Table], targets: Sequence[Target], choice: Choice, store: str = ""
) -> dict[str, Table]:
    """The options of each of these targets by its name.

    ``store`` is what a target has that says nothing of its store. Raises UsageError for an
    environment or an option that there is not.
    """
    _find_environment(configured, [target.name for target in targets], choice.environment)
    options = {
        target.name: _in_environment(configured.get(target.name, {}), choice.environment)
        for target in targets
    }
    for target in targets:
        _refuse_unknown(target, options[target.name])
        own = options[target.name]
        if (
            store
            and "store" in (_known(target) or ())
            and not own.keys() & {"store", "store_claim"}
        ):
            options[target.name] = {**own, "store": store}
    for word in choice.overrides:
        _override(options, targets, *_read(word))
    return options


def environments(table: Mapping[str, object], name: str) -> dict[str, Table]:
    """The environments of the target ``name``, whose table this is."""
    found = table.get(ENVIRONMENTS, {})
    if not isinstance(found, dict) or not all(isinstance(t, dict) for t in found.values()):
        raise UsageError(f"[tool.levada.targets.{name}.{ENVIRONMENTS}] must hold tables")
    return found


def merged(base: Mapping[str, object], over: Mapping[str, object]) -> Table:
    """The one table over the other: tables within are merged too, all else is replaced."""
    result = dict(base)
    for key, value in over.items():
        before = result.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            result[key] = merged(before, value)
        else:
            result[key] = value
    return result


def located(
    diagnostic: Diagnostic, target: Target, project: Project, environment: str | None
) -> Diagnostic:
    """With the place of the option that its span names, as ``pyproject.toml#option``.

    It is the start of the file where the option is not in it: ``--set`` has given it.
    """
    import os

    file, named, option = diagnostic.span.file.partition("#")
    if not named:
        return diagnostic
    try:
        with open(os.path.join(project.root, file), encoding="utf-8", opener=regular) as opened:
            lines = opened.read().splitlines()
    except OSError:
        lines = []
    table = f"tool.levada.targets.{target.name}"
    places = _places(file, lines, option)
    span = places.get(f"{table}.{ENVIRONMENTS}.{environment}") or places.get(table)
    return replace(diagnostic, span=span or Span(file, 1, 1, 1, 1))


def _places(file: str, lines: Sequence[str], option: str) -> dict[str, Span]:
    """Where an option is set, by the name of the table."""
    found: dict[str, Span] = {}
    table = ""
    for number, line in enumerate(lines, 1):
        if line.startswith("["):
            table = line.partition("#")[0].strip("[] \t").replace('"', "")
        elif line.partition("=")[0].strip(' \t"') == option:
            start = len(line) - len(line.lstrip()) + 1
            found[table] = Span(file, number, start, number, start + len(line.strip()))
    return found


def _in_environment(table: Table, environment: str | None) -> Table:
    base = {key: value for key, value in table.items() if key != ENVIRONMENTS}
    found = table.get(ENVIRONMENTS, {})
    own = found.get(environment, {}) if isinstance(found, dict) and environment else {}
    return merged(base, own)


def _find_environment(
    configured: Mapping[str, Table], names: Sequence[str], environment: str | None
) -> None:
    """An error unless each target that has environments has this one, and one of them has."""
    known = {name: environments(configured.get(name, {}), name) for name in names}
    if environment is None:
        return
    for name, found in known.items():
        if found and environment not in found:
            hint = near(environment, found)
            raise UsageError(f"the target `{name}` has no environment `{environment}`; {hint}")
    if not any(known.values()):
        place = f"[tool.levada.targets.{names[0] if names else '…'}.{ENVIRONMENTS}.{environment}]"
        raise UsageError(f"there is no environment `{environment}`: pyproject.toml has no {place}")


def _refuse_unknown(target: Target, options: Mapping[str, object]) -> None:
    known = _known(target)
    for key in options:
        if known is not None and key not in known:
            place = f"[tool.levada.targets.{target.name}]"
            raise UsageError(f"{place} has no option `{key}`; {near(key, known)}")


def _known(target: Target) -> tuple[str, ...] | None:
    """The options that a target takes; None if it takes any."""
    options = target.capabilities.options
    return None if options is None else (*options.definitions(), "project", OUTPUT)


def _override(
    options: dict[str, Table], targets: Sequence[Target], path: list[str], value: object
) -> None:
    """Set one option of every target that has it; an empty value leaves it unset."""
    names = {target.name: _known(target) for target in targets}
    takers = [name for name, known in names.items() if known is None or path[0] in known]
    if not takers:
        known = [one for found in names.values() if found for one in found]
        raise UsageError(f"--set: there is no option `{path[0]}`; {near(path[0], known)}")
    for key in reversed(path):
        value = {key: value}
    for name in takers:
        options[name] = _without_empty(merged(options[name], value), path)  # type: ignore[arg-type]


def _without_empty(table: Table, path: Sequence[str]) -> Table:
    """The table without the option at this path if that is an empty text."""
    key, *rest = path
    found = table[key]
    if rest and isinstance(found, dict):
        return {**table, key: _without_empty(found, rest)}
    return {name: value for name, value in table.items() if name != key or value != ""}


def _read(word: str) -> tuple[list[str], object]:
    """``KEY=VALUE``: a key may be a path (``resources.cpu``)."""
    key, equals, text = word.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise UsageError(f"--set takes KEY=VALUE, not `{word}`")
    return path, _value(text)


def _value(text: str) -> object:
    """A value as TOML has it; text where it is none."""
    from tomllib import TOMLDecodeError, loads

    try:
        found = loads(f"value = {text}")
    except (TOMLDecodeError, RecursionError):
        return text
    return found["value"] if list(found) == ["value"] else text


def near(name: str, known: Iterable[str]) -> str:
    """A hint for a name that is not known."""
    from difflib import get_close_matches

    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    return f"did you mean `{close[0]}`?" if close else f"there are: {', '.join(names) or 'none'}"
