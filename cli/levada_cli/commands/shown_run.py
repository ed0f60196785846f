"""A run in text: what it was, and its steps as a tree."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from levada import values
from levada.artifact import ArtifactError
from levada.cache import NO_EARLIER_RUN
from levada.engine.events import node_label
from levada.store import MissingBlob
from levada.trees.canonical import artifact_of
from levada_compiler.render.cells import escape, one_line, width
from levada_compiler.slotted import dataclass, field
from levada_records.cache_reasons import cache_reasons
from levada_records.documents import in_parallel
from levada_records.sparklines import BLOCKS, sparkline

from .progress import duration, headline, short
from .shown_values import artifact, compact, cut, local_time, packed, shortened_name, size
from .summary import MOST_ITEMS, place_in_store, shortened, state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from levada.cache_types import Reason
    from levada.record_types import GitPart, RunError
    from levada.trees.tree_types import Tree
    from levada_compiler.render.colours import Palette
    from levada_records.runs import Run
    from levada_records.steps import Step

    #: What stands beside a name: a line, pieces that are packed into lines, or a word in the
    #: colour of a role and what comes after it.
    Fact = str | list[str] | tuple[str, str, str]

#: Which steps of a wide loop are shown: those first that someone looks for.
_URGENT = ("failed", "damaged", "cancelled", "running")
ROLES = {
    "succeeded": "good",
    "failed": "error",
    "damaged": "error",
    "cancelled": "warning",
    "running": "warning",
    "skipped": "dim",
}
#: What the engine part says of the run that this one repeats, and how people call it.
_ORIGINS = {"retry_of": "retry", "rerun_of": "rerun"}
#: Columns of a screen on which there is no room for the memory of each step.
_NARROW = 80
#: Columns that are left for what a step gave, however long the names of the steps are.
_LEAST_ROOM = 24
#: Characters of a value of a parameter.
_LONGEST_VALUE = 60


@dataclass(frozen=True, slots=True)
class Screen:
    """What the text is shown on."""

    colours: Palette
    columns: int
    marks: str = BLOCKS  #: of sparklines


@dataclass(slots=True)
class _Row:
    """A line of the tree, and the lines below it that belong to it."""

    label: str
    state: str = ""
    role: str = ""
    time: str = ""
    memory: str = ""
    pieces: list[str] = field(default_factory=list)
    #: each a role and a text
    below: list[tuple[str, str]] = field(default_factory=list)


def run_text(run: Run, screen: Screen, *, whole: bool = False) -> str:
    """Return all that people want to see of a run; with ``whole`` all items of wide loops.

    Raises StoreError.
    """
    paint = screen.colours.paint
    lines = [f"{paint('bold', one_line(run.pipeline))} {one_line(run.run_id)}"]
    lines += _facts(run, screen)
    lines += ["", *_tree(run, screen, whole=whole)] if run.steps else []
    lines += ["", *error_lines(run.error, screen)] if run.error is not None else []
    lines += ["", *_outputs(run)]
    for problem in run.problems:
        lines.append(f"{paint('warning', 'warning')}: {one_line(problem)}")
    return "\n".join(lines).rstrip("\n") + "\n"


def facts(pairs: Iterable[tuple[str, Fact]], screen: Screen) -> list[str]:
    """Return lines of names and what they stand for, in two columns; without what is empty."""
    told = [(name, text) for name, text in pairs if text]
    most = max((width(name) for name, _ in told), default=0)
    lines = []
    for name, text in told:
        heads = [name]
        for line in _fact_lines(text, screen, screen.columns - most - 2):
            head = heads.pop() if heads else ""
            lines.append(f"{screen.colours.paint('dim', _padded(head, most))}  {line}")
    return lines


def _fact_lines(text: Fact, screen: Screen, room: int) -> list[str]:
    if isinstance(text, list):
        return packed(text, room)
    if isinstance(text, str):
        return [cut(text, room)]
    role, word, rest = text
    return [screen.colours.paint(role, word) + cut(rest, room - width(word))]


def _facts(run: Run, screen: Screen) -> list[str]:
    document = run.document
    outcome = run.outcome
    used = outcome["resources"] if outcome is not None else {}
    memory = used.get("peak_memory_bytes")
    seconds = used.get("cpu_seconds")
    pairs: list[tuple[str, Fact]] = [("status", _status(run))]
    if document is not None:
        pairs += [
            ("started", f"{local_time(run.started)}{_by(document['user'])}, {_trigger(run)}"),
            ("git", git_text(document["git"])),
            ("params", named_values(run.params)),
        ]
    return facts(
        [
            *pairs,
            ("tags", [f"{one_line(name)}={one_line(value)}" for name, value in run.tags.items()]),
            ("note", one_line(run.note or "")),
            ("memory", f"{size(memory)} at most in one step" if memory else ""),
            ("CPU", duration(seconds) if seconds else ""),
            ("record", one_line(place_in_store(run.store, run.folder))),
        ],
        screen,
    )


def _status(run: Run) -> Fact:
    if run.is_lost:
        return (
            "error",
            "never ended",
            f": its process is gone; it started {local_time(run.started)}",
        )
    role = ROLES.get(run.status, "bold")
    if run.status == "running":
        return role, run.status, f" since {local_time(run.started)}"
    seconds = f" in {duration(run.seconds)}" if run.seconds is not None else ""
    states = Counter(_tallied(step) for step in run.steps)
    told = ", ".join(f"{count} {state}" for state, count in states.items())
    return role, run.status, seconds + (f": {told}" if told else "")


def _tallied(step: Step) -> str:
    return "cached" if step.is_cached else {"succeeded": "done"}.get(step.status, step.status)


def _by(user: str | None) -> str:
    return f" by {one_line(user)}" if user else ""


def _trigger(run: Run) -> str:
    engine: Mapping[str, Any] = run.document["engine"] if run.document is not None else {}
    words = [run.document["trigger"] if run.document is not None else ""]
    words.append(str(engine.get("name") or ""))
    words += [f"{word} of {engine[key]}" for key, word in _ORIGINS.items() if engine.get(key)]
    return one_line(", ".join(word for word in words if word))


def git_text(git: GitPart | None) -> str:
    """Return in a few words which code it was: ``1a2b3c4d5e6f on main, with changes``."""
    if git is None:
        return ""
    words = one_line(git["commit"] or "no commit")[:12]
    if git["branch"]:
        words += f" on {one_line(git['branch'])}"
    if git["dirty"]:
        words += ", with changes that are not committed"
    return words + (f" ({one_line(git['problem'])})" if git.get("problem") else "")


def named_values(values: Mapping[str, object]) -> list[str]:
    """Return values by their names: ``depth=4``."""
    return [
        cut(f"{one_line(name)}={compact(value)}", _LONGEST_VALUE) for name, value in values.items()
    ]


# ---------------------------------------------------------------- the tree


def _tree(run: Run, screen: Screen, *, whole: bool) -> list[str]:
    shown, hidden = _chosen(run.steps, whole=whole)
    reasons = cache_reasons(run, shown)
    lines = in_parallel(run.store, lambda step: metric_pieces(step, screen), shown)
    rows: list[_Row] = []
    above: tuple[str, ...] = ()
    for at, step in enumerate(shown):
        *groups, _ = parts = step.node.split(".")
        new = range(_common(above, groups), len(groups))
        rows += [_Row(f"{'  ' * depth}{one_line(groups[depth])}") for depth in new]
        above = tuple(groups)
        label = "  " * len(groups) + one_line(step.name.removeprefix(".".join([*groups, ""])))
        rows.append(_row(step, label, lines[at], _told(step, reasons[at])))
        is_last = at + 1 == len(shown) or shown[at + 1].node != step.node
        if is_last and step.node in hidden:
            rows.append(_folded(f"{'  ' * len(groups)}{one_line(parts[-1])}", hidden[step.node]))
    return _laid_out(rows, screen)


def _chosen(steps: Sequence[Step], *, whole: bool) -> tuple[list[Step], dict[str, list[Step]]]:
    """Return the steps that are shown, and by node those of wide loops that are not."""
    by_node: dict[str, list[Step]] = {}
    for step in steps:
        by_node.setdefault(step.node, []).append(step)
    hidden: dict[str, list[Step]] = {}
    for node, group in by_node.items():
        if len(group) > MOST_ITEMS and not whole:
            urgent = sorted(group, key=lambda step: step.status not in _URGENT)
            left_out = set(map(id, urgent[MOST_ITEMS:]))
            hidden[node] = [step for step in group if id(step) in left_out]
    gone = {id(step) for group in hidden.values() for step in group}
    return [step for step in steps if id(step) not in gone], hidden


def _common(above: Sequence[str], groups: Sequence[str]) -> int:
    count = 0
    while count < min(len(above), len(groups)) and above[count] == groups[count]:
        count += 1
    return count


def _folded(label: str, steps: Sequence[Step]) -> _Row:
    states = Counter(_tallied(step) for step in steps)
    told = ", ".join(f"{count} {state}" for state, count in states.items())
    seconds = sum(step.seconds or 0 for step in steps)
    row = _Row(f"{label}[…]", f"{len(steps)} more", "dim", duration(seconds))
    row.pieces = [f"{told}; --all shows them"]
    return row


def _row(step: Step, label: str, metrics: Sequence[str], reasons: Sequence[str]) -> _Row:
    state = state_of(step.status, step.attempt_count, cached=step.is_cached)
    row = _Row(label, one_line(state), ROLES.get(step.status, ""))
    record = step.record
    if origin := cache_origin(step):
        row.pieces.append(f"from run {one_line(origin)}")
    if step.seconds is not None and not step.is_cached:
        row.time = duration(step.seconds)
    if record is not None:
        memory = record["resources"].get("peak_memory_bytes")
        row.memory = size(memory) if memory and not step.is_cached else ""
        if record["returns"] is not None:
            row.pieces.append(one_line(artifact(record["returns"])))
        row.pieces += metrics
        row.pieces += [
            f"{one_line(name)}: {one_line(artifact(held))}"
            for name, held in record["artifacts"].items()
        ]
        if record["error"] is not None:
            row.below.append(("error", headline(record["error"])))
    elif metrics:
        row.pieces += metrics
    if step.problem:
        row.below.append(("warning", one_line(step.problem)))
    if reasons:
        row.below.append(("dim", f"not cached: {one_line('; '.join(reasons))}"))
    return row


def _told(step: Step, reasons: Sequence[Reason]) -> list[str]:
    """Return why a step was not cached, if there is more to say than that it was the first."""
    is_first = reasons == [NO_EARLIER_RUN]
    return [] if step.is_cached or is_first else [reason["text"] for reason in reasons]


def cache_origin(step: Step) -> str | None:
    """Return the id of the run whose result a step took."""
    cache = step.record["cache"] if step.record is not None else None
    origin = cache["from"] if cache is not None and cache["hit"] else None
    return origin["run_id"] if origin is not None else None


def metric_pieces(step: Step, screen: Screen) -> list[str]:
    """Return the metrics of a step in words, those of several values with a sparkline."""
    pieces = []
    for name, entry in step.metrics.items():
        piece = f"{one_line(name)} {one_line(short(entry['value']))}"
        series = step.series(name) if entry.get("count", 1) > 1 else None
        if series is not None:
            piece += f" {sparkline(series['value'], marks=screen.marks)}"
        pieces.append(piece)
    return pieces


def _laid_out(rows: Sequence[_Row], screen: Screen) -> list[str]:
    """Return the lines of a table that fits the screen."""
    paint = screen.colours.paint
    states = max(width(row.state) for row in rows)
    times = max(4, *(width(row.time) for row in rows))
    memories = max(6, *(width(row.memory) for row in rows))
    states = max(6, states)
    has_memory = screen.columns >= _NARROW
    taken = states + times + 6 + (memories + 2) * has_memory
    labels = max(4, *(width(row.label) for row in rows))
    labels = min(labels, max(12, screen.columns - taken - _LEAST_ROOM))
    room = max(_LEAST_ROOM, screen.columns - taken - labels)

    def line(label: str, state: str, time: str, memory: str, piece: str) -> str:
        cells = [_padded(label, labels), _padded(state, states), time.rjust(times)]
        cells += [memory.rjust(memories)] if has_memory else []
        return "  ".join([*cells, piece]).rstrip()

    lines = [paint("bold", line("step", "status", "time", "memory", "returned, metrics"))]
    for row in rows:
        pieces = packed(row.pieces, room) or [""]
        label = shortened_name(row.label, labels)
        text = line(label, row.state, row.time, row.memory, pieces[0])
        start = len(_padded(label, labels)) + 2
        end = start + len(row.state)
        painted = paint(row.role, row.state) if row.role else row.state
        lines.append(text[:start] + painted + text[end:] if row.state else text)
        lines += [f"{' ' * (labels + taken)}{piece}" for piece in pieces[1:]]
        own = " " * (len(row.label) - len(row.label.lstrip()) + 2)
        for role, below in row.below:
            lines.append(own + paint(role, cut(below, screen.columns - len(own))))
    return lines


def _padded(text: str, most: int) -> str:
    return text + " " * (most - width(text))


# ---------------------------------------------------------------- how it ended


def error_lines(error: RunError | None, screen: Screen) -> Iterator[str]:
    """Yield the traceback of a failure, and of the one that it was handling."""
    while error is not None:
        place = error_place(error)
        head = screen.colours.paint("error", "failed")
        yield f"{head} {place}".rstrip() + f": {headline(error)}"
        for line in "\n".join(error.get("traceback") or ()).splitlines():
            yield f"  {escape(line)}"
        error = error.get("context")
        if error is not None:
            yield "while this one was handled:"


def error_place(error: Mapping[str, Any]) -> str:
    """Return the step of an error as people write it."""
    label = error.get("label") or ""
    return one_line(node_label(error.get("node") or "", error.get("map_index"), label))


def _outputs(run: Run) -> list[str]:
    """Return what the pipeline returned, a line for each value."""
    outcome = run.outcome
    if outcome is None or outcome["status"] != "succeeded":
        return []
    names = [""] if outcome["kind"] == "value" else outcome["names"]
    named = zip(names, outcome["outputs"], strict=False)
    return [f"output {one_line(name)}".rstrip() + f": {_output(run, tree)}" for name, tree in named]


def _output(run: Run, tree: Tree) -> str:
    """Return a value that the pipeline returned, or in a few words what it is."""
    try:
        held = artifact_of(tree)
        if held is not None and not held.is_tree:
            return one_line(artifact(held.as_json()))
        return shortened(compact(values.display(tree, run.store)))
    except (ArtifactError, MissingBlob) as error:
        return f"cannot be read: {one_line(str(error))}"
