"""What ``levada compile`` does with several files: a folder, a glob, or the whole project.

Each file is written or not at all, and one that cannot be compiled does not stop the others.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress

from levada_compiler import output_files
from levada_compiler.output_files import OutputError
from levada_compiler.render import render
from levada_compiler.render.cells import escape
from levada_compiler.render.colours import palette
from levada_compiler.slotted import dataclass, field, replace

from levada_cli import output
from levada_cli.terminal import json_text

from . import batch, stale

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import Any

    from .batch import Result
    from .compiling import Options
    from .selection import Selection


#: So many files are named; more are counted.
_MOST_LINES = 20


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was done with the files of one source: how each of them is now, by its path.

    ``problem`` says why nothing was.
    """

    result: Result
    statuses: dict[str, str] = field(default_factory=dict)
    before: dict[str, bytes | None] = field(default_factory=dict)
    problem: str = ""


def execute(given: Options, chosen: Selection) -> int:
    """Compile, and give the exit status. Raises UsageError before anything was written."""
    request = batch.Request(
        given.names,
        given.environment,
        given.overrides,
        "outermost",
        emits=True,
        folder=given.folder,
        strict=given.strict,
    )
    work = batch.Batch(chosen.files, request, chosen.project)
    results = work.results if given.folder == "-" else _without_conflicts(work.results)
    delivered = [_deliver(result, given) for result in results]
    old = stale.find(results, work.places)
    removed = _remove(old, {place for place, _ in work.places}) if given.pruning else []
    report = Report(given, delivered, [path for path in old if path not in removed], removed)
    status = report.show()
    work.remember()
    return status


def _without_conflicts(results: Sequence[Result]) -> list[Result]:
    """Refuse the files that two sources would both write; neither is written then."""
    writers: dict[str, list[Result]] = {}
    for result in results:
        for _, path, _ in result.files if not result.failed else ():
            place = os.path.realpath(os.path.join(result.folder, path))
            writers.setdefault(place, []).append(result)
    problems: dict[int, str] = {}
    for place, several in writers.items():
        if len(several) > 1:
            shown = output_files.display_path(place)
            files = " and ".join(f"`{each.path}`" for each in several)
            for each in several:
                problems[id(each)] = (
                    f"{files} both write `{shown}`; give one of their pipelines a name by "
                    "`@pipeline(name=…)`"
                )
    return [
        replace(each, problem=problems[id(each)]) if id(each) in problems else each
        for each in results
    ]


def _deliver(result: Result, given: Options) -> Delivered:
    """Write or compare the files of one source, all or none."""
    if result.failed or result.is_empty:
        return Delivered(result, problem=result.problem)
    if given.mode == "print":
        return Delivered(result)
    product = output.Product(
        given.mode, result.folder, result.files, "", "[]", given.as_json, False, result.root
    )
    try:
        before = output.compared(product)
        if not given.checking:
            output.put(product, before)
    except OutputError as error:
        return Delivered(result, problem=str(error))
    return Delivered(result, output.statuses(product, before), before)


def _remove(paths: Iterable[str], places: Collection[str]) -> list[str]:
    """Remove stale files, and folders that become empty; return the files that are gone.

    ``places`` are the output folders, which stay.
    """
    kept = set(map(os.path.realpath, places))
    removed = []
    for path in paths:
        try:
            os.unlink(path)
        except OSError:
            continue
        removed.append(path)
    for folder in {os.path.realpath(os.path.dirname(path)) for path in removed} - kept:
        with suppress(OSError):  # there are other files in it
            os.rmdir(folder)
    return removed


