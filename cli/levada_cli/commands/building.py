"""What ``levada build`` does, and its command line read without click where it is plain."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from levada_compiler import output_files
from levada_compiler.diagnostics.diagnostic import Severity
from levada_compiler.render import render
from levada_compiler.render.cells import one_line, width
from levada_compiler.render.colours import CHOICES, palette
from levada_compiler.slotted import dataclass, field, replace

from levada_cli.output import Product
from levada_cli.terminal import control

from . import batch, configuration, front, image_session, plain, selection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from levada_backends.images.image import Event
    from levada_backends.images.plan import Plan, PlannedImage
    from levada_backends.images.session import Outcome, Session
    from levada_compiler.diagnostics.diagnostic import Diagnostic
    from levada_compiler.program.ir import Program
    from levada_compiler.render.colours import Palette

    from .selection import Selection

COMMAND_LINE = plain.CommandLine(
    flags={
        "--dry-run": "dry_run",
        "--upgrade": "upgrade",
        "--rebuild": "rebuild",
        "--json": "as_json",
        "--strict": "strict",
    },
    values={
        "--push": "push",
        "--platform": "platform",
        "--builder": "builder",
        "--dockerfile": "contexts",
        "--insecure": "insecure",
        "--color": "colour",
    },
    lists=("insecure",),
    choices={"colour": CHOICES},
)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for; the names are those of the options in :mod:`.build`."""

    references: tuple[tuple[str, str | None], ...] = ()
    push: str | None = None
    platform: str | None = None
    builder: str | None = None
    dry_run: bool = False
    contexts: str | None = None
    upgrade: bool = False
    rebuild: bool = False
    insecure: tuple[str, ...] = ()
    as_json: bool = False
    colour: str = "auto"
    strict: bool = False

    @property
    def choice(self) -> configuration.Choice:
        """Whether warnings are errors; images are the same for all targets."""
        return configuration.Choice(strict=self.strict)


def run_plain(arguments: list[str]) -> int | None:
    """Carry out a plain command line; None where click has to read it, or to explain it."""
    return plain.run(arguments, COMMAND_LINE, lambda found: execute(Options(**found)))


def execute(given: Options) -> int:
    """Build, and give the exit status."""
    chosen = selection.select(given.references)
    if not chosen.is_one:
        return _build_several(given, chosen)
    checked = front.check(chosen.files[0].reference, (), choice=given.choice)
    diagnostics = _refused(checked)
    if diagnostics or checked.program is None:
        return _refuse(diagnostics, checked.sources, given.as_json, given.colour)
    program = checked.program
    return image_session.guarded(lambda: _build_one(given, checked, program))


def _refused(checked: front.Checked) -> Sequence[Diagnostic]:
    """The diagnostics of a file of which no image is built; none if there is nothing wrong."""
    if checked.failed:
        return checked.diagnostics
    # A warning of the compiler's: here the image is made that lacks the file.
    missing = [each for each in checked.diagnostics if each.id == "undeclared-file"]
    return [replace(each, severity=Severity.ERROR) for each in missing]


def _build_one(given: Options, checked: front.Checked, program: Program) -> int:
    built = _build(given, checked, program)
    if built.said is None:
        return _refuse(built.diagnostics, built.sources, given.as_json, given.colour)
    if given.as_json:
        sys.stdout.write(_text_of(built.said))
    if built.is_settled:
        read = replace(checked, files={**checked.files, **built.files})
        front.remember(sys.argv[1:], built.said, read)
    return 0


def _text_of(said: Product) -> str:
    return "".join(text for _, _, text in said.files)


@dataclass(frozen=True, slots=True)
class _Built:
    """What became of the images of one program: what was said of them, or diagnostics."""

    said: Product | None
    diagnostics: Sequence[Diagnostic] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    is_settled: bool = False


def _build(given: Options, checked: front.Checked, program: Program, head: str = "") -> _Built:
    """Build the images of a program and write the lock. Raises ImageError.

    All is said here but the JSON; ``head`` stands over it where there are several programs.
    """
    module = image_session.load()
    wish = module.Wish(
        push=given.push or "",
        platform=given.platform or "",
        builder=given.builder or "",
        upgrade=given.upgrade,
        rebuild=given.rebuild,
        insecure=given.insecure,
    )
    with module.Session(program, checked.project, wish) as session:
        plan = session.plan(offline=given.dry_run or given.contexts is not None)
        if plan.diagnostics:
            return _Built(None, *front.shown(plan.diagnostics, checked))
        table = "" if given.as_json else head + _table(plan, palette(given.colour, sys.stdout))
        sys.stdout.write(table)
        if given.contexts is not None:
            folder = os.path.join(given.contexts, program.name) if head else given.contexts
            _write_contexts(session.contexts(plan), folder)
            return _Built(Product("print", "", (), "", "[]", given.as_json, False))
        outcomes: tuple[Outcome, ...] = ()
        if not given.dry_run:
            sys.stdout.flush()
            with _Progress(palette(given.colour, sys.stderr)) as progress:
                outcomes = session.build(plan, progress.show)
        said = _finish(session, plan, outcomes, table, given.as_json)
        is_settled = _is_settled(said, outcomes)
        files = session.files() if is_settled else {}
        return _Built(said, files=files, is_settled=is_settled)


