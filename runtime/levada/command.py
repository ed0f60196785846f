"""What ``python -m levada`` does: run a step of a run, decide, list items, collect outputs."""

from __future__ import annotations

import os
import sys
from itertools import islice
from time import time_ns

from levada import (
    cache,
    expressions,
    failures,
    item_labels,
    programs,
    records,
    run_end,
    runner,
    stored_attempt,
    stored_run,
    values,
)
from levada.artifact import Artifact
from levada.attempt import Attempt, shown_artifact
from levada.errors import UsageError
from levada.program_modules import ProgramModules
from levada.project import Project
from levada.redaction import redact_json, redact_text, secret_variables
from levada.store import StoreError, open_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, TypeVar

    from levada.expressions import Scope, Variable
    from levada.record_types import ErrorPart, Record
    from levada.task_request import Loop, TaskRequest

    T = TypeVar("T")

DONE, FAILED, PERMANENT, TERMINATED, INTERRUPTED = 0, 1, 65, 143, 130
#: The cache has the outputs, and what would follow in this pod must not run.
CACHED = 66


class Command:
    """One command for one run, its place in the store settled and ``run.json`` written.

    An error of one of the types in ``unreached`` says that the task was not reached: it is shown,
    and no record is written of it.

    ``answer`` is what the task gives, None if there is nothing to say; it goes to the last line of
    stdout. ``program_folder`` is where a container step's inputs are staged. ``secrets`` are the
    values of the run's secrets that this process has, by variable.
    """

    def __init__(
        self,
        request: TaskRequest,
        variables: dict[str, str],
        unreached: tuple[type[BaseException], ...] = (),
    ) -> None:
        """Settle them. Raises UsageError, ProjectError and StoreError."""
        self.request = request
        self.answer: Any = None
        self.unfinished_line = False
        self.program_folder = programs.FOLDER
        self._unreached = unreached
        self._mapped_before: list[tuple[int, ...]] = []
        self._pinned = variables.get("LEVADA_CODE_PINNED") == "1"
        self._project = _project(request)
        self.store = open_store(_store_url(request, self._project))
        own = (request.step.get("settings") or {}).get("secrets") or ()
        self.secrets = secret_variables([*own, *request.secrets], variables)
        self._run = stored_run.register(
            self.store,
            request.pipeline,
            request.run_id,
            request.params,
            engine=request.engine,
            source=request.source,
            project=self._project.root,
            secrets=self.secrets,
        )
        self._warn_of_store()
        self._parameters = self._run["parameters"]["trees"]
        if request.params is not None:
            self._parameters = {name: values.encode(v) for name, v in request.params.items()}
        modules = ProgramModules(self._project, self.store, request.pipeline_file)
        values.set_program(modules)
        sys.path[:0] = [folder for folder in self._project.search if folder not in sys.path]

    def run(self, action: Callable[[], int] | None = None) -> int:
        """Do what the request says, or ``action`` in its place; gives the exit code.

        First come the values that the request has checked. Whatever fails has a record.
        """
        try:
            with runner.Signals(restore=False):
                if self.request.checks and self.request.do != "items":
                    self._evaluate_checks(self.scope())
                return (action or self.act)()
        except (UsageError, StoreError):
            raise
        except self._unreached as error:
            _say(f"not reached: {redact_text(str(error), self.secrets.values())}")
            return FAILED
        except BaseException as error:  # noqa: BLE001  whatever an expression raises, and signals
            return self._fail(error)
        finally:
            self._warn_of_store()

    def _warn_of_store(self) -> None:
        for text in self.store.take_warnings():
            _say(f"warning: {text}")

    def act(self) -> int:
        """Do what the request says; gives the exit code. For the action of ``run``."""
        tasks = {
            "step": self._step,
            "decide": self._decide,
            "items": self._items,
            "outputs": self._outputs,
            "check": self._check,
            "raise": self._raise,
        }
        return tasks[self.request.do]()

    @property
    def place(self) -> tuple[str, str, str, tuple[int, ...]]:
        """The pipeline, the run, the node and the map index of the task, as records have them."""
        request = self.request
        return request.pipeline, request.run_id, request.node or "outputs", request.map_index

    @property
    def nodes(self) -> stored_run.StoredNodes:
        """What the run's nodes have left in the store."""
        return stored_run.StoredNodes(self.store, self.request.pipeline, self.request.run_id)

    # ---------------------------------------------------------------- the tasks

    def _step(self) -> int:
        request = self.step_request()
        record = runner.take_from_cache(request) if self.request.look_up else None
        if self.request.stage and record is None:
            runner.stage(request, self.program_folder)
            return DONE
        if record is None:
            attempt = runner.Run(request)
            record = attempt.run(echo=True, ends_process=True)
            self.unfinished_line = attempt.unfinished_line
        if record["status"] != records.SUCCEEDED:
            self.note_failure(record)
            return _exit_code(record["error"])
        if record["cache"]["hit"]:
            for warning in record["warnings"]:
                _say(f"warning: {warning}")
            _say(f"cached: {cache.explain(record, self.store)[0]['text']}")
        self.answer = self._result(record, request.folder)
        if self.request.ends_pod and record["cache"]["hit"]:
            stored_attempt.tell_result(self.answer)
            return CACHED
        return DONE

    def _decide(self) -> int:
        self.answer = expressions.truth(self.request.expression, self.scope())
        self._note_success(self.answer)
        return DONE

    def _items(self) -> int:
        pipeline, run_id, node, outer = self.place
        self._mapped_before = records.map_indexes(self.store, pipeline, run_id, node)
        scope, again = self._here()
        found = list(self._iterations(scope, len(outer), outer, is_repeated=again))
        self.answer = [{"index": index, "label": label} for index, label in found]
        self._note_success(len(found))
        return DONE

    def _outputs(self) -> int:
        scope, results = self.scope(), self.request.outputs
        kind = self.request.returns if results else "none"
        trees = {name: expressions.tree(text, scope) for name, text in results.items()}
        run_end.write_success(self.store, self._run, trees, kind, self.secrets.values())
        shown = {name: values.display(tree, self.store) for name, tree in trees.items()}
        shown = redact_json(shown, self.secrets.values())
        answer = records.returned(kind, list(shown), list(shown.values()))
        self.answer = {"outputs": shown, "return": answer}
        return DONE

    def _check(self) -> int:
        """Do nothing more: the values that may raise have been evaluated."""
        self.answer = True
        self._note_success(value=True)
        return DONE

    def _raise(self) -> int:
        scope, request = self.scope(), self.request
        if request.handled:
            error = expressions.handled(request.handled, scope)
        else:
            given = [expressions.value(text, scope) for text in request.arguments]
            error = failures.raised(request.classes, given)
        return self._record_failure(error)

    def _evaluate_checks(self, scope: Scope) -> None:
        """Evaluate the values that Python has evaluated before it comes to this node."""
        for name in self.request.checks:
            expressions.named(name, scope)

    # ---------------------------------------------------------------- the step

    def step_request(self) -> runner.StepRequest:
        """Return the request with its inputs computed: what the attempt of the step is given."""
        scope, is_repeated = self._here()
        given = self.request
        request = self._attempt_request(self._step_json())
        request.label = self._label(scope, given.map_index, is_repeated=is_repeated)
        inputs = {
            name: given.inputs[name] if name in given.inputs else expressions.tree(text, scope)
            for name, text in {**dict.fromkeys(given.inputs, ""), **given.sources}.items()
        }
        request.inputs = expressions.spread(inputs, self.store)
        request.sources = dict(given.sources)
        return request

    def _step_json(self) -> dict[str, Any]:
        given = self.request.step
        step: dict[str, Any] = {
            "module": given["module"],
            "function": given["function"],
            "source_roots": list(self._project.search),
            "code": given.get("code"),
            "imports": given.get("imports") or [],
            "outputs": given.get("outputs") or [],
            "settings": given.get("settings") or {},
            "warnings": [],
        }
        part = given.get("container")
        if part is not None:
            return step | {"container": part, "code": programs.digest(part), "imports": []}
        if not (self._pinned and step["code"] and given.get("imports") is not None):
            self._read_code(step)
        return step

    def _read_code(self, step: dict[str, Any]) -> None:
        """Take the code as it is here: the cache must never answer for another."""
        from levada.code import Code

        name, project = step["module"], self._project
        path = project.locate(name) or project.environment.locate(name)
        compiled = step["code"]
        step["code"], step["read_at"] = None, time_ns()
        if path is None:
            return
        try:
            files = step["settings"].get("files") or ()
            found = Code(self._project).step(path, step["function"], files)
        except (SyntaxError, LookupError, OSError):
            return  # importing it says what is wrong
        step["code"], step["imports"] = found.digest, list(found.imports)
        step["file"] = self._project.relative(path)
        if compiled and not found.digest.startswith(compiled):
            text = f"the code here ({found.digest}) is not what was compiled ({compiled})"
            step["warnings"].append(text)

    def _attempt_request(
        self, step: dict[str, Any], item: tuple[int, ...] | None = None
    ) -> runner.StepRequest:
        """Return a request without inputs, for this task or for one item that it lists."""
        pipeline, run_id, node, map_index = self.place
        map_index = map_index if item is None else item
        taken = records.attempts(self.store, pipeline, run_id, node, map_index)
        attempt = self.request.attempt
        if attempt in taken:  # the engine starts it over: records are never changed
            attempt = taken[-1] + 1
        return runner.StepRequest(
            pipeline=pipeline,
            run_id=run_id,
            node=node,
            map_index=map_index,
            attempt=attempt,
            warnings=step.pop("warnings", None),
            step=step,
            parameters=self._parameters,
            store=self.store.url,
            engine=self.request.engine,
            git=self._run.get("git"),
            project=self._project.root,
            pipeline_file=self.request.pipeline_file,
            secrets=self.request.secrets,
        )

    def _result(self, record: Record, folder: str) -> dict[str, Any]:
        returned = Artifact.from_json(record["returns"])
        metrics = {metric["name"]: metric["value"] for metric in record["metrics"]}
        return {
            "outputs": {name: entry["display"] for name, entry in record["outputs"].items()},
            "return": redact_json(shown_artifact(returned, self.store), self.secrets.values()),
            "digest": returned.digest,
            "record": records.record_path(folder),
            **({"metrics": metrics} if metrics else {}),
        }

    # ---------------------------------------------------------------- loops

    def _new_scope(self) -> Scope:
        definitions = self.request.values
        return expressions.Scope(self._parameters, self.nodes, self.store, definitions=definitions)

    def scope(self, loops: Sequence[Loop] | None = None) -> Scope:
        """Return the scope of this iteration of the loops around the node, or of the outer ones."""
        scope = self._new_scope()
        loops = self.request.loops if loops is None else loops
        for loop, wanted in zip(loops, self.request.map_index, strict=False):
            found = expressions.iterations(*loop.clauses, scope, loop.named)
            variables = next(islice(found, wanted, None), None)
            if variables is None:
                raise UsageError(f"`{loop.target} in {loop.items}` has no item {wanted}")
            scope = scope.within(variables)
        return scope

    def _here(self) -> tuple[Scope, bool]:
        """Return the scope of this iteration, and whether another one has the same label."""
        scope, is_repeated = self._new_scope(), False
        for loop, wanted in zip(self.request.loops, self.request.map_index, strict=False):
            found = list(expressions.iterations(*loop.clauses, scope, loop.named))
            if wanted >= len(found):
                raise UsageError(f"`{loop.target} in {loop.items}` has no item {wanted}")
            is_repeated = is_repeated or item_labels.repeated(found)[wanted]
            scope = scope.within(found[wanted])
        return scope, is_repeated

    def _label(self, scope: Scope, index: tuple[int, ...], *, is_repeated: bool) -> str:
        own = index if is_repeated else ()
        return item_labels.label(scope.variables, self.store, self.secrets.values(), own)

    def _known_label(self) -> str:
        """Return the label of this iteration, if nothing that it takes has failed."""
        if not self.request.map_index:
            return ""
        try:
            scope, is_repeated = self._here()
            return self._label(scope, self.request.map_index, is_repeated=is_repeated)
        except Exception:  # noqa: BLE001  the record is of what failed first
            return ""

    def _iterations(
        self, scope: Scope, depth: int, index: tuple[int, ...], *, is_repeated: bool
    ) -> Iterator[tuple[str, str]]:
        """Give the index path and the label of each innermost iteration, in order."""
        if depth == len(self.request.loops):
            label = self._label(scope, index, is_repeated=is_repeated)
            yield ".".join(map(str, index)), label
            return
        loop = self.request.loops[depth]
        is_last = depth + 1 == len(self.request.loops)
        is_own = is_last and not loop.only

        def listed() -> list[dict[str, Variable]]:
            if is_own:
                self._evaluate_checks(scope)
            return list(expressions.iterations(*loop.clauses, scope, loop.named))

        found = self._of_item(listed, index, is_own)
        repeated = item_labels.repeated(found)
        for number, variables in enumerate(found):
            inner, path = scope.within(variables), (*index, number)
            if all(self._stays(loop, n, inner, path, is_last) for n in range(len(loop.only))):
                again = is_repeated or repeated[number]
                yield from self._iterations(inner, depth + 1, path, is_repeated=again)

    def _stays(
        self, loop: Loop, n: int, scope: Scope, path: tuple[int, ...], is_last: bool
    ) -> bool:
        """Whether an item passes an ``if``; the last one of all is what the node decides."""
        is_own = is_last and n + 1 == len(loop.only)

        def truth() -> list[bool]:
            if is_own:
                self._evaluate_checks(scope)
            return [expressions.truth(loop.only[n], scope)]

        found = self._of_item(truth, path, is_own)
        return any(found)

    def _of_item(
        self, evaluate: Callable[[], list[T]], index: tuple[int, ...], is_own: bool
    ) -> list[T]:
        """Evaluate; with ``fail_items`` an error is one of this item alone, and gives nothing.

        Only the node's own clause is recorded: for what stands before it another node has done so.
        """
        if not self.request.fail_items:
            return evaluate()
        try:
            found = evaluate()
        except (UsageError, StoreError):
            raise
        except Exception as error:  # noqa: BLE001  whatever an expression raises
            if is_own:
                self._fail(error, index)
            return []
        if is_own and index in self._mapped_before:
            self._note_success(len(found), index)
        return found

    # ---------------------------------------------------------------- records of the other tasks

    def _note_success(self, value: object, item: tuple[int, ...] | None = None) -> None:
        """Write a record only where an attempt failed before: it has to count no more."""
        request = self._attempt_request(self._task_json(), item)
        if request.attempt > 1:
            attempt = Attempt(request, self.store)
            attempt.returns = values.save(value, self.store)
            attempt.write(records.SUCCEEDED)

    def _fail(self, error: BaseException, item: tuple[int, ...] | None = None) -> int:
        """Write the record of what failed before a step began; the same would happen again."""
        found = failures.describe(error, [*self._project.search, self._project.root])
        return self._record_failure(found, item)

    def _record_failure(self, error: ErrorPart, item: tuple[int, ...] | None = None) -> int:
        attempt = Attempt(self._attempt_request(self._task_json(), item), self.store)
        if item is None:
            attempt.request.label = self._known_label()
        attempt.error = dict(error)
        cancelled = attempt.error["kind"] == "cancelled"
        attempt.error["permanent"] = not cancelled
        status = records.CANCELLED if cancelled else records.FAILED
        record = attempt.write(status)
        _say(f"{record['error']['type']}: {record['error']['message']}")
        self.note_failure(record)
        return _exit_code(attempt.error)

    def note_failure(self, record: Record) -> None:
        """Write the end of the run where this failure is it: not handled, and the last attempt."""
        error = record["error"]
        if record["status"] != records.CANCELLED:
            last = self.request.attempts
            is_last = not last or self.request.attempt >= last  # the engine's count of attempts
            is_last = is_last or bool(error and error["permanent"])
            if self.request.is_caught or not is_last:
                return
        run_end.write_failure(self.store, self._run, record)

    def _task_json(self) -> dict[str, Any]:
        step = self.request.step
        module, function = step.get("module") or "levada", step.get("function") or self.request.do
        return {"module": module, "function": function, "settings": {}, "code": None}


