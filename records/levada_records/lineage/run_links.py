"""Which step of a run took what from which other one, by the run's own records."""

from __future__ import annotations

import re

from levada import values
from levada.artifact import ArtifactError
from levada.store import unquote_name
from levada.trees.references import references

from .plan_loops import PlanLoops, gathered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, TypeAlias

    from levada.json_types import Json
    from levada.record_types import ArtifactJson, Record

    from levada_records.runs import Run
    from levada_records.steps import Step

    #: A step of a run: pipeline, run id, node, and the iteration of each loop around it.
    StepKey: TypeAlias = "tuple[str, str, str, tuple[int, ...]]"

_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
#: A node with the variables of the loops around it.
_ITERATION = re.compile(rf"({_NAME.pattern})\[[\w., ]+\]")
#: Characters of a value that is shown itself.
_LONGEST = 200


class Link:
    """An input of a step: the ``artifacts`` in it, and the ``makers`` that gave it in the same run.

    ``display`` is the value itself if it has no artifacts and is small.
    """

    __slots__ = ("artifacts", "display", "makers", "name", "source")

    def __init__(self, name: str, source: str | None) -> None:
        self.name = name
        self.source = source
        self.artifacts: list[ArtifactJson] = []
        self.makers: list[StepKey] = []
        self.display: Json = None

    @property
    def digests(self) -> list[str]:
        """The digests of the artifacts."""
        return [each["digest"] for each in self.artifacts]


class LinkedStep:
    """A step as lineage sees it: what it took (``links``) and what it gave (``outputs``).

    ``outputs`` are artifacts by name; what the step returned as a whole has no name, and one that
    stands in the record itself is as it would be stored. ``origin`` is
    the step of another run whose result this one took, ``problem`` why nothing is known of it.
    """

    __slots__ = (
        "attempt",
        "cached",
        "engine",
        "finished",
        "key",
        "label",
        "links",
        "origin",
        "outputs",
        "problem",
        "record",
        "started",
        "status",
        "step",
    )

    def __init__(self, key: StepKey, step: Step) -> None:
        record = step.record
        self.key = key
        self.label = step.name
        self.status = step.status
        self.problem = step.problem
        self.record = record
        self.cached = step.is_cached
        self.attempt = record["attempt"] if record is not None else None
        self.step = record["step"] if record is not None else None
        self.engine = record["engine"].get("name") if record is not None else None
        self.started = step.started
        self.finished = step.finished
        self.links: list[Link] = []
        self.outputs: dict[str, ArtifactJson] = {}
        self.origin: StepKey | None = None
        if record is not None:
            self._take_outputs(record)

    def _take_outputs(self, record: Record) -> None:
        if record["returns"] is not None:
            self.outputs[""] = record["returns"]
        for name, entry in record["outputs"].items():
            if "artifact" in entry:
                self.outputs[name] = entry["artifact"]
            elif (held := _artifact(entry.get("tree"))) is not None:
                self.outputs[name] = held
        self.outputs |= record["artifacts"]

    @property
    def given(self) -> set[str]:
        """The digests of all that it gave."""
        return {each["digest"] for each in self.outputs.values()}


