"""``python -m levada.kubeflow``: what a task of Kubeflow Pipelines runs.

KFP gives what it knows of the task as one JSON argument, the *executor input*, and reads the file
that this names when the task is over, the *executor output*. It reads that strictly: what is not in
the schema, NaN or a null fails a task whose work is done. Both are messages of
``api/v2alpha1/pipeline_spec.proto`` in https://github.com/kubeflow/pipelines.

What the task is to do stands in one input, a word and the rest of the line each:
``node train``, ``for d in params.depths``, ``input data=load``. Exit codes are those of ``python -m
levada``.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from time import time_ns

from levada import command, expressions, programs, records, stored_run
from levada.errors import InputError, UsageError
from levada.kubeflow_report import Report, artifact_name, parameter_names
from levada.materializers import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from levada.arguments import Arguments, LoopArguments
    from levada.expressions import Scope, Variable

CALL = "levada-call"
OUTPUT = "Output"
#: The item of a loop that has none, where KFP wants one to make a list of what the items gave.
NO_ITEM = "none"
#: What a task writes that is for no item, by which the client knows it.
NO_ITEMS = "nothing to do: the loop has no items"
#: What a task that stages gives as its output: whether the program has to run.
MISSED, CACHED = "missed", "cached"
STATUS = "levada-status"
#: The kinds of the tasks that run after a program: if it succeeded, and however it ended.
COLLECT, FAILURE = "collect", "failure"
#: What stands before the JSON of what the pipeline returned, in the log of its last task.
RETURNED = "the pipeline returned: "
PARAMETER = ":parameter"
_ESCAPED = re.compile("%(7B|24|25)")


class Task:
    """What KFP and the compiled pipeline say of this task.

    ``words`` is the command line for :mod:`levada.arguments`; ``unless`` names the nodes whose
    failure cuts the task off; ``ordered`` has for each loop in order around it the depth, and the
    nodes whose failure in an earlier iteration does so. With ``caught`` its own failure is only in
    its record. ``collected`` has the bytes that KFP's lists of its outputs may have. ``kind`` is
    what the compiler calls the task; one that ``publishes`` gives what is in the record of a
    container step.
    """

    def __init__(self, words: Sequence[str]) -> None:
        """Read them. Raises UsageError."""
        self.retries = 0
        self._taken: list[str] = []
        #: of a container step, where KFP has the files of its program
        self.files: dict[str, str] = {}
        #: of a container step, the task that runs its program; where it is staged, its component
        self.program = ""
        self.publishes = False
        self.unless = ""
        self.ordered: list[tuple[int, list[str]]] = []
        self.caught = False
        self.is_never_empty = False
        self.collected: dict[str, int] = {}
        self._kinds: dict[str, str] = {}
        self._item = ""
        self._steps: dict[str, list[str]] = {}
        mode, *rest = words
        self.kind = self.mode = unescaped(mode)
        found = self._own(rest)
        self.input = _object(self._text, "--executor-input")
        self._values = self.input.get("inputs", {}).get("parameterValues", {})
        called = self._called()
        self.words = [self.mode, *found, *called, *self._run(), *self._parameters()]

    def _own(self, words: list[str]) -> list[str]:
        """Take the options that only this module knows; give the others.

        The executor input is KFP's own: what is escaped in it is a part of it, and is read there.
        """
        others = []
        self._text = self._run_id = ""
        while words:
            escaped = words.pop(0)
            word = unescaped(escaped)
            name, _, value = word.partition("=")
            if name == "--executor-input":
                self._text = escaped.partition("=")[2] or (words.pop(0) if words else "")
            elif name == "--takes":
                self._taken = [word.removesuffix(PARAMETER) for word in value.split(",")]
            elif name == "--gives":
                continue  # the executor input has them; here they tell containers apart
            elif name == "--publish":
                self.publishes = True
            elif name == "--parameters":
                self._kinds = _object(value, name)
            elif name == "--step":
                key, *said = value.split(" ")
                self._steps[key] = said
            elif name == "--source":
                os.environ["LEVADA_SOURCE"] = value
            elif name == "--file":
                file, _, path = value.partition("=")
                self.files[file] = path
            elif name == "--item":
                self._item = value
            elif name == "--run-id":
                self._run_id = value
            else:
                others.append(word)
        return others

    def _called(self) -> list[str]:
        """The lines of the call as options."""
        words = []
        for line in unescaped(str(self._values.get(CALL, ""))).splitlines():
            word, _, rest = line.partition(" ")
            if word == "step":
                words += self._step(rest)
            elif word == "retries":
                self.retries = int(rest)
            elif word == "unless":
                self.unless = rest
            elif word == "ordered":
                depth, _, nodes = rest.partition(" ")
                self.ordered.append((int(depth), nodes.split(",")))
            elif word == "caught":
                self.caught = True
            elif word == "program":
                self.program = rest
            elif word == "never-empty":
                self.is_never_empty = True
            elif word == "collected":
                pairs = (pair.rpartition(":") for pair in rest.split(","))
                self.collected = {name: int(size) for name, _, size in pairs}
            elif word:
                words.append(f"--{word}={rest}")
        if not any(word.startswith("--node=") for word in words) and ":" in self.mode:
            words.append(f"--node={self.mode.partition(':')[2]}")  # as most are called
        return words

    def _step(self, key: str) -> list[str]:
        """The step, the digest of its code, and what that imports, as the container knows them."""
        if key not in self._steps:
            raise UsageError(f"the container knows no step {key}: there is no --step of it")
        self.mode = key
        code, *imports = self._steps[key]
        return [f"--code={code}", f"--imports={','.join(imports)}"]

    def _run(self) -> list[str]:
        run = self._run_id
        if not run or "{{" in run:  # a cluster does not fill it in
            run = os.environ.get("LEVADA_RUN_ID", "")
        if not run:
            raise UsageError("Kubeflow did not say which run this is: LEVADA_RUN_ID is not set")
        item = "" if self.has_no_item else str(self._values.get(self._item, ""))
        return [f"--run-id={run}", *([f"--map-index={item}"] if item else [])]

    @property
    def has_no_item(self) -> bool:
        """Whether it is in a loop over nothing, and has nothing to do."""
        return bool(self._values.get(self._item) == NO_ITEM)

    @property
    def failure(self) -> str:
        """How the program failed, as KFP says it in the final status of what it ran in."""
        status = self._values.get(STATUS)
        error = status.get("error") if isinstance(status, dict) else None
        message = str(error.get("message") or "") if isinstance(error, dict) else ""
        said = f"the program failed: KFP's log of the task `{self.program}` has what it printed"
        return f"{said} ({message.strip()})" if message.strip() else said

    def taken(self, name: str) -> str:
        """What KFP gave for an input, as JSON; nothing if it is to be read from the store."""
        return str(self._values.get(name, "")) if name in self._taken else ""

    def _parameters(self) -> list[str]:
        if not self._kinds:
            return []
        missing = [name for name in self._kinds if name not in self._values]
        if missing:
            raise UsageError(f"the run was not given {', '.join(missing)}")
        given = {name: exact(self._values[name], kind) for name, kind in self._kinds.items()}
        return [f"--params={json.dumps(given)}"]


def unescaped(text: str) -> str:
    """A text as it was before the compiler escaped what KFP, Argo or Kubernetes would replace."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def exact(value: Any, kind: str) -> Any:
    """A parameter as the run was given it, from what KFP made of it: its numbers are doubles."""
    if kind == "json":
        return json.loads(value) if isinstance(value, str) else value
    if kind.startswith("list[") and isinstance(value, list):
        return [exact(item, kind[5:-1]) for item in value]
    if kind == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