def _build_several(given: Options, chosen: Selection) -> int:
    """Build the images of several pipelines, one after the other; none stops the others."""
    documents: list[Any] = []
    diagnostics: list[Diagnostic] = []
    sources: dict[str, str] = {}
    statuses = []
    for checked in batch.check_in_turn(chosen.files, (), given.choice):
        refused = _refused(checked)
        diagnostics += refused
        sources |= checked.sources
        statuses.append(1 if refused else 0)
        for program, _ in () if refused else checked.programs:
            built: list[_Built] = []
            head = f"{program.origin}\n"

            def build(
                checked: front.Checked = checked,
                program: Program = program,
                built: list[_Built] = built,
                head: str = head,
            ) -> int:
                built.append(_build(given, checked, program, head))
                return 1 if built[-1].diagnostics else 0

            statuses.append(image_session.guarded(build))
            for each in built:
                diagnostics += each.diagnostics
                sources |= each.sources
                if given.as_json and each.said is not None and each.said.files:
                    documents.append(json.loads(_text_of(each.said)))
    if given.as_json:
        found = json.loads(render(diagnostics, sources, "json"))
        sys.stdout.write(
            json.dumps({"pipelines": documents, "diagnostics": found}, indent=2) + "\n"
        )
    else:
        colours = palette(given.colour, sys.stderr)
        sys.stderr.write(render(diagnostics, sources, colour=colours.enabled))
    return max(statuses, default=0)


def _finish(
    session: Session, plan: Plan, outcomes: Sequence[Outcome], table: str, as_json: bool
) -> Product:
    """Write the lock, say what was done, and give all of it as it would be said again."""
    changed = bool(outcomes) and session.write_lock(plan, outcomes)
    messages = ""
    if as_json:
        table = json.dumps(_document(session, plan, outcomes), indent=2) + "\n"
    elif outcomes:
        built = [f"{'built':<9} {_described(each)}\n" for each in outcomes if each.built]
        place = output_files.display_path(os.path.join(session.root, "levada.lock"))
        messages = "".join(built) + f"{'wrote' if changed else 'unchanged':<9} {place}\n"
        sys.stderr.write(messages)
    files = (("", "", table),)
    return Product("print", str(session.root), files, messages, "[]", as_json, False)


def _is_settled(said: Product, outcomes: Sequence[Outcome]) -> bool:
    """Whether the same would be said again: all is built and pushed, the lock is as it was.

    What is only on this machine may be gone next time.
    """
    before = [None if outcome.built else outcome.planned.before for outcome in outcomes]
    is_there = bool(before) and all(image is not None and image.pushed for image in before)
    return is_there and not said.messages.startswith("wrote")


def _write_contexts(images: Mapping[str, Mapping[str, bytes]], folder: str) -> None:
    """Write the build contexts, all or none; what is left there of earlier ones is removed."""
    contents = {
        f"{name}/{path}": data for name, each in images.items() for path, data in each.items()
    }
    before = output_files.read(folder, contents)
    output_files.write(folder, contents, before)
    for name in images:
        for own in ("runtime", "project"):
            _remove_others(os.path.join(folder, name, own), folder, contents)
        place = output_files.display_path(os.path.join(folder, name))
        mine = [path for path in contents if path.startswith(f"{name}/")]
        same = all(before[path] == contents[path] for path in mine)
        sys.stderr.write(f"{'unchanged' if same else 'wrote':<9} {place}/Dockerfile\n")


def _remove_others(place: str, folder: str, contents: Mapping[str, bytes]) -> None:
    for at, _, names in os.walk(place):
        for name in names:
            path = os.path.join(at, name)
            if os.path.relpath(path, folder).replace(os.sep, "/") not in contents:
                os.unlink(path)


def _described(outcome: Outcome) -> str:
    built = outcome.built
    if built is None:
        return ""
    new = sum(layer.size for layer in built.layers if not layer.reused)
    sizes = f"{image_session.in_words(built.size)}, of which {image_session.in_words(new)} new"
    return f"{built.reference} ({sizes}){f'; {outcome.note}' if outcome.note else ''}"


