"""A lineage for a terminal: a tree of what something was made from, and one of what used it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

from levada_compiler.render.cells import one_line
from levada_compiler.slotted import dataclass, field
from levada_records.sparklines import BLOCKS

from .shown_values import artifact, cut, local_time, short_digest
from .summary import MOST_ITEMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from levada.record_types import ArtifactJson
    from levada_records.lineage import Lineage
    from levada_records.lineage.run_links import Link, LinkedStep, StepKey

    from .shown_run import Screen

    _GoOn: TypeAlias = "Callable[[StepKey, int], list[_Branch]]"

#: Steps that are drawn below each other at most: a chain of more would leave no room.
_DEEPEST = 60


@dataclass(slots=True)
class _Branch:
    """A line of a tree, and what is below it."""

    text: str
    below: list[_Branch] = field(default_factory=list)


class LineageText:
    """Writes one lineage."""

    def __init__(self, lineage: Lineage, screen: Screen, *, up: bool, down: bool) -> None:
        self._lineage = lineage
        self._columns = screen.columns
        self._paint = screen.colours.paint
        self._up = up
        self._down = down
        is_plain = screen.marks is not BLOCKS
        self._signs = ("|- ", "`- ", "|  ") if is_plain else ("├─ ", "└─ ", "│  ")
        self._drawn: set[StepKey] = set()

    def text(self) -> str:
        """Return the whole text."""
        lines: list[str] = []
        roots = list(self._lineage.roots.items())
        for key, artifacts in roots[:MOST_ITEMS]:
            lines += [*self._root(key, artifacts), ""]
        if len(roots) > MOST_ITEMS:
            lines += [f"and {len(roots) - MOST_ITEMS} more steps that gave it", ""]
        for each in self._lineage.more:
            lines.append(f"{self._paint('warning', 'warning')}: {one_line(each)}")
        return "\n".join(lines).rstrip("\n") + "\n"

    def _root(self, key: StepKey, artifacts: Sequence[ArtifactJson]) -> list[str]:
        step = self._lineage.steps[key]
        lines = [self._paint("bold", self._cut(f"{self._label(key, None)}{_ended(step)}"))]
        lines += [self._cut(f"  gave {_artifact(each)}") for each in artifacts[:MOST_ITEMS]]
        if step.problem:
            lines.append(self._cut(f"  {one_line(step.problem)}"))
        if self._up:
            lines += self._tree("made from", self._above(key, 0), "no other step")
        if self._down:
            lines += self._tree("used by", self._below(key, 0), "no step")
        return lines

    def _tree(self, title: str, branches: list[_Branch], nothing: str) -> list[str]:
        self._drawn.clear()
        if not branches:
            return [f"{title}: {nothing}"]
        return [f"{title}:", *self._lines(branches, "  ")]

    def _lines(self, branches: list[_Branch], before: str) -> list[str]:
        between, last, passing = self._signs
        lines: list[str] = []
        for number, branch in enumerate(branches):
            is_last = number == len(branches) - 1
            lines.append(self._cut(f"{before}{last if is_last else between}{branch.text}"))
            lines += self._lines(branch.below, before + ("   " if is_last else passing))
        return lines

    def _cut(self, line: str) -> str:
        return cut(line, self._columns)

    # ---------------------------------------------------------------- up

    def _above(self, key: StepKey, depth: int) -> list[_Branch]:
        """Return what a step was made from: an input, and below it the steps that gave it."""
        step = self._lineage.steps[key]
        shown = self._lineage.up.get(key, [])
        branches = []
        others = [each for each in shown if each not in _makers(step)]
        for other in others:
            if step.origin is not None and other[1:] == step.origin[1:]:
                text = f"taken from the cache: {self._label(other, key)}"
                branches.append(_Branch(text + _ended(self._lineage.steps[other])))
        for link in step.links:
            makers = [each for each in link.makers if each in shown]
            makers = makers or self._makers_of(link, others)
            branch = _Branch(_link(link))
            branch.below = self._steps(makers, key, depth, self._above)
            branches.append(branch)
        return branches

    def _makers_of(self, link: Link, others: Iterable[StepKey]) -> list[StepKey]:
        """Return the steps of other runs that gave what is in an input."""
        wanted = set(link.digests)
        return [] if link.makers else [k for k in others if self._lineage.steps[k].given & wanted]

    # ---------------------------------------------------------------- down

    def _below(self, key: StepKey, depth: int) -> list[_Branch]:
        """Return the steps that used what a step gave, each with what it was used as."""
        return self._steps(self._lineage.down.get(key, []), key, depth, self._below)

    def _steps(
        self,
        keys: Sequence[StepKey],
        of: StepKey,
        depth: int,
        go_on: _GoOn,
    ) -> list[_Branch]:
        """Return the branches of some steps; the items of a large loop are one branch."""
        groups: dict[tuple[str, ...], list[StepKey]] = {}
        for key in keys:
            groups.setdefault(key[:3], []).append(key)
        branches = []
        for group in groups.values():
            branches += [self._step(key, of, depth, go_on) for key in group[:MOST_ITEMS]]
            if len(group) > MOST_ITEMS:
                count = len(group) - MOST_ITEMS
                branches.append(_Branch(f"{one_line(group[0][2])}[…]: {count} more items"))
        return branches

    def _step(self, key: StepKey, of: StepKey, depth: int, go_on: _GoOn) -> _Branch:
        step = self._lineage.steps[key]
        text = self._label(key, of)
        if step.origin is not None and step.origin[1:] == of[1:]:
            text += ", taken from the cache"
        elif key[:2] != of[:2]:
            text += _ended(step)
        elif step.status != "succeeded":
            text += f", {step.status}"
        if key in self._drawn:
            return _Branch(f"{text} (see above)")
        if depth >= _DEEPEST:
            return _Branch(f"{text} …")
        self._drawn.add(key)
        return _Branch(text, go_on(key, depth + 1))

    def _label(self, key: StepKey, beside: StepKey | None) -> str:
        """A step; with its run if that is not the run of the step that it stands beside."""
        label = one_line(self._lineage.steps[key].label)
        is_same_run = beside is not None and beside[:2] == key[:2]
        return label if is_same_run else f"{label} of {one_line(key[0])}/{one_line(key[1])}"


def _makers(step: LinkedStep) -> set[StepKey]:
    return {maker for link in step.links for maker in link.makers}


def _link(link: Link) -> str:
    name = one_line(link.name)
    if not link.artifacts:
        value = one_line(json.dumps(link.display, ensure_ascii=False))
        return f"{name} = {value}"
    if len(link.artifacts) == 1:
        return f"{name}: {_artifact(link.artifacts[0])}"
    return f"{name}: {len(link.artifacts)} artifacts"


def _artifact(held: ArtifactJson) -> str:
    return one_line(f"{artifact(held)}, {short_digest(held['digest'])}")


def _ended(step: LinkedStep) -> str:
    """Where, when and how a step ended."""
    words = [step.engine or "", step.status, local_time(step.finished)]
    return f" ({', '.join(one_line(word) for word in words if word)})"
