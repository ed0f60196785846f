"""``python -m levada.kubeflow REQUEST EXECUTOR-INPUT``: what a task of Kubeflow Pipelines runs.

KFP gives what it knows of the task as one JSON argument, the *executor input*, and reads the file
that this names when the task is over, the *executor output*. It reads that strictly: what is not in
the schema, NaN or a null fails a task whose work is done. Both are messages of
``api/v2alpha1/pipeline_spec.proto`` in https://github.com/kubeflow/pipelines.

What the task is to do is a request (``levada.task_request``) in two parts. REQUEST has what all
tasks of a component have in common, the input ``levada-call`` what this one has besides. What only
Kubeflow needs is in the field ``kubeflow``. Exit codes are those of ``python -m levada``.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from time import time_ns

from levada import command, expressions, programs, records
from levada.errors import InputError, UsageError
from levada.kubeflow_report import Report, artifact_name, parameter_names
from levada.materializers import paths
from levada.task_request import (
    FLAG,
    NUMBER,
    OBJECT,
    OBJECT_OF_STRINGS,
    STRING,
    STRINGS,
    TaskRequest,
    check_fields,
    index_path,
    json_object,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypedDict

    from levada.task_request import Form

    class OrderJson(TypedDict):
        """What cuts off later iterations of a loop whose iterations run one after the other.

        ``depth`` is the number of loops around, that one counted; ``nodes`` are the nodes whose
        failure in an earlier iteration is the end of the loop.
        """

        depth: int
        nodes: list[str]

    class KubeflowJson(TypedDict, total=False):
        """The field ``kubeflow`` of a request.

        ``role`` is that of a task that is not what the request says: one of a container step, or
        one that only fails if something before it has failed. ``steps`` has what the container
        knows of each step. ``takes`` and ``gives`` are KFP's inputs and outputs with their kinds,
        ``parameters`` the run's parameters with the types to read them as, ``item`` the input with
        the map index. ``files`` are the places that KFP has for the files of a program, ``program``
        the task that runs it; for one that stages, its component.

        ``unless`` names the nodes whose failure cuts the task off, ``ordered`` those that do so
        from an earlier iteration. With ``caught`` its own failure is only in its record.
        ``collected`` has the bytes that KFP's lists of its outputs may have; a list of items that
        is ``never_empty`` has one even where the loop has none.
        """

        role: str
        steps: dict[str, dict[str, Any]]
        takes: dict[str, str]
        gives: dict[str, str]
        parameters: dict[str, str]
        item: str
        files: dict[str, str]
        program: str
        retries: int
        unless: list[str]
        ordered: list[OrderJson]
        caught: bool
        collected: dict[str, int]
        never_empty: bool


CALL = "levada-call"
OUTPUT = "Output"
#: Fields of a call that are lists of objects with a field each: their order counts.
ORDERED = ("sources", "outputs")
#: The item of a loop that has none, where KFP wants one to make a list of what the items gave.
NO_ITEM = "none"
#: What a task writes that is for no item, by which the client knows it.
NO_ITEMS = "nothing to do: the loop has no items"
#: What a task that stages gives as its output: whether the program has to run.
MISSED, CACHED = "missed", "cached"
STATUS = "levada-status"
#: The roles of the tasks of a container step: before its program, after it if it succeeded and
#: however it ended, and the one that gives KFP what the record has.
STAGE, COLLECT, FAILURE, PUBLISH = "stage", "collect", "failure", "publish"
#: The role of a task that fails if something before it has failed.
END = "end"
#: What stands before the JSON of what the pipeline returned, in the log of its last task.
RETURNED = "the pipeline returned: "
PARAMETER = "parameter"
ROLES = (STAGE, COLLECT, FAILURE, PUBLISH, END)
_FIELDS: dict[str, Form] = {
    "role": (lambda value: value in ROLES, f"one of {', '.join(ROLES)}"),
    **dict.fromkeys(("steps", "collected"), OBJECT),
    **dict.fromkeys(("takes", "gives", "parameters", "files"), OBJECT_OF_STRINGS),
    **dict.fromkeys(("item", "program"), STRING),
    "retries": NUMBER,
    "unless": STRINGS,
    "ordered": (
        lambda value: (
            isinstance(value, list)
            and all(isinstance(each, dict) and each.keys() == {"depth", "nodes"} for each in value)
        ),
        "a list of objects with `depth` and `nodes`",
    ),
    **dict.fromkeys(("caught", "never_empty"), FLAG),
}
_ESCAPED = re.compile("%(7B|24|25)")


class Task:
    """What KFP and the compiled pipeline say of this task.

    ``own`` is the field ``kubeflow`` of its request, ``input`` the executor input.
    """

    def __init__(self, words: Sequence[str]) -> None:
        """Read them. Raises UsageError."""
        if len(words) != 2:
            raise UsageError(f"give a request and the executor input, not {len(words)} words")
        common = unescaped(json_object(words[0], "the request"))
        self.input = json_object(words[1], "the executor input")
        self._values = self.input.get("inputs", {}).get("parameterValues", {})
        call = unescaped(self._values.get(CALL) or {})
        if not isinstance(call, dict):
            raise UsageError(f"the input {CALL} wants an object, not {json.dumps(call)[:80]}")
        self._content = _merged(common, call)
        self.own: KubeflowJson = self._content.pop("kubeflow", {})
        check_fields(self.own, _FIELDS, "kubeflow.")
        self.do: str = self._content.get("do", "step")
        self.role: str = self.own.get("role", "")
        self.retries: int = self.own.get("retries", 0)
        self.is_caught: bool = self.own.get("caught", False)

    def request(self, variables: dict[str, str]) -> TaskRequest:
        """Return what ``python -m levada`` would be asked to do. Raises UsageError."""
        content = {**self._content, "run_id": self._run_id(variables)}
        if "step" in content:
            content["step"] = step = self._step(content["step"])
            content.setdefault("node", step["function"])  # as most are called
        item = str(self._values.get(self.own.get("item", ""), ""))
        content["map_index"] = index_path(item, "the item")
        content["attempts"], content["caught"] = self.retries + 1, self.is_caught
        if self.own.get("parameters"):
            content["params"] = self._parameters()
        if not content["map_index"]:
            # In a loop KFP's local runner gives the item for whatever comes from outside of it.
            content["inputs"] = self._inputs()
        content["engine"] = {
            "name": "kubeflow",
            **json_object(variables.get("LEVADA_ENGINE") or "{}", "LEVADA_ENGINE"),
        }
        given: Any = content
        return TaskRequest(given, variables)

    def _step(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the step with the digest of its code and what that imports.

        A call only names the step: its component knows the rest, of all steps that it runs.
        """
        if "key" not in given:
            return given
        key, known = given["key"], self.own.get("steps", {})
        if key not in known:
            raise UsageError(f"the container knows no step {key}: it is not in `kubeflow.steps`")
        module, _, function = key.partition(":")
        rest = {name: value for name, value in given.items() if name != "key"}
        return {"module": module, "function": function, "imports": [], **rest, **known[key]}

    def _run_id(self, variables: dict[str, str]) -> str:
        found = str(self._content.get("run_id", ""))
        if not found or "{{" in found:  # a cluster does not fill it in
            found = variables.get("LEVADA_RUN_ID", "")
        if not found:
            raise UsageError("Kubeflow did not say which run this is: LEVADA_RUN_ID is not set")
        return found

    def _inputs(self) -> dict[str, Any]:
        """Return the trees of inputs that KFP gives; the others are to be read from the store."""
        takes = self.own.get("takes", {})
        names = [name for name, kind in takes.items() if kind == PARAMETER]
        texts = {name: str(self._values.get(name) or "") for name in names}
        return {name: json.loads(text) for name, text in texts.items() if text}

    @property
    def has_no_item(self) -> bool:
        """Whether it is in a loop over nothing, and has nothing to do."""
        return bool(self._values.get(self.own.get("item")) == NO_ITEM)

    @property
    def failure(self) -> str:
        """How the program failed, as KFP says it in the final status of what it ran in."""
        status = self._values.get(STATUS)
        error = status.get("error") if isinstance(status, dict) else None
        message = str(error.get("message") or "") if isinstance(error, dict) else ""
        program = self.own.get("program", "")
        said = f"the program failed: KFP's log of the task `{program}` has what it printed"
        return f"{said} ({message.strip()})" if message.strip() else said

    def _parameters(self) -> dict[str, Any]:
        kinds = self.own.get("parameters", {})
        missing = [name for name in kinds if name not in self._values]
        if missing:
            raise UsageError(f"the run was not given {', '.join(missing)}")
        return {name: exact(self._values[name], kind) for name, kind in kinds.items()}