def _exit_code(error: ErrorPart) -> int:
    if error["kind"] == "cancelled":
        return INTERRUPTED if error["type"] == "KeyboardInterrupt" else TERMINATED
    return PERMANENT if error["permanent"] else FAILED


def _project(request: TaskRequest) -> Project:
    """Settle the project and go there: relative paths mean the same on every engine."""
    given = request.store
    if given and "://" not in given:
        os.environ["LEVADA_STORE"] = os.path.abspath(os.path.expanduser(given))
    root = os.path.abspath(request.project)
    if not os.path.isdir(root):
        raise UsageError(f"the project's folder {root} is not there")
    os.chdir(root)
    if request.result:
        _check_result(request.result)
    paths = [os.path.join(root, path) for path in request.paths]
    return Project(root, [*paths, root, os.path.join(root, "src")])


def _check_result(result: str) -> None:
    """Raise UsageError if the answer could not be written there once the task is done."""
    import errno

    folder = os.path.dirname(os.path.abspath(result))
    problem = 0
    if os.path.isdir(result):
        problem = errno.EISDIR
    elif not os.path.isdir(folder):
        problem = errno.ENOENT
    elif not os.access(result if os.path.exists(result) else folder, os.W_OK):
        problem = errno.EACCES
    if problem:
        raise UsageError(f"the field `result`: {result}: {os.strerror(problem)}")


def _store_url(request: TaskRequest, project: Project) -> str:
    given = request.store
    if given:
        return given if "://" in given else os.environ["LEVADA_STORE"]
    configured = project.settings.get("store")
    return str(configured) if configured else os.path.join(project.root, ".levada")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
