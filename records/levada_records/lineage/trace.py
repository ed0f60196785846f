"""Follows artifacts through the runs of a store, up to what they were made from, and down.

The index says which runs have an artifact; what happened in a run is read from its records. Within
a run, what a step took is found by the expression of its input. Between runs it is found by the
cache, which says whose result was taken, and by content: the same digest is the same value. Small
values are followed within their run only: every pipeline has a ``0`` somewhere.
"""

from __future__ import annotations

import re

from levada import values
from levada.artifact import ArtifactError
from levada.trees.references import references

from levada_records.documents import in_parallel
from levada_records.runs import MissingRun, read_run

from .run_links import RunLinks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from levada.record_types import ArtifactJson
    from levada.store import Store
    from levada.trees.tree_types import Tree

    from levada_records.index import Index
    from levada_records.runs import Run
    from levada_records.steps import Step

    from .run_links import LinkedStep, StepKey

#: Steps that a lineage has at most, and runs that are read for one artifact.
MOST_STEPS, MOST_RUNS = 2000, 50
#: Artifacts that are looked for in the index one by one; for more, all rows are read once.
MOST_QUERIES = 6
#: Bytes from which on a value is the same one wherever it is.
LEAST_SIZE = 64
_QUOTED = re.compile(r'"(sha256:[0-9a-f]{64})"')
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{7,64})")


class UnknownArtifact(LookupError):  # noqa: N818
    """No run in the index has such an artifact, or several artifacts are meant."""


class Lineage:
    """Artifacts, the steps that made them and those that used them.

    ``roots`` are the steps from which it was followed, with the artifacts of each. ``up`` has for
    a step those whose results it took, ``down`` those that took its results. ``more`` says what was
    not followed. ``runs`` are the runs of the steps.
    """

    def __init__(self) -> None:
        self.roots: dict[StepKey, list[ArtifactJson]] = {}
        self.steps: dict[StepKey, LinkedStep] = {}
        self.up: dict[StepKey, list[StepKey]] = {}
        self.down: dict[StepKey, list[StepKey]] = {}
        self.more: list[str] = []
        self.runs: list[Run] = []

    @property
    def artifacts(self) -> dict[str, ArtifactJson]:
        """All artifacts by their digests."""
        found: dict[str, ArtifactJson] = {}
        for step in self.steps.values():
            for each in [
                *step.outputs.values(),
                *(a for link in step.links for a in link.artifacts),
            ]:
                found.setdefault(each["digest"], each)
        return found