def _merged(common: dict[str, Any], call: dict[str, Any]) -> dict[str, Any]:
    """Return what all tasks of a component have with what the call of one has, one level deep."""
    found = dict(common)
    for name in ORDERED:
        if isinstance(call.get(name), list):
            pairs = [p for each in call[name] if isinstance(each, dict) for p in each.items()]
            call = {**call, name: dict(pairs)}
    if isinstance(call.get("step"), str):
        call = {**call, "step": {"key": call["step"]}}
    for name, value in call.items():
        both = isinstance(found.get(name), dict) and isinstance(value, dict)
        found[name] = {**found[name], **value} if both else value
    return found


def unescaped(value: Any) -> Any:
    """Return a JSON value as it was before the compiler escaped it, and KFP made numbers doubles.

    In its texts is escaped what KFP, Argo or Kubernetes would replace.
    """
    if isinstance(value, str):
        return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value)
    if isinstance(value, dict):
        return {unescaped(name): unescaped(item) for name, item in value.items()}
    if isinstance(value, list):
        return [unescaped(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def exact(value: Any, kind: str) -> Any:
    """A parameter as the run was given it, from what KFP made of it: its numbers are doubles."""
    if kind == "json":
        try:
            return json.loads(value) if isinstance(value, str) else value
        except (ValueError, RecursionError) as error:
            raise UsageError(f"a parameter is not JSON, which it is given as: {error}") from None
    if kind.startswith("list[") and isinstance(value, list):
        return [exact(item, kind[5:-1]) for item in value]
    if kind == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


class KubeflowCommand:
    """What a task runs: ``python -m levada`` does what is asked, and this gives KFP the answer.

    ``output`` is what to write as the executor output.
    """

    def __init__(self, task: Task, variables: dict[str, str]) -> None:
        """Settle them. Raises UsageError, ProjectError and StoreError."""
        self._task = task
        self._command = command.Command(task.request(variables), variables, unreached=(InputError,))
        self.output: dict[str, Any] = {}

    def run(self) -> int:
        """Run it; gives the exit code."""
        actions = {
            STAGE: self._stage,
            COLLECT: self._collect,
            FAILURE: self._note_program_failed,
            PUBLISH: self._publish,
        }
        return self._command.run(actions.get(self._task.role, self._act))

    def is_cut_off(self) -> bool:
        """Whether something failed that keeps this task from being reached."""
        index = self._command.request.map_index
        nodes, own = self._command.nodes, self._task.own
        ordered = [(each["nodes"], each["depth"]) for each in own.get("ordered", ())]
        if any(nodes.failed_before(names, index[:depth]) for names, depth in ordered):
            return True
        unless = ", ".join(map(repr, own.get("unless", ())))
        if not unless:
            return False
        is_cut_off: bool = expressions.truth(f"failed({unless})", self._command.scope())
        return is_cut_off

    def is_final(self) -> bool:
        """Whether there is no attempt after this one."""
        return len(self._attempts()) > self._task.retries

    def _attempts(self) -> list[int]:
        return records.attempts(self._command.store, *self._command.place)

    def is_given_up(self) -> bool:
        """Whether this is a retry after a permanent error; it is recorded as one that is not run.

        KFP's ``retryPolicy`` cannot tell failures apart. A multiple of all attempts that it makes
        is the end of them: what comes then was asked for by somebody, and is run.
        """
        numbers, store = self._attempts(), self._command.store
        is_first = len(numbers) % (self._task.retries + 1) == 0
        if is_first or self._task.role == FAILURE:
            return False
        path = records.attempt_path(*self._command.place, numbers[-1])
        record = records.read_record(store, path) or {}
        error = record.get("error") or {}
        if not error.get("permanent"):
            return False
        said = f"not run again: attempt {numbers[-1]} failed for good ({error['type']}: "
        said += f"{error['message']}), and KFP retries after any failure"
        sys.stderr.write(said + "\n")
        now = records.timestamp()
        times = {"started": now, "finished": now, "seconds": 0.0}
        own = {"attempt": numbers[-1] + 1, "resources": {}, "warnings": [said]}
        records.write_record(store, {**record, **times, **own})
        return True

    # ---------------------------------------------------------------- what KFP is given

    def _act(self) -> int:
        code = self._command.act()
        gives: dict[str, Callable[[Any], None]] = {
            "step": self._give_record,
            "decide": self._give_side,
            "items": self._give_indexes,
            "outputs": self._give_returned,
        }
        if code == command.DONE and self._task.do in gives:
            gives[self._task.do](self._command.answer)
        return code

    def _give_record(self, answer: Any) -> None:
        self._report(records.read_document(self._command.store, answer["record"]) or {})

    def _give_side(self, answer: Any) -> None:
        self._give("then" if answer else "otherwise")

    def _give_indexes(self, answer: Any) -> None:
        self._give([item["index"] for item in answer] or nothing(self._task)[OUTPUT])

    def _give_returned(self, answer: Any) -> None:
        shown = {artifact_name(name): value for name, value in answer["outputs"].items()}
        given = self._report_of({})
        self.output = {
            "artifacts": {n: given.entry(n, shown[n]) for n in given.names if n in shown}
        }
        if shown:
            sys.stdout.write(f"{RETURNED}{json.dumps(answer['return'])}\n")

    def _report(self, record: dict[str, Any]) -> None:
        """Give KFP what a record has."""
        report = self._report_of(record)
        self.output = {"artifacts": report.artifacts()}
        self._give_all(report.parameters(self._shares()))

    def _report_of(self, record: dict[str, Any]) -> Report:
        secrets = self._command.secrets.values()
        return Report(self._task.input, record, self._command.store, secrets)

    def _shares(self) -> dict[str, int]:
        """Return the bytes that each output may have in KFP's list of what all items gave."""
        collected = self._task.own.get("collected", {})
        if not collected:
            return {}
        *outer, loop = self._command.request.loops
        scope = self._command.scope(outer)
        found = expressions.iterations(loop.target, loop.items, loop.where, scope)
        count = sum(1 for _ in found)
        return {name: size // count for name, size in collected.items()}

    def _give(self, value: object) -> None:
        self._give_all({OUTPUT: value})

    def _give_all(self, values: dict[str, Any]) -> None:
        if values:
            self.output["parameterValues"] = values

    # ---------------------------------------------------------------- container steps

    def _publish(self) -> int:
        record = records.latest_success(self._command.store, *self._command.place)
        if record is None:
            sys.stderr.write("not reached: the program has left no record of a success\n")
            return command.FAILED
        self._report(record)
        return command.DONE

    def _note_program_failed(self) -> int:
        """Write the record of a program that failed: what would have collected has not run."""
        from levada.engine.lost import PROGRAM_FAILED, record_lost

        if self._attempts():
            return command.DONE
        record = record_lost(
            self._command.step_request(),
            self._command.store,
            looked_up=None,
            status=1 << 8,
            end=PROGRAM_FAILED,
            started=time_ns(),
            message=self._task.failure,
        )
        self._command.note_failure(record)
        sys.stderr.write(f"{self._task.failure}\n")
        return command.DONE

    def _stage(self) -> int:
        """Hand the inputs of a container step to KFP, which brings them to its program.

        Not where the cache has the outputs: then they are those of the step from now on.
        """
        from shutil import move

        folder = self._command.program_folder = paths.new_folder()
        os.environ[programs.RAN_IN] = folder  # the key of the cache is as at the end
        code = self._command.act()
        is_cached = self._command.answer is not None
        is_staged = code == command.DONE and not is_cached
        for name, path in self._task.own.get("files", {}).items() if is_staged else ():
            os.makedirs(os.path.dirname(path), exist_ok=True)
            move(f"{folder}/in/{name}", path)
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
        program = self._task.own.get("program")
        if not program or not os.path.isabs(file):
            return
        own, name = os.path.split(file)
        folder = os.path.join(os.path.dirname(own), program)
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o777)  # noqa: S103  the program may be another user
        part = self._command.request.step.get("container")
        listed = {
            each: {"artifacts": [{"name": each, "uri": f"{folder}/{each}", "metadata": {}}]}
            for each in (part["outputs"] if part else ())
        }
        with open(os.path.join(folder, name), "w", encoding="utf-8") as output:
            json.dump({"artifacts": listed}, output)

    def _collect(self) -> int:
        """Write the record, with what the program wrote and KFP brought here."""
        folder = paths.new_folder()
        os.mkdir(f"{folder}/out")
        for name, path in self._task.own.get("files", {}).items():
            if os.path.lexists(path):
                os.symlink(path, f"{folder}/out/{name}")
        os.environ[programs.RAN_IN] = folder  # where it would be elsewhere
        return self._command.act()


def nothing(task: Task) -> dict[str, Any]:
    """What a task gives that does nothing: what makes those that come after do nothing either.

    Where there is no item to decide about, a merge of both sides still has to find one.
    """
    if task.do == "decide":
        return {OUTPUT: "otherwise" if task.has_no_item else "neither"}
    if task.do == "items":
        return {OUTPUT: [NO_ITEM] if task.own.get("never_empty") else []}
    return dict.fromkeys(parameter_names(task.input), "")


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
    if task.has_no_item:
        sys.stderr.write(f"{NO_ITEMS}\n")
        return _without_result(task)
    return _caught(task) if task.is_caught else _attempt(task)


def _attempt(task: Task) -> int:
    found = KubeflowCommand(task, dict(os.environ))
    if found.is_cut_off():
        firsts = [each["nodes"][0] for each in task.own.get("ordered", ())]
        nodes = ", ".join(task.own.get("unless") or firsts)
        sys.stderr.write(f"not reached: one of {nodes} failed\n")
        return _without_result(task) if task.is_caught else command.PERMANENT
    if task.role == END:
        return command.DONE
    if found.is_given_up():
        return command.PERMANENT
    code = found.run()
    if code == command.DONE:
        write_output(task, found.output)
    return code


def _caught(task: Task) -> int:
    """Run it in a child, so that a failure is one that a handler can see, whatever its kind.

    This process opens the store only after that: one that was used before would hang in the child.
    """
    code = _in_child(lambda: _attempt(task))
    if code in (command.DONE, command.TERMINATED, command.INTERRUPTED):
        return code
    found = KubeflowCommand(task, dict(os.environ))
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