class Report:
    """Says what was done: a line for each file that is not as it was, and one for all."""

    def __init__(
        self,
        given: Options,
        delivered: Sequence[Delivered],
        old: Sequence[str],
        removed: Sequence[str],
    ) -> None:
        self.given = given
        self.delivered = delivered
        self.old = [output_files.display_path(path) for path in old]
        self.removed = [output_files.display_path(path) for path in removed]
        # What is wrong in a module or the settings that several files share is said once.
        found = (found for each in delivered for found in each.result.diagnostics)
        self.diagnostics = tuple(dict.fromkeys(found))
        self.sources = {
            file: text for each in delivered for file, text in each.result.sources.items()
        }
        self.problems = {each.result.path: each.problem for each in delivered if each.problem}

    def show(self) -> int:
        """Say it, and give the exit status."""
        if self.given.as_json:
            sys.stdout.write(json_text(self._document()))
        else:
            self._tell()
        return 1 if self._failed() else 0

    def _failed(self) -> bool:
        is_wrong = any(each.result.failed for each in self.delivered) or bool(self.problems)
        return is_wrong or (self.given.checking and bool(self.old or self._differing()))

    def _differing(self) -> list[tuple[Delivered, str]]:
        return [
            (each, path)
            for each in self.delivered
            for path, status in each.statuses.items()
            if status != "unchanged"
        ]

    # -- for people

    def _tell(self) -> None:
        colours = palette(self.given.colour, sys.stderr)
        shown = render(self.diagnostics, self.sources, self.given.form, colour=colours.enabled)
        sys.stderr.write(shown)
        for problem in dict.fromkeys(self.problems.values()):
            sys.stderr.write(f"{colours.paint('error', 'error')}: {escape(problem)}\n")
        if self.given.mode == "print":
            sys.stdout.write("".join(t for each in self.delivered for *_, t in each.result.files))
        if self.given.checking:
            for each, path in self._differing():
                self._show_difference(each, path)
        else:
            places = [os.path.join(each.result.folder, path) for each, path in self._differing()]
            _list("wrote    ", map(output_files.display_path, places))
        _list("removed  ", self.removed)
        _list("stale:", self.old)
        sys.stderr.write(self._summary() + "\n")

    def _show_difference(self, each: Delivered, path: str) -> None:
        text = next(text for _, own, text in each.result.files if own == path)
        colour = palette(self.given.colour, sys.stdout).enabled
        place = os.path.join(each.result.folder, path)
        output.print_difference(place, each.before[path], text, colour=colour)

    def _summary(self) -> str:
        """``500 pipelines: 3 files written, 497 unchanged, 1 stale``."""
        pipelines = sum(each.result.programs for each in self.delivered)
        failed = [e for e in self.delivered if e.result.failed or e.problem]
        total = sum(len(each.statuses) for each in self.delivered)
        changed = len(self._differing())
        parts = []
        if self.given.checking:
            parts = [f"{_count(changed, 'file')} different from the source"] if changed else []
            parts.append(f"{_count(total - changed, 'file')} up to date")
        elif self.given.mode != "print":
            parts = [f"{_count(changed, 'file')} written", f"{total - changed} unchanged"]
        if self.removed:
            parts.append(f"{len(self.removed)} removed")
        if self.old:
            parts.append(f"{len(self.old)} stale (`--prune` removes what is stale)")
        if failed:
            parts.append(f"{_count(len(failed), 'source file')} with errors")
        note = batch.note_of_empty([each.result for each in self.delivered])
        return f"{_count(pipelines, 'pipeline')}: {', '.join(parts) or 'printed'}{note}"

    # -- for machines

    def _document(self) -> dict[str, Any]:
        writes = self.given.mode in ("write", "force")
        words = {"missing": "written", "changed": "written"} if writes else {}
        files = [
            {
                "target": target,
                "path": output_files.display_path(os.path.join(each.result.folder, path)),
                "status": words.get(each.statuses[path], each.statuses[path]),
            }
            for each in self.delivered
            for target, path, _ in each.result.files
            if path in each.statuses
        ]
        return {
            "files": files,
            "stale": self.old,
            "removed": self.removed,
            "problems": [
                {"file": file, "message": message}
                for file, message in sorted(self.problems.items())
            ],
            "diagnostics": json.loads(render(self.diagnostics, self.sources, "json")),
        }


def _list(word: str, paths: Iterable[str]) -> None:
    """A line for each path, and one for all beyond the first ones."""
    found = list(paths)
    lines = [f"{word} {escape(path)}\n" for path in found[:_MOST_LINES]]
    if len(found) > _MOST_LINES:
        lines.append(f"{word} {len(found) - _MOST_LINES} more\n")
    sys.stderr.write("".join(lines))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
