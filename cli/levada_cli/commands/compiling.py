"""What ``levada compile`` does, and its command line read without click where it is plain."""

from __future__ import annotations

import os
import sys

from levada_compiler import output_files, targets
from levada_compiler.render import FORMATS, render
from levada_compiler.render.colours import CHOICES, palette
from levada_compiler.slotted import dataclass
from levada_compiler.usage import UsageError

from levada_cli import output

from . import configuration, front, plain, selection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from levada_compiler.program.ir import Program
    from levada_compiler.target import Target

_COMMAND_LINE = plain.CommandLine(
    flags={
        "--check": "checking",
        "--prune": "pruning",
        "--json": "as_json",
        "--force": "forcing",
        "--strict": "strict",
    },
    values={
        **dict.fromkeys(("--target", "-t"), "names"),
        **dict.fromkeys(("--output", "-o"), "folder"),
        "--format": "form",
        "--color": "colour",
        "--env": "environment",
        "--set": "overrides",
    },
    lists=("names", "overrides"),
    choices={"form": FORMATS, "colour": CHOICES},
)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for; the names are those of the options in :mod:`.compile`."""

    references: tuple[tuple[str, str | None], ...] = ()
    names: tuple[str, ...] = ()
    folder: str | None = None
    checking: bool = False
    pruning: bool = False
    forcing: bool = False
    as_json: bool = False
    form: str = "full"
    colour: str = "auto"
    environment: str | None = None
    overrides: tuple[str, ...] = ()
    strict: bool = False

    @property
    def mode(self) -> str:
        """What is done with the files, as :class:`levada_cli.output.Product` has it."""
        writing = "force" if self.forcing else "write"
        return "check" if self.checking else "print" if self.folder == "-" else writing


def run_plain(arguments: list[str]) -> int | None:
    """Carry out a plain command line; None where click has to read it, or to explain it."""
    return plain.run(arguments, _COMMAND_LINE, lambda found: execute(Options(**found)))


def read_plain(arguments: list[str]) -> Options | None:
    """The options of a plain command line."""
    found = plain.read(arguments, _COMMAND_LINE)
    return None if found is None else Options(**found)


def execute(given: Options) -> int:
    """Compile, and give the exit status. Raises UsageError before anything was written or said."""
    if given.checking and given.folder == "-":
        raise UsageError("--check compares with files, so it needs a folder for -o")
    if given.pruning and (given.checking or given.folder == "-"):
        other = "--check writes nothing" if given.checking else "`-o -` writes no file"
        raise UsageError(f"--prune removes files, and {other}; leave one of them out")
    if given.as_json and given.folder == "-":
        raise UsageError(
            "--json says what was written, and `-o -` prints it; leave one of them out"
        )
    chosen = selection.select(given.references, may_be_empty=given.pruning or given.checking)
    if chosen.is_one and not given.pruning:
        return _compile_one(given, chosen.files[0].reference)
    from . import compiling_several

    return compiling_several.execute(given, chosen)


def _compile_one(given: Options, reference: tuple[str, str | None]) -> int:
    named = [targets.load(name) for name in dict.fromkeys(given.names)]
    choice = configuration.Choice(given.environment, given.overrides, given.strict)
    several = "" if given.folder == "-" else "outermost"
    checked = front.check(reference, named or None, several=several, choice=choice)
    messages = "" if given.as_json else _messages(checked, given.form, given.colour)
    diagnostics = render(checked.diagnostics, checked.sources, "json") if given.as_json else "[]"
    if checked.failed or checked.program is None:
        return _refuse(messages, diagnostics, given.as_json)
    chosen = _chosen(checked)
    mode = given.mode
    folders = folders_of(checked, given.folder)
    product = output.Product(
        mode,
        base_of(folders),
        emit(checked, folders),
        messages,
        diagnostics,
        given.as_json,
        palette(given.colour, sys.stdout).enabled,
        checked.project.root,
    )
    if mode in ("write", "force"):
        refuse_sources(product.folder, product.files, checked)
    status = output.deliver(product)
    if all(map(targets.is_own, chosen)):
        front.remember(sys.argv[1:], product, checked)
    return status


def _chosen(checked: front.Checked) -> tuple[Target, ...]:
    return with_target(checked.targets)


def with_target(asked: tuple[Target, ...]) -> tuple[Target, ...]:
    """The targets. Raises UsageError if there is none."""
    if not asked:
        known = ", ".join(targets.available())
        raise UsageError(f"--target is missing; there are: {known}")
    return asked


def _messages(checked: front.Checked, form: str, colour: str) -> str:
    colours = palette(colour, sys.stderr)
    return render(checked.diagnostics, checked.sources, form, colour=colours.enabled)


def _refuse(messages: str, diagnostics: str, as_json: bool) -> int:
    if as_json:
        sys.stdout.write(f'{{"files": [], "diagnostics": {diagnostics.rstrip()}}}\n')
    sys.stderr.write(messages)
    return 1


def folders_of(checked: front.Checked, folder: str | None) -> dict[str, str]:
    """Where the files of each target go: ``-o``, else what the project says, else here."""
    if folder is not None:
        place = folder if folder == "-" else os.path.abspath(folder)
        return dict.fromkeys([target.name for target in checked.targets], place)
    return {
        target.name: configuration.output_folder(
            checked.options.get(target.name, {}), target, checked.project
        )
        or os.getcwd()
        for target in checked.targets
    }


def base_of(folders: Mapping[str, str]) -> str:
    """The folder that all of these are in; paths of files are relative to it."""
    places = sorted(set(folders.values()))
    return places[0] if len(places) == 1 else os.path.commonpath(places)


def emit(checked: front.Checked, folders: Mapping[str, str]) -> tuple[tuple[str, str, str], ...]:
    """All files of all pipelines and targets, as (target, path, text).

    ``folders`` has the folder of each target; paths are relative to :func:`base_of` them. Raises
    UsageError where two of them write different texts to one path.
    """
    base = base_of(folders)
    found: dict[str, tuple[Target, Program, str]] = {}
    for program, pins in checked.programs:
        for target in checked.targets:
            folder = folders[target.name]
            way = {} if folder == "-" else {"project": _way_to_project(checked, folder)}
            prefix = "" if folder == base else f"{os.path.relpath(folder, base)}/"
            pinned = front.with_images(program, pins, target)
            given = front.target_options(checked.options, target, checked.environment)
            emitted = target.emit(pinned, way | given)
            for name, text in sorted(emitted.items()):
                path = prefix.replace(os.sep, "/") + name
                before = found.setdefault(path, (target, program, text))
                if before[0] is not target or before[2] != text:
                    raise UsageError(_both_write(path, before, target, program))
    return tuple((target.name, path, text) for path, (target, _, text) in found.items())


def _both_write(
    path: str, before: tuple[Target, Program, str], target: Target, program: Program
) -> str:
    first, other, _ = before
    if first is not target:
        return (
            f"the targets `{first.name}` and `{target.name}` both write `{path}`; "
            "compile them into folders of their own"
        )
    names = " and ".join(f"`{each.function or each.name}`" for each in (other, program))
    return (
        f"the pipelines {names} both write `{path}`; give one of them a name by `@pipeline(name=…)`"
    )


def _way_to_project(checked: front.Checked, folder: str) -> str:
    """From the output folder to the project's root, for files that find it from where they are."""
    root = os.path.realpath(checked.project.root)
    return os.path.relpath(root, os.path.realpath(folder)).replace(os.sep, "/")


def refuse_sources(
    folder: str, files: Sequence[tuple[str, str, str]], checked: front.Checked
) -> None:
    """Never write over what was compiled: a DAG file may have the name of its pipeline.

    Raises UsageError.
    """
    sources = {os.path.realpath(file) for file in checked.files}
    for _, path, _ in files:
        place = os.path.realpath(os.path.join(folder, path))
        if place in sources:
            shown = output_files.display_path(place)
            raise UsageError(f"`{shown}` is a source of the pipeline; choose another -o")
