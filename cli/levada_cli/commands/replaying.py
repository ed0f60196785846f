"""Runs a step once more on recorded inputs, in a process of its own, and compares the results."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import click
from levada.engine.definitions import calls
from levada.engine.events import node_label
from levada.trees.canonical import digest, leaf_of
from levada_compiler.render.cells import one_line
from levada_compiler.slotted import dataclass

from .progress import duration, headline
from .rerunning import step_named
from .summary import shortened

if TYPE_CHECKING:
    from levada.plan_types import Plan
    from levada.record_types import InputEntry, Record
    from levada.store import Store
    from levada.trees.tree_types import Tree
    from levada_compiler.render.colours import Palette
    from levada_records.runs import Run

    from .rerunning import Code
    from .run_reference import StoredRun

#: What the step is started by: the folder of the package comes last, as in the engine's server.
_START = """
import sys
sys.path.append({root!r})
from levada.replay import main
sys.exit(main({folder!r}))
"""


def recorded(run: Run, step: str, number: int | None) -> Record:
    """The record of an attempt of a step, by default the last one that has one."""
    from levada_records.steps import MissingStep

    try:
        found = run.step(*step_named(run, step))
    except MissingStep as error:
        raise click.UsageError(str(error)) from error
    attempts = [each for each in found.attempts if number is None or each.number == number]
    record = next((each.record for each in reversed(attempts) if each.record is not None), None)
    if record is not None:
        return record
    numbers = ", ".join(str(each.number) for each in found.attempts)
    if number is not None and not attempts:
        there = f"it has {numbers}" if numbers else "it did not start"
        raise click.UsageError(f"{found.name} has no attempt {number}; {there}")
    why = next((each.problem for each in reversed(attempts) if each.problem), "")
    raise click.ClickException(
        f"{found.name} has no recorded inputs: "
        + (why or ("its attempt has no record" if attempts else f"it was {found.status}"))
    )


@dataclass(frozen=True, slots=True)
class Output:
    """What a step returned, or one of its named outputs, now and then."""

    name: str
    digest: str | None
    before: str | None
    shown: object
    shown_before: object

    @property
    def is_same(self) -> bool:
        """Whether both are the same value."""
        return self.digest == self.before

    def as_json(self) -> dict[str, Any]:
        """The form of ``--json``."""
        return {
            "name": self.name,
            "same": self.is_same,
            "digest": self.digest,
            "display": self.shown,
            "recorded": {"digest": self.before, "display": self.shown_before},
        }


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a step that was run once more; ``answer`` is that of `levada.replay`."""

    record: Record
    answer: dict[str, Any]
    outputs: tuple[Output, ...]
    which: str
    has_other_code: bool

    @property
    def status(self) -> int:
        """The exit status."""
        return 0 if self.answer["status"] == "succeeded" else 1

    @property
    def is_same(self) -> bool:
        """Whether it came to the same as in the run."""
        if self.answer["status"] != self.record["status"]:
            return False
        if self.answer["status"] == "succeeded":
            return all(output.is_same for output in self.outputs)
        return _error(self.answer["error"]) == _error(self.record["error"])

    def as_json(self) -> dict[str, Any]:
        """The form of ``--json``: ``levada_cli/schemas/replay.json``."""
        record = self.record
        return {
            "pipeline": record["pipeline"],
            "run_id": record["run_id"],
            "node": record["node"],
            "map_index": record["map_index"],
            "attempt": record["attempt"],
            "code": self.which,
            "code_changed": self.has_other_code,
            "status": self.answer["status"],
            "seconds": self.answer["seconds"],
            "error": self.answer["error"],
            "outputs": [output.as_json() for output in self.outputs],
            "metrics": {each["name"]: each["value"] for each in self.answer["metrics"]},
            "recorded": {"status": record["status"], "seconds": record["seconds"]},
            "same": self.is_same,
        }

    def text(self, colours: Palette) -> str:
        """For a terminal: what it returned, and whether it is the same."""
        answer, record = self.answer, self.record
        took = f"{duration(answer['seconds'])}, in the run {duration(record['seconds'])}"
        lines = [""]
        if answer["status"] == "left":
            lines.append(colours.paint("warning", "left the debugger"))
        elif answer["status"] == "failed":
            why = one_line(headline(answer["error"]))
            lines.append(f"{colours.paint('error', 'failed')} in {took}: {why}")
            same = "the same as in the run" if self.is_same else f"in the run it {self._then()}"
            lines.append(same)
        else:
            lines.append(f"{colours.paint('good', 'succeeded')} in {took}")
            lines += [line for output in self.outputs for line in _lines(output, colours)]
            if record["status"] != "succeeded":
                lines.append(f"in the run it {self._then()}")
        lines += [f"{one_line(each['name'])}: {each['value']}" for each in self.answer["metrics"]]
        return "\n".join(lines) + "\n"

    def _then(self) -> str:
        error = self.record["error"]
        why = f": {one_line(headline(error))}" if error is not None else ""
        return f"{self.record['status']}{why}"