def _refuse(diagnostics: Any, sources: Any, as_json: bool, colour: str) -> int:
    if as_json:
        found = json.loads(render(diagnostics, sources, "json"))
        sys.stdout.write(json.dumps({"images": [], "diagnostics": found}, indent=2) + "\n")
        return 1
    colours = palette(colour, sys.stderr)
    sys.stderr.write(render(diagnostics, sources, colour=colours.enabled))
    return 1


# ---------------------------------------------------------------------------- the plan


def _table(plan: Plan, colours: Palette) -> str:
    """A row for each step; what is said of an image stands with its first step."""
    head = ("STEP", "IMAGE", "CHANGED", "REUSED", "PACKAGES")
    rows = [row for image in plan.images for row in _rows(image, plan)]
    rows += [(key.partition(":")[2], "its own", "", "", "") for key in plan.own]
    widths = [max(width(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [_line(head, widths)]
    text = colours.paint("bold", lines[0]) + "\n"
    return text + "".join(_line(row, widths) + "\n" for row in rows)


def _rows(image: PlannedImage, plan: Plan) -> list[tuple[str, ...]]:
    names = [key.partition(":")[2] for key in image.spec.steps]
    size = sum(each.size or 0 for each in (*image.spec.wheels, *image.spec.sdists))
    count = len(image.spec.wheels) + len(image.spec.sdists)
    packages = f"{count}, {image_session.in_words(size)}" if count else "none"
    changed = _shortened(image.changes) if image.changes else "nothing"
    first = (names[0], image.spec.name, changed, _reused(image, plan), packages)
    return [first, *((name, '"', "", "", "") for name in names[1:])]


def _shortened(changes: Sequence[str]) -> str:
    shown = ", ".join(changes[:3])
    return f"{shown} and {len(changes) - 3} more" if len(changes) > 3 else shown


def _reused(image: PlannedImage, plan: Plan) -> str:
    """What of an image was built before, for itself or another one."""
    if image.is_current:
        return "all of it"
    known = {line for other in plan.lock.images for line in other.inputs.packages}
    shared = len(known & set(image.inputs.packages))
    total = len(image.inputs.packages)
    return f"{shared} of {total} packages" if total and shared else "base"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (text + " " * (most - width(text)) for text, most in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()


def _document(session: Session, plan: Plan, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    built = {outcome.planned.spec.name: outcome.built for outcome in outcomes}
    return {
        "pipeline": session.program.name,
        "file": session.program.file,
        "images": [_image(image, built.get(image.spec.name)) for image in plan.images],
        "own": list(plan.own),
        "lock": os.path.join(session.root, "levada.lock") if outcomes else None,
        "diagnostics": [],
    }


def _image(image: PlannedImage, built: Any) -> dict[str, Any]:
    spec, before = image.spec, image.before
    known = built or (before if image.is_current else None)
    packages = (*spec.wheels, *spec.sdists)
    return {
        "name": spec.name,
        "steps": list(spec.steps),
        "platform": spec.platform,
        "python": spec.python,
        "base": spec.base,
        "changes": list(image.changes),
        "reused": image.is_current,
        "packages": [
            {"name": each.name, "version": each.version, "size": each.size} for each in packages
        ],
        "files": sorted(spec.slice_files),
        "digest": known.digest if known else None,
        "reference": known.reference if known else None,
        "size": known.size if known else None,
        "layers": [
            {
                "title": layer.title,
                "digest": layer.digest,
                "size": layer.size,
                "reused": layer.reused,
            }
            for layer in (built.layers if built else ())
        ],
    }


class _Progress:
    """Shows what is being done to the images: on a terminal one line that is written over."""

    def __init__(self, colours: Palette) -> None:
        self._paint = colours.paint
        self._live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._lock = threading.Lock()
        self._drawn = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            control(sys.stderr, "\r\x1b[K")
            sys.stderr.flush()

    def show(self, event: Event) -> None:
        """Take in one event; more than ten a second are not drawn."""
        with self._lock:
            now = time.monotonic()
            if self._live and (now - self._drawn > 0.1 or event.kind == "done"):
                self._drawn = now
                count = f" {image_session.in_words(event.done)}" if event.done else ""
                total = f" of {image_session.in_words(event.total)}" if event.total else ""
                text = f"{event.kind:<9} {event.image}: {event.text}{count}{total}"
                room = os.get_terminal_size(sys.stderr.fileno()).columns - 1
                control(sys.stderr, "\r\x1b[K")
                sys.stderr.write(one_line(text)[:room])
                sys.stderr.flush()