class RunLinks:
    """The steps of one run, linked to each other."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.steps: dict[StepKey, LinkedStep] = {}
        self._users: dict[StepKey, list[StepKey]] | None = None
        self._definitions = _definitions(run)
        self._loops = PlanLoops(run.plan)
        for step in run.steps:
            key = (run.pipeline, run.run_id, step.node, step.map_index)
            self.steps[key] = LinkedStep(key, step)
        self._of_node: dict[str, list[LinkedStep]] = {}
        for each in self.steps.values():
            self._of_node.setdefault(each.key[2], []).append(each)
        taken = _taken(run)
        for key, linked in self.steps.items():
            linked.origin = _origin(run, linked.record) or taken.get((key[2], key[3]))
            self._link(linked)

    def makers(
        self, digests: Iterable[str], source: str | None, of: StepKey | None = None
    ) -> list[StepKey]:
        """Return the steps that gave what an expression stands for.

        Of the steps that the expression names, those whose outputs are in it; all that it names
        where it computes something of them. ``of`` is the step that it is an input of.
        """
        wanted = set(digests)
        named = self._named(source)
        every = [each for node in named for each in self._of_node[node]]
        there = [each for each in every if self._may_give(each, of)]
        found = [each for each in there if each.given & wanted]
        if not found and self.run.plan is None:  # then it is a guess which of them may give it
            found = [each for each in every if each.given & wanted]
        covered = {each.key[2] for each in found}
        # An item of a loop is of one of the steps that its items name, not of each of them.
        if any(named[node] for node in covered):
            covered |= {node for node, is_item in named.items() if is_item}
        found += [each for each in there if each.key[2] not in covered]
        if not source:
            found = [each for each in self.steps.values() if each.given & wanted]
        return [each.key for each in found]

    def users(self, key: StepKey) -> list[StepKey]:
        """Return the steps of the run that took what a step of it gave."""
        if self._users is None:
            self._users = {}
            for user, linked in self.steps.items():
                makers = dict.fromkeys(maker for link in linked.links for maker in link.makers)
                for maker in makers:
                    self._users.setdefault(maker, []).append(user)
        return self._users.get(key, [])

    def _link(self, linked: LinkedStep) -> None:
        record = linked.record
        for name, entry in (record["inputs"] if record is not None else {}).items():
            link = Link(name, entry.get("source"))
            held: Mapping[str, Any] = entry
            link.artifacts = [held["artifact"]] if "artifact" in held else _artifacts(held)
            if not link.artifacts:
                link.display = _display(held.get("tree"))
            digests = [*link.digests, entry["digest"]]
            makers = self.makers(digests, link.source, linked.key)
            link.makers = [maker for maker in makers if maker != linked.key]
            if not link.artifacts:
                link.artifacts = self._given_as(link.makers, entry["digest"])
            linked.links.append(link)

    def _given_as(self, makers: Iterable[StepKey], digest: str) -> list[ArtifactJson]:
        """Return the output of some steps that has a digest, in a list."""
        given = (each for maker in makers for each in self.steps[maker].outputs.values())
        return [each for each in given if each["digest"] == digest][:1]

    def _named(self, source: str | None) -> dict[str, bool]:
        """Return the nodes that an expression names; of `sub.fit` and `sub` the longer one.

        A name that stands for another expression is followed. With each node stands whether it is
        only named by the items of a loop, of which the expression has one.
        """
        found: dict[str, bool] = {}
        waiting, seen = [(gathered(source or ""), False)], set()
        while waiting:
            text, is_item = waiting.pop(0)
            for name in _NAME.findall(_ITERATION.sub(self._without_index, text)):
                known = self._known(name)
                if known is None or (known, is_item) in seen:
                    continue
                seen.add((known, is_item))
                if known in self._of_node:
                    found[known] = is_item and found.get(known, True)
                elif known in self._definitions:
                    waiting.append((self._definitions[known], is_item))
                else:
                    waiting.append((self._loops.items[known], True))
        return found

    def _without_index(self, found: re.Match[str]) -> str:
        """Return ``score`` for ``score[f]``: which iteration it is says nothing of the value."""
        return found[1] if found[1] in self._of_node else found[0]

    def _known(self, name: str) -> str | None:
        """Return the longest beginning of a dotted name that stands for something."""
        parts = name.split(".")
        starts = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
        for names in (self._of_node, self._definitions, self._loops.items):
            known = next((each for each in starts if each in names), None)
            if known is not None:
                return known
        return None

    def _may_give(self, step: LinkedStep, of: StepKey | None) -> bool:
        """Whether a step is of the same iterations as another one, of the loops around both."""
        if of is None:
            return True
        around = self._loops.around_both(step.key[2], of[2])
        if around is None:  # one that is in no loop takes from all iterations
            around = min(len(step.key[3]), len(of[3]))
        return step.key[3][:around] == of[3][:around]


def _definitions(run: Run) -> dict[str, str]:
    """Return the expressions that names of the plan stand for."""
    plan = run.plan
    found = plan.get("definitions") if plan is not None else None
    texts = found.items() if isinstance(found, dict) else ()
    return {name: gathered(text) for name, text in texts if isinstance(text, str)}


def _artifacts(entry: Mapping[str, Any]) -> list[ArtifactJson]:
    """Return the artifacts in an input that is a tree: each once, in a fixed order."""
    try:
        found = {each.digest: each.as_json() for each in references(entry.get("tree"))}
    except ArtifactError:
        return []
    return [found[digest] for digest in sorted(found)]


def _display(tree: Any) -> Json:
    try:
        shown = values.display(tree)
    except ArtifactError:
        return None
    return shown if len(str(shown)) <= _LONGEST else f"{str(shown)[: _LONGEST - 1]}…"


def _artifact(tree: Any) -> ArtifactJson | None:
    """Return a value of a record as it would be stored; None if it is damaged."""
    try:
        data = values.canonical(tree)
        digest = values.digest(tree)
    except (ArtifactError, ValueError, TypeError, RecursionError):
        return None
    kind = values.tree_type(tree)
    return {
        "digest": digest,
        "size": len(data),
        "format": "json",
        "materializer": "tree",
        "type": kind,
        "meta": {},
    }


def _origin(run: Run, record: Record | None) -> StepKey | None:
    """Return the step whose result the cache gave."""
    cache = record["cache"] if record is not None else None
    origin = cache["from"] if cache is not None and cache["hit"] else None
    if origin is None:
        return None
    # A result may be one of another pipeline; the entry does not say of which.
    return (run.pipeline, origin["run_id"], origin["node"], tuple(origin["map_index"] or ()))


def _taken(run: Run) -> dict[tuple[str, tuple[int, ...]], StepKey]:
    """Return the steps whose records are in another run, as where a run is started again."""
    outcome = run.outcome
    found = {}
    for end in outcome["steps"] if outcome is not None else ():
        key = step_of_path(end["record"] or "")
        if key is not None and key[:2] != (run.pipeline, run.run_id):
            found[end["node"], tuple(end["map_index"] or ())] = key
    return found


def step_of_path(path: str) -> StepKey | None:
    """Return the step that a record is of, by its path; None for another path.

    >>> step_of_path("runs/churn/20260101-060000-1f3a9c/fit/[0.2]/1/record.json")
    ('churn', '20260101-060000-1f3a9c', 'fit', (0, 2))
    """
    match path.split("/"):
        case ["runs", pipeline, run_id, node, _, "record.json"]:
            index: Sequence[str] = ()
        case ["runs", pipeline, run_id, node, iteration, _, "record.json"]:
            index = iteration.strip("[]").split(".")
        case _:
            return None
    if not all(part.isdecimal() for part in index):
        return None
    try:
        names = [unquote_name(name) for name in (pipeline, run_id, node)]
    except ValueError:
        return None
    return (names[0], names[1], names[2], tuple(map(int, index)))