class Tracer:
    """Follows artifacts; each run is read once."""

    def __init__(self, store: Store, index: Index) -> None:
        self._store = store
        self._index = index
        self._runs: dict[tuple[str, str], RunLinks | None] = {}
        self._having: dict[str, list[tuple[str, str]]] = {}
        self._lineage = Lineage()

    def of_digest(self, text: str) -> Tracer:
        """Start from an artifact by its digest, or the beginning of it. Raises UnknownArtifact."""
        digest = self._whole_digest(text)
        made: dict[StepKey, list[ArtifactJson]] = {}
        ran: set[StepKey] = set()
        for place in self._runs_with(digest):
            links = self._links(*place)
            for key, step in links.steps.items() if links is not None else ():
                found = [each for each in step.outputs.values() if each["digest"] == digest]
                if found:
                    made[key] = found[:1]
                    if step.origin is None:
                        ran.add(key)
        # Steps that took it from the cache are below the one that made it.
        fresh = {key: found for key, found in made.items() if key in ran}
        self._lineage.roots = fresh or made
        if not self._lineage.roots:
            raise UnknownArtifact(f"no step of a run in the index gave {digest}")
        return self

    def of_step(self, run: Run, step: Step, output: str = "") -> Tracer:
        """Start from what a step gave, or from one of its outputs. Raises UnknownArtifact."""
        key = (run.pipeline, run.run_id, step.node, step.map_index)
        links = self._take(run)
        found = links.steps[key]
        chosen = [found.outputs[output]] if output in found.outputs else []
        if output and not chosen:
            named = ", ".join(name for name in found.outputs if name)
            there = f"; it has {named}" if named else ""
            raise UnknownArtifact(f"{step.name} stored no output `{output}`{there}")
        self._lineage.roots[key] = chosen or list(found.outputs.values())
        return self

    def of_run(self, run: Run) -> Tracer:
        """Start from what a run returned; if that is nothing, from what no step of it used."""
        links = self._take(run)
        outcome, plan = run.outcome, run.plan
        result = plan.get("result") if plan is not None else None
        sources = result.get("values") if isinstance(result, dict) else None
        for place, tree in enumerate(outcome["outputs"] if outcome is not None else ()):
            source = sources[place] if isinstance(sources, list) and place < len(sources) else None
            given = _tree_digests(tree)
            for key in links.makers(given, source if isinstance(source, str) else None):
                outputs = links.steps[key].outputs.values()
                chosen = [each for each in outputs if each["digest"] in given]
                self._lineage.roots[key] = chosen or list(outputs)
        if not self._lineage.roots:
            for key, step in links.steps.items():
                if not links.users(key):
                    self._lineage.roots[key] = list(step.outputs.values())
        return self

    def follow(self, *, up: bool = True, down: bool = True, depth: int | None = None) -> Lineage:
        """Return the lineage, at most ``depth`` steps away from where it was started.

        Raises StoreError if the store cannot be read.
        """
        found = self._lineage
        for key in found.roots:
            self._add(key)
        if up:
            self._walk(self._above, _from_outside, found.up, depth)
        if down:
            self._walk(self._below, lambda step: step.outputs.values(), found.down, depth)
        return found

    def _walk(
        self,
        beside: Callable[[StepKey], list[StepKey]],
        wanted: Callable[[LinkedStep], Iterable[ArtifactJson]],
        edges: dict[StepKey, list[StepKey]],
        depth: int | None,
    ) -> None:
        """Go from the roots to the steps beside them, the nearest first; each step once."""
        level, distance = list(self._lineage.roots), 0
        seen = set(level)
        while level and (depth is None or distance < depth):
            self._look_up(each for key in level for each in wanted(self._lineage.steps[key]))
            following: list[StepKey] = []
            for key in level:
                edges[key] = [other for other in beside(key) if self._take_step(other)]
                following += [other for other in edges[key] if other not in seen]
                seen.update(edges[key])
            level, distance = following, distance + 1

    def _take_step(self, key: StepKey) -> bool:
        """Take a step into the lineage if there is such a step, and room for it."""
        if key not in self._lineage.steps and len(self._lineage.steps) >= MOST_STEPS:
            self._say(f"only the {MOST_STEPS:,} nearest steps are followed")
            return False
        return self._add(key)

    def _add(self, key: StepKey) -> bool:
        """Take a step into the lineage; False if there is no such step."""
        links = self._links(*key[:2])
        step = links.steps.get(key) if links is not None else None
        if links is None or step is None:
            return False
        self._lineage.steps[key] = step
        if links.run not in self._lineage.runs:
            self._lineage.runs.append(links.run)
        return True

    def _say(self, text: str) -> None:
        if text not in self._lineage.more:
            self._lineage.more.append(text)

    # ---------------------------------------------------------------- one step further

    def _above(self, key: StepKey) -> list[StepKey]:
        """Return the steps whose results a step took: of the cache, of its run, of other runs."""
        step = self._lineage.steps[key]
        found: dict[StepKey, None] = {}
        origin = self._origin(step)
        if origin is not None:
            found[origin] = None
        for link in step.links:
            found |= dict.fromkeys(link.makers)
            if not link.makers:
                found |= dict.fromkeys(self._makers_elsewhere(link.artifacts, key))
        found.pop(key, None)
        return list(found)

    def _below(self, key: StepKey) -> list[StepKey]:
        """Return the steps that took the result of a step: in its run, and in others."""
        step = self._lineage.steps[key]
        links = self._links(*key[:2])
        found: dict[StepKey, None] = dict.fromkeys(links.users(key) if links is not None else ())
        for other in self._others_with(step.outputs.values(), key, small=True):
            for other_key, other_step in other.steps.items():
                is_hit = other_step.origin is not None and self._origin(other_step) == key
                if is_hit or _takes_from_outside(other_step, step):
                    found[other_key] = None
        found.pop(key, None)
        return list(found)

    def _origin(self, step: LinkedStep) -> StepKey | None:
        """Return the step whose result the cache gave, with the pipeline that it is of."""
        if step.origin is None:
            return None
        _, run_id, node, index = step.origin
        own = self._links(step.origin[0], run_id)
        if own is not None and step.origin in own.steps:
            return step.origin
        query = "SELECT pipeline FROM runs WHERE run_id = ? ORDER BY pipeline LIMIT 10"
        for (pipeline,) in self._index.execute(query, [run_id]):
            links = self._links(str(pipeline), run_id)
            key = (str(pipeline), run_id, node, index)
            if links is not None and key in links.steps:
                return key
        self._say(f"run {run_id}, whose result the cache gave, is not in the store any more")
        return None

    def _makers_elsewhere(
        self, artifacts: Iterable[ArtifactJson], key: StepKey
    ) -> Iterable[StepKey]:
        """Yield the steps of other runs that gave some artifacts: of each the earliest one."""
        for artifact in artifacts:
            for other in self._others_with([artifact], key):
                makers = [k for k, step in other.steps.items() if artifact["digest"] in step.given]
                if makers:
                    yield makers[0]
                    break

    def _others_with(
        self, artifacts: Iterable[ArtifactJson], key: StepKey, *, small: bool = False
    ) -> Iterable[RunLinks]:
        """Yield other runs that have some artifacts, the earliest first."""
        seen: set[tuple[str, str]] = set()
        for artifact in artifacts:
            if not small and artifact["size"] < LEAST_SIZE:
                continue
            for place in self._runs_with(artifact["digest"]):
                links = self._links(*place)
                if place != key[:2] and place not in seen and links is not None:
                    seen.add(place)
                    yield links

    # ---------------------------------------------------------------- runs and the index

    def _take(self, run: Run) -> RunLinks:
        found = self._runs[run.pipeline, run.run_id] = RunLinks(run)
        self._say_problems(run)
        return found

    def _links(self, pipeline: str, run_id: str) -> RunLinks | None:
        place = (pipeline, run_id)
        if place not in self._runs and (links := self._read(place)) is not None:
            self._say_problems(links.run)
        return self._runs[place]

    def _read(self, place: tuple[str, str]) -> RunLinks | None:
        """Read a run, or find that it is not there any more."""
        try:
            self._runs[place] = RunLinks(read_run(self._store, *place))
        except (MissingRun, ValueError):
            self._runs[place] = None
        return self._runs[place]

    def _say_problems(self, run: Run) -> None:
        for problem in run.problems:
            self._say(problem)

    def _look_up(self, artifacts: Iterable[ArtifactJson]) -> None:
        """Find the runs that have some artifacts, and read them: of a bucket at the same time."""
        digests = [each["digest"] for each in artifacts if each["digest"] not in self._having]
        if len(digests) > MOST_QUERIES:
            self._scan(set(digests))
        places = {place for digest in digests for place in self._runs_with(digest)}
        new = sorted(place for place in places if place not in self._runs)
        for links in in_parallel(self._store, self._read, new):
            if links is not None:
                self._say_problems(links.run)

    def _runs_with(self, digest: str) -> list[tuple[str, str]]:
        """Return the runs that took or gave an artifact, the earliest first."""
        if digest not in self._having:
            query = (
                "SELECT pipeline, run_id FROM runs"
                " WHERE CAST(outputs AS TEXT) LIKE ? OR CAST(inputs AS TEXT) LIKE ?"
                f" ORDER BY started, pipeline, run_id LIMIT {MOST_RUNS + 1:d}"
            )
            like = f'%"{digest}"%'
            rows = [(str(p), str(r)) for p, r in self._index.execute(query, [like, like])]
            self._keep(digest, rows)
        return self._having[digest]

    def _scan(self, digests: set[str]) -> None:
        """Look for many artifacts at once: each query for one of them reads all rows."""
        found: dict[str, list[tuple[str, str]]] = {digest: [] for digest in digests}
        query = (
            "SELECT pipeline, run_id, outputs, inputs FROM runs ORDER BY started, pipeline, run_id"
        )
        for pipeline, run_id, outputs, inputs in self._index.execute(query):
            there = _QUOTED.findall(f"{outputs}{inputs}")
            for digest in digests.intersection(there):
                if len(found[digest]) <= MOST_RUNS:
                    found[digest].append((str(pipeline), str(run_id)))
        for digest, places in found.items():
            self._keep(digest, places)

    def _keep(self, digest: str, places: list[tuple[str, str]]) -> None:
        if len(places) > MOST_RUNS:
            self._say(f"only the first {MOST_RUNS} runs with {digest[:19]} are followed")
        self._having[digest] = places[:MOST_RUNS]

    def _whole_digest(self, text: str) -> str:
        found = _DIGEST.fullmatch(text)
        if found is None:
            raise UnknownArtifact(f"`{text}` is not a digest: sha256: and 7 to 64 hex digits")
        start = f"sha256:{found[1]}"
        if len(found[1]) == 64:
            return start
        query = (
            "SELECT CAST(outputs AS TEXT) FROM runs WHERE CAST(outputs AS TEXT) LIKE ?"
            f" LIMIT {MOST_RUNS:d}"
        )
        pattern = re.compile(f'"({start}[0-9a-f]*)"')
        rows = self._index.execute(query, [f'%"{start}%'])
        digests: list[str] = sorted(
            {digest for (row,) in rows for digest in pattern.findall(str(row))}
        )
        if len(digests) == 1:
            return digests[0]
        if not digests:
            raise UnknownArtifact(f"no run in the index gave an artifact `{text}`")
        listed = ", ".join(digests[:5])
        raise UnknownArtifact(f"`{text}` means several artifacts: {listed}")


def _from_outside(step: LinkedStep) -> Iterable[ArtifactJson]:
    """Return what a step was given by no step of its run."""
    taken = [artifact for link in step.links if not link.makers for artifact in link.artifacts]
    return [each for each in taken if each["size"] >= LEAST_SIZE]


def _takes_from_outside(user: LinkedStep, maker: LinkedStep) -> bool:
    """Whether a step of another run was given what a step made, and not by a step of its run."""
    given = {each["digest"] for each in maker.outputs.values() if each["size"] >= LEAST_SIZE}
    return any(not link.makers and given.intersection(link.digests) for link in user.links)


def _tree_digests(tree: Tree) -> set[str]:
    try:
        found = {each.digest for each in references(tree)}
        return found or {values.digest(tree)}
    except (ArtifactError, ValueError):
        return set()