def _error(error: Any) -> tuple[object, object]:
    return (error or {}).get("type"), (error or {}).get("message")


def _lines(output: Output, colours: Palette) -> list[str]:
    """What an output is, and what it was if that differs."""
    head = f"output {one_line(output.name)}" if output.name else "output"
    shown = _words(output.shown)
    if output.is_same:
        return [f"{head}: {shown}, the same as in the run"]
    if output.before is None:
        return [f"{head}: {shown}"]
    word = colours.paint("warning", "differs")
    before = _words(output.shown_before)
    return [f"{head} {word}: {shown}", f"{' ' * len(head)}  in the run: {before}"]


def _words(shown: object) -> str:
    """A value in a line; what is no JSON, or is large, by its type, size and digest."""
    if isinstance(shown, dict) and shown.keys() >= {"digest", "type", "size"}:
        return one_line(f"{shown['type']} of {shown['size']:,} bytes, {shown['digest'][:19]}")
    return one_line(shortened(json.dumps(shown, ensure_ascii=False)))


def replay(
    found: StoredRun, chosen: Code, record: Record, which: str, debug: str, *, quiet: bool
) -> Replayed:
    """Run the step of a record on its inputs. With ``quiet`` its output goes to stderr."""
    request = _request(found, chosen, record)
    has_other_code = request["step"]["code"] != record["code"]["digest"]
    if which == "current":
        changed = ", which is not that of the run" if has_other_code else ""
        sys.stderr.write(f"code: current{changed}\n")
    given = ", ".join(f"{name}={_shown(entry, found)}" for name, entry in record["inputs"].items())
    label = node_label(record["node"], record["map_index"], record.get("label") or "")
    sys.stderr.write(f"replay {one_line(label)}: {one_line(shortened(given))}\n")
    with tempfile.TemporaryDirectory(
        prefix="levada-replay-", ignore_cleanup_errors=True
    ) as scratch:
        answer = _answer(request, debug, scratch, quiet=quiet)
        outputs = _outputs(answer, record, found, os.path.join(scratch, "store"))
    return Replayed(record, answer, outputs, which, has_other_code)


def _request(found: StoredRun, chosen: Code, record: Record) -> dict[str, Any]:
    """The request for the attempt, with the step of the code that is chosen."""
    run = found.run
    document = run.document
    plan = chosen.plan
    key, settings = _called(plan, record)
    step = plan["steps"][key]
    if "container" in step:
        raise click.ClickException(
            f"`{record['node']}` runs a program of an image, which cannot be replayed\n"
            f"help: levada rerun {run.pipeline}/{run.run_id} --from {record['node']}"
        )
    from levada.engine.run import secrets_of

    return {
        "pipeline": record["pipeline"],
        "pipeline_file": plan["file"],
        "run_id": record["run_id"],
        "node": record["node"],
        "map_index": record["map_index"],
        "attempt": record["attempt"],
        "step": {
            "module": step["module"],
            "function": step["function"],
            "source_roots": plan["search"],
            "code": step["code"],
            "imports": step["imports"],
            "outputs": step["outputs"],
            "file": step.get("file"),
            "settings": {**settings, "timeout": None},
        },
        "inputs": {name: _tree(entry) for name, entry in record["inputs"].items()},
        "sources": {},
        "parameters": document["parameters"]["trees"] if document is not None else {},
        "store": found.store.url,
        "engine": record["engine"],
        "project": chosen.project.root,
        "secrets": sorted(secrets_of(plan)),
    }


