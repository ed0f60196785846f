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
from levada_compiler.slotted import dataclass, replace

from levada_cli.output import Product
from levada_cli.terminal import control

from . import front, image_session, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from levada_backends.images.image import Event
    from levada_backends.images.plan import Plan, PlannedImage
    from levada_backends.images.session import Outcome, Session
    from levada_compiler.render.colours import Palette

COMMAND_LINE = plain.CommandLine(
    flags={
        "--dry-run": "dry_run",
        "--upgrade": "upgrade",
        "--rebuild": "rebuild",
        "--json": "as_json",
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

    reference: tuple[str, str | None]
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


def run_plain(arguments: list[str]) -> int | None:
    """Carry out a plain command line; None where click has to read it, or to explain it."""
    return plain.run(arguments, COMMAND_LINE, lambda found: execute(Options(**found)))


def execute(given: Options) -> int:
    """Build, and give the exit status."""
    checked = front.check(given.reference, ())
    if checked.failed or checked.program is None:
        return _refuse(checked.diagnostics, checked.sources, given.as_json, given.colour)
    missing = [each for each in checked.diagnostics if each.id == "undeclared-file"]
    if missing:  # a warning of the compiler's: here the image is made that lacks them
        found = [replace(each, severity=Severity.ERROR) for each in missing]
        return _refuse(found, checked.sources, given.as_json, given.colour)
    return image_session.guarded(lambda: _build(given, checked))


def _build(given: Options, checked: front.Checked) -> int:
    assert checked.program is not None  # noqa: S101  asked before
    module = image_session.load()
    wish = module.Wish(
        push=given.push or "",
        platform=given.platform or "",
        builder=given.builder or "",
        upgrade=given.upgrade,
        rebuild=given.rebuild,
        insecure=given.insecure,
    )
    with module.Session(checked.program, checked.project, wish) as session:
        plan = session.plan(offline=given.dry_run or given.contexts is not None)
        if plan.diagnostics:
            found, sources = front.shown(plan.diagnostics, checked)
            return _refuse(found, sources, given.as_json, given.colour)
        table = "" if given.as_json else _table(plan, palette(given.colour, sys.stdout))
        sys.stdout.write(table)
        if given.contexts is not None:
            return _write_contexts(session.contexts(plan), given.contexts)
        outcomes: tuple[Outcome, ...] = ()
        if not given.dry_run:
            sys.stdout.flush()
            with _Progress(palette(given.colour, sys.stderr)) as progress:
                outcomes = session.build(plan, progress.show)
        said = _finish(session, plan, outcomes, table, given.as_json)
        if _is_settled(said, outcomes):
            read = replace(checked, files={**checked.files, **session.files()})
            front.remember(sys.argv[1:], said, read)
    return 0


def _finish(
    session: Session, plan: Plan, outcomes: Sequence[Outcome], table: str, as_json: bool
) -> Product:
    """Write the lock, say what was done, and give all of it as it would be said again."""
    changed = bool(outcomes) and session.write_lock(plan, outcomes)
    messages = ""
    if as_json:
        table = json.dumps(_document(session, plan, outcomes), indent=2) + "\n"
        sys.stdout.write(table)
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


def _write_contexts(images: Mapping[str, Mapping[str, bytes]], folder: str) -> int:
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
    return 0


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