class KubeflowCommand(command.Command):
    """A command of a task: its answer is for KFP."""

    def __init__(self, task: Task, arguments: Arguments, variables: dict[str, str]) -> None:
        super().__init__(arguments, variables)
        self._task = task
        self.output: dict[str, Any] = {}

    def is_cut_off(self) -> bool:
        """Whether something failed that keeps this task from being reached."""
        index = self.arguments.map_index
        nodes = stored_run.StoredNodes(self._store, self._pipeline, self._run_id)
        if any(nodes.failed_before(names, index[:depth]) for depth, names in self._task.ordered):
            return True
        if not self._task.unless:
            return False
        return bool(expressions.truth(f"failed({self._task.unless})", self._scope()))

    def is_final(self) -> bool:
        """Whether there is no attempt after this one."""
        return len(records.attempts(self._store, *self._place())) > self._task.retries

    def _place(self) -> tuple[str, str, str, tuple[int, ...]]:
        node = self.arguments.option("node") or ""
        return self._pipeline, self._run_id, node, self.arguments.map_index

    def is_given_up(self) -> bool:
        """Whether this is a retry after a permanent error; it is recorded as one that is not run.

        KFP's ``retryPolicy`` cannot tell failures apart. A multiple of all attempts that it makes
        is the end of them: what comes then was asked for by somebody, and is run.
        """
        numbers = records.attempts(self._store, *self._place())
        is_first = len(numbers) % (self._task.retries + 1) == 0
        if is_first or self._task.kind == FAILURE:
            return False
        path = records.attempt_path(*self._place(), numbers[-1])
        record = records.read_record(self._store, path) or {}
        error = record.get("error") or {}
        if not error.get("permanent"):
            return False
        said = f"not run again: attempt {numbers[-1]} failed for good ({error['type']}: "
        said += f"{error['message']}), and KFP retries after any failure"
        sys.stderr.write(said + "\n")
        now = records.timestamp()
        times = {"started": now, "finished": now, "seconds": 0.0}
        own = {"attempt": numbers[-1] + 1, "resources": {}, "warnings": [said]}
        records.write_record(self._store, {**record, **times, **own})
        return True

    def _step(self) -> int:
        if self._task.publishes:
            return self._publish()
        if self._task.kind == FAILURE:
            return self._note_program_failed()
        if self.arguments.stage:
            return self._stage()
        if self._task.kind == COLLECT:
            self._find_outputs()
        code = super()._step()
        if code == command.DONE and self._task.kind != COLLECT:
            self._report(records.read_document(self._store, self.answer["record"]) or {})
        return code

    def _report(self, record: dict[str, Any]) -> None:
        """Give KFP what a record has."""
        report = Report(self._task.input, record, self._store)
        self.output = {"artifacts": report.artifacts()}
        self._give_all(report.parameters(self._shares()))

    def _publish(self) -> int:
        record = records.latest_success(self._store, *self._place())
        if record is None:
            sys.stderr.write("not reached: the program has left no record of a success\n")
            return command.FAILED
        self._report(record)
        return command.DONE

    def _note_program_failed(self) -> int:
        """Write the record of a program that failed: what would have collected has not run."""
        from levada.engine.lost import PROGRAM_FAILED, record_lost

        if records.attempts(self._store, *self._place()):
            return command.DONE
        record_lost(
            self._step_request(),
            self._store,
            looked_up=None,
            status=1 << 8,
            end=PROGRAM_FAILED,
            started=time_ns(),
            message=self._task.failure,
        )
        sys.stderr.write(f"{self._task.failure}\n")
        return command.DONE

    def _stage(self) -> int:
        """Hand the inputs of a container step to KFP, which brings them to its program.

        Not where the cache has the outputs: then they are those of the step from now on.
        """
        from shutil import move

        self.program_folder = paths.new_folder()
        os.environ[programs.RAN_IN] = self.program_folder  # the key of the cache is as at the end
        code = super()._step()
        is_cached = self.answer is not None
        is_staged = code == command.DONE and not is_cached
        for name, path in self._task.files.items() if is_staged else ():
            os.makedirs(os.path.dirname(path), exist_ok=True)
            move(f"{self.program_folder}/in/{name}", path)
        self._make_folder()
        self.output = {"artifacts": _empty_artifacts(self._task)}
        self._give(CACHED if is_cached else MISSED)
        return code

    def _make_folder(self) -> None:
        """Make what KFP's local runner wants of a program: a folder, and a list of what is in it.

        On a cluster KFP's launcher does that in the program's pod, and nobody sees these. The
        folder of a task stands beside that of any other.
        """
        file = self._task.input.get("outputs", {}).get("outputFile", "")
        if not self._task.program or not os.path.isabs(file):
            return
        own, name = os.path.split(file)
        folder = os.path.join(os.path.dirname(own), self._task.program)
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o777)  # noqa: S103  the program may be another user
        part = self.arguments.object("container") or {}
        listed = {
            each: {"artifacts": [{"name": each, "uri": f"{folder}/{each}", "metadata": {}}]}
            for each in part.get("outputs", ())
        }
        with open(os.path.join(folder, name), "w", encoding="utf-8") as output:
            json.dump({"artifacts": listed}, output)

    def _find_outputs(self) -> None:
        """Have what a program wrote, and KFP brought here, where it would be elsewhere."""
        folder = paths.new_folder()
        os.mkdir(f"{folder}/out")
        for name, path in self._task.files.items():
            if os.path.lexists(path):
                os.symlink(path, f"{folder}/out/{name}")
        os.environ[programs.RAN_IN] = folder

    def _shares(self) -> dict[str, int]:
        """Bytes that each output may have in KFP's list of what all items gave."""
        if not self._task.collected:
            return {}
        *outer, loop = self.arguments.loops
        count = sum(1 for _ in self._variables(loop, self._scope(outer)))
        return {name: size // count for name, size in self._task.collected.items()}

    def _variables(self, loop: LoopArguments, scope: Scope) -> Iterator[dict[str, Variable]]:
        return expressions.iterations(loop.target, loop.items, loop.where, scope)

    def _input(self, _name: str, text: str, scope: Any) -> Any:
        # In a loop KFP's local runner gives the item for whatever comes from outside of it.
        given = "" if self.arguments.map_index else self._task.taken(_name)
        return json.loads(given) if given else super()._input(_name, text, scope)

    def _decide(self) -> int:
        code = super()._decide()
        self._give("then" if self.answer else "otherwise")
        return code

    def _items(self) -> int:
        """Give the index path of each iteration of the innermost loop, within those around it."""
        found = self._variables(self.arguments.loops[-1], self._scope())
        outer = self.arguments.map_index
        indexes = [".".join(map(str, (*outer, n))) for n, _ in enumerate(found)]
        self.answer = indexes
        self._note_success(len(indexes))
        self._give(indexes or nothing(self._task)[OUTPUT])
        return command.DONE

    def _outputs(self) -> int:
        code = super()._outputs()
        shown = {artifact_name(name): value for name, value in self.answer["outputs"].items()}
        given = Report(self._task.input, {}, self._store)
        self.output = {
            "artifacts": {n: given.entry(n, shown[n]) for n in given.names if n in shown}
        }
        if shown:
            sys.stdout.write(f"{RETURNED}{json.dumps(self.answer['return'])}\n")
        return code

    def _give(self, value: object) -> None:
        self._give_all({OUTPUT: value})

    def _give_all(self, values: dict[str, Any]) -> None:
        if values:
            self.output["parameterValues"] = values

    def _request(self, step: dict[str, Any], item: tuple[int, ...] | None = None) -> Any:
        if item is None and self.arguments.mode == "items":
            item = self.arguments.map_index
        return super()._request(step, item)

    def _fail(self, error: BaseException, item: tuple[int, ...] | None = None) -> int:
        if isinstance(error, InputError):  # it is not this node that failed
            sys.stderr.write(f"not reached: {error}\n")
            return command.FAILED
        return super()._fail(error, item)


def nothing(task: Task) -> dict[str, Any]:
    """What a task gives that does nothing: what makes those that come after do nothing either.

    Where there is no item to decide about, a merge of both sides still has to find one.
    """
    if task.mode == "decide":
        return {OUTPUT: "otherwise" if task.has_no_item else "neither"}
    if task.mode == "items":
        return {OUTPUT: [NO_ITEM] if task.is_never_empty else []}
    return dict.fromkeys(parameter_names(task.input), "")


def _object(text: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{name} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"{name} wants a JSON object, not {text[:80]}")
    return found


def write_output(task: Task, output: dict[str, Any]) -> None:
    """Write the executor output, whole or not at all."""
    path = task.input.get("outputs", {}).get("outputFile")
    if not path:
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    part = f"{path}.{os.urandom(4).hex()}"  # the local runner gives one place to several tasks
    with open(part, "w", encoding="utf-8") as file:
        json.dump(output, file, allow_nan=False)
    os.replace(part, path)


def main(words: Sequence[str] | None = None) -> None:
    """Run a task and end the process."""
    from levada.__main__ import end

    given = list(sys.argv[1:] if words is None else words)
    end(lambda: _run(Task(given)))


def _run(task: Task) -> int:
    from levada.arguments import Arguments

    if task.has_no_item:
        sys.stderr.write(f"{NO_ITEMS}\n")
        return _without_result(task)
    words = task.words
    if task.mode == "end":  # only what has failed before it counts
        words = ["decide", *words[1:], "--expression=True"]
    arguments = Arguments(words, os.environ)
    arguments.engine = {"name": "kubeflow", **arguments.engine}
    found = KubeflowCommand(task, arguments, dict(os.environ))
    if found.is_cut_off():
        what = task.unless or ", ".join(nodes[0] for _, nodes in task.ordered)
        sys.stderr.write(f"not reached: one of {what} failed\n")
        return _without_result(task) if task.caught else command.PERMANENT
    if task.mode == "end":
        return command.DONE
    return _caught(task, found) if task.caught else _attempt(task, found)


def _attempt(task: Task, found: KubeflowCommand) -> int:
    if found.is_given_up():
        return command.PERMANENT
    code = found.run()
    if code == command.DONE:
        write_output(task, found.output)
    return code


def _caught(task: Task, found: KubeflowCommand) -> int:
    """Run it in a child, so that a failure is one that a handler can see, whatever its kind."""
    code = _in_child(lambda: _attempt(task, found))
    if code in (command.DONE, command.TERMINATED, command.INTERRUPTED):
        return code
    if code != command.PERMANENT and not found.is_final():
        return command.FAILED
    sys.stderr.write("this failed; the pipeline handles it\n")
    return _without_result(task)


def _without_result(task: Task) -> int:
    """Write an output with nothing in it: KFP's local runner fails where one is missing."""
    found = {"parameterValues": nothing(task), "artifacts": _empty_artifacts(task)}
    write_output(task, {kind: given for kind, given in found.items() if given})
    return command.DONE


def _empty_artifacts(task: Task) -> dict[str, Any]:
    declared = task.input.get("outputs", {}).get("artifacts", {})
    return {name: {"artifacts": [_empty(name, each)]} for name, each in declared.items()}


def _empty(name: str, declared: dict[str, Any]) -> dict[str, Any]:
    own = declared["artifacts"][0]
    return {"name": own.get("name", name), "uri": own.get("uri", ""), "metadata": {}}


def _in_child(run: Callable[[], int]) -> int:
    """Give the exit code of a forked child; negative where a signal ended it."""
    from levada.__main__ import end

    child = os.fork()
    if child == 0:
        end(run)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: os.kill(child, received))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main()