def _called(plan: Plan, record: Record) -> tuple[str, Any]:
    """The step that a node calls, with the settings of the call."""
    for form in calls(plan["body"]):
        if form["id"] == record["node"]:
            return form["step"], form["settings"]
    if record["step"] in plan["steps"]:
        return record["step"], plan["steps"][record["step"]]["settings"]
    raise click.ClickException(
        f"the pipeline has no step `{record['node']}` any more\n"
        "help: `--code recorded` runs the code of the run"
    )


def _tree(entry: InputEntry) -> Tree:
    return leaf_of(entry["artifact"]) if "artifact" in entry else entry["tree"]


def _shown(entry: InputEntry, found: StoredRun) -> str:
    from levada import values
    from levada.artifact import ArtifactError
    from levada.store import StoreError

    try:
        shown = values.display(_tree(entry), found.store)
    except (ArtifactError, StoreError):
        return "?"
    return shortened(json.dumps(shown, ensure_ascii=False))


def _answer(request: dict[str, Any], debug: str, folder: str, *, quiet: bool) -> dict[str, Any]:
    """Have a process replay the attempt. Ctrl-C is for the step, and for the debugger."""
    import levada

    root = os.path.dirname(os.path.dirname(os.path.abspath(levada.__file__)))
    with open(os.path.join(folder, "order.json"), "w", encoding="utf-8") as file:
        json.dump({"request": request, "debug": debug}, file)
    sys.stdout.flush()
    sys.stderr.flush()
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _START.format(root=root, folder=folder)],
        stdout=2 if quiet else None,
    )
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        with open(os.path.join(folder, "answer.json"), "rb") as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found
    except FileNotFoundError:
        return _lost(code)


def _lost(code: int) -> dict[str, Any]:
    """What is said of a process that ended without an answer."""
    from levada.failures import without_traceback

    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    error = without_traceback(
        "ProcessKilled", f"its process ended {how}", "killed", permanent=False
    )
    return {
        "status": "failed",
        "seconds": 0.0,
        "error": error,
        "returns": None,
        "outputs": {},
        "metrics": [],
    }


def _outputs(
    answer: dict[str, Any], record: Record, found: StoredRun, scratch: str
) -> tuple[Output, ...]:
    from levada.replay import ScratchStore

    if answer["status"] != "succeeded":
        return ()
    store = ScratchStore(scratch, found.store)
    now: dict[str, Any] = answer["outputs"] or {"": answer["returns"]}
    before: dict[str, Any] = dict(record["outputs"]) or {"": record["returns"]}
    return tuple(
        Output(
            name,
            _digest(entry),
            _digest(before.get(name)),
            _kept(_display(entry, store)),
            _display(before[name], store) if before.get(name) else None,
        )
        for name, entry in now.items()
    )


def _display(entry: dict[str, Any], store: Store) -> object:
    """What is shown of an output of a record, or of what an attempt returned."""
    from levada.artifact import Artifact
    from levada.attempt import shown_artifact

    if "display" in entry:
        return entry["display"]
    return shown_artifact(Artifact.from_json(entry), store)


def _kept(shown: object) -> object:
    """What is shown of an output without its address, for the scratch folder is gone."""
    if isinstance(shown, dict) and "uri" in shown:
        return {name: value for name, value in shown.items() if name != "uri"}
    return shown


def _digest(entry: Any) -> str | None:
    """The identity of an output as it is in a record."""
    if not entry:
        return None
    if "tree" in entry:
        return digest(entry["tree"])
    return str(digest(leaf_of(entry.get("artifact", entry))))
