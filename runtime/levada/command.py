"""What ``python -m levada`` does: run a step of a run, decide, list items, collect outputs."""

from __future__ import annotations

import os
import sys
from time import time_ns

from levada import (
    cache,
    expressions,
    failures,
    item_labels,
    programs,
    records,
    runner,
    stored_attempt,
    stored_run,
    values,
)
from levada.artifact import Artifact
from levada.attempt import Attempt, shown_artifact
from levada.errors import UsageError
from levada.project import Project
from levada.redaction import redact_json, secret_variables
from levada.store import StoreError, open_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, TypeVar

    from levada.arguments import Arguments, LoopArguments
    from levada.expressions import Scope, Variable

    T = TypeVar("T")

DONE, FAILED, PERMANENT, TERMINATED, INTERRUPTED = 0, 1, 65, 143, 130
#: The cache has the outputs, and what would follow in this pod must not run.
CACHED = 66


class Command:
    """One command for one run, its place in the store settled and ``run.json`` written.

    ``answer`` is what goes to the last line of stdout, None if there is nothing to say.
    """

    def __init__(self, arguments: Arguments, variables: dict[str, str]) -> None:
        """Settle them. Raises UsageError, ProjectError and StoreError."""
        self.arguments = arguments
        self.answer: Any = None
        self.unfinished_line = False
        self.program_folder = programs.FOLDER
        self._mapped_before: list[tuple[int, ...]] = []
        self._pinned = variables.get("LEVADA_CODE_PINNED") == "1"
        self._project = _project(arguments)
        self._store = open_store(_store_url(arguments, self._project))
        self._pipeline = arguments.needed("pipeline")
        self._run_id = arguments.needed("run-id")
        own = (arguments.object("settings") or {}).get("secrets") or ()
        self._secrets = [*secret_variables([*own, *arguments.secrets], variables).values()]
        given = arguments.object("params")
        self._run = stored_run.register(
            self._store,
            self._pipeline,
            self._run_id,
            given,
            engine=arguments.engine,
            source=arguments.source,
            project=self._project.root,
            secrets=self._secrets,
        )
        self._parameters = self._run["parameters"]["trees"]
        if given is not None:
            self._parameters = {name: values.encode(value) for name, value in given.items()}
        values.set_project_roots(self._project.search)
        sys.path[:0] = [folder for folder in self._project.search if folder not in sys.path]

    def run(self) -> int:
        """Do it; gives the exit code."""
        modes = {
            "step": self._step,
            "decide": self._decide,
            "items": self._items,
            "outputs": self._outputs,
            "check": self._check,
            "raise": self._raise,
        }
        try:
            with runner.Signals(restore=False):
                if self.arguments.checks and self.arguments.mode != "items":
                    self._evaluate_checks(self._scope())
                return modes[self.arguments.mode]()
        except (UsageError, StoreError):
            raise
        except BaseException as error:  # noqa: BLE001  whatever an expression raises, and signals
            return self._fail(error)

    # ---------------------------------------------------------------- the modes

    def _step(self) -> int:
        arguments, request = self.arguments, self._step_request()
        record = runner.take_from_cache(request) if arguments.look_up else None
        if arguments.stage and record is None:
            runner.stage(request, self.program_folder)
            return DONE
        if record is None:
            attempt = runner.Run(request)
            record = attempt.run(echo=True, ends_process=True)
            self.unfinished_line = attempt.unfinished_line
        if record["status"] != records.SUCCEEDED:
            return _exit_code(record["error"])
        if record["cache"]["hit"]:
            for warning in record["warnings"]:
                _say(f"warning: {warning}")
            _say(f"cached: {cache.explain(record, self._store)[0]['text']}")
        self.answer = self._result(record, request.folder)
        if arguments.ends_pod and record["cache"]["hit"]:
            stored_attempt.tell_result(self.answer)
            return CACHED
        return DONE

    def _decide(self) -> int:
        self.answer = expressions.truth(self.arguments.needed("expression"), self._scope())
        self._note_success(self.answer)
        return DONE

    def _items(self) -> int:
        node = self.arguments.needed("node")
        self._mapped_before = records.map_indexes(self._store, self._pipeline, self._run_id, node)
        found = list(self._iterations(self._new_scope(), 0, (), ""))
        self.answer = [{"index": index, "label": label} for index, label in found]
        self._note_success(len(found))
        return DONE

    def _outputs(self) -> int:
        scope = self._scope()
        results = self.arguments.results
        kind = (self.arguments.option("returns") or "value") if results else "none"
        trees = {name: expressions.tree(text, scope) for name, text in results.items()}
        document = {
            "schema": records.OUTCOME_SCHEMA,
            "pipeline": self._pipeline,
            "run_id": self._run_id,
            "status": records.SUCCEEDED,
            "finished": records.timestamp(),
            "seconds": self._seconds(),
            "outputs": list(trees.values()),
            "names": list(trees),
            "kind": kind,
            "steps": [],
            "error": None,
            "resources": {},
        }
        records.write_outcome(self._store, redact_json(document, self._secrets))
        shown = {name: values.display(tree, self._store) for name, tree in trees.items()}
        answer = records.returned(kind, list(shown), list(shown.values()))
        self.answer = {"outputs": shown, "return": answer}
        return DONE

    def _check(self) -> int:
        """Do nothing more: the values that may raise have been evaluated."""
        self.answer = True
        self._note_success(value=True)
        return DONE

    def _raise(self) -> int:
        scope, arguments = self._scope(), self.arguments
        guard = arguments.option("handled")
        if guard:
            error = expressions.handled(guard, scope)
        else:
            given = [expressions.value(text, scope) for text in arguments.raised_with]
            error = failures.raised(arguments.classes, given)
        return self._record_failure(error)

    def _evaluate_checks(self, scope: Scope) -> None:
        """Evaluate the values that Python has evaluated before it comes to this node."""
        for name in self.arguments.checks:
            expressions.named(name, scope)

    # ---------------------------------------------------------------- the step

    def _step_request(self) -> runner.StepRequest:
        scope = self._scope()
        request = self._request(self._step_json())
        texts = self.arguments.inputs
        given = {name: self._input(name, text, scope) for name, text in texts.items()}
        request.inputs = expressions.spread(given, self._store)
        request.sources = dict(texts)
        return request

    def _input(self, _name: str, text: str, scope: Scope) -> Any:
        """Give an input as a tree; an engine may have it already."""
        return expressions.tree(text, scope)

    def _step_json(self) -> dict[str, Any]:
        arguments = self.arguments
        step: dict[str, Any] = {
            "module": arguments.module,
            "function": arguments.function,
            "source_roots": list(self._project.search),
            "code": arguments.option("code"),
            "imports": arguments.names("imports") or [],
            "outputs": arguments.names("outputs") or [],
            "settings": arguments.object("settings") or {},
            "warnings": [],
        }
        part = arguments.object("container")
        if part is not None:
            return step | {"container": part, "code": programs.digest(part), "imports": []}
        if not (self._pinned and step["code"] and arguments.names("imports") is not None):
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

    def _request(
        self, step: dict[str, Any], item: tuple[int, ...] | None = None
    ) -> runner.StepRequest:
        arguments = self.arguments
        node = arguments.option("node") or "outputs"
        map_index = () if arguments.mode == "items" else arguments.map_index
        map_index = map_index if item is None else item
        taken = records.attempts(self._store, self._pipeline, self._run_id, node, map_index)
        attempt = arguments.attempt
        if attempt in taken:  # the engine starts it over: records are never changed
            attempt = taken[-1] + 1
        return runner.StepRequest(
            pipeline=self._pipeline,
            run_id=self._run_id,
            node=node,
            map_index=map_index,
            attempt=attempt,
            warnings=step.pop("warnings", None),
            step=step,
            parameters=self._parameters,
            store=self._store.url,
            engine=arguments.engine,
            git=self._run.get("git"),
            project=self._project.root,
            secrets=self.arguments.secrets,
        )

    def _result(self, record: dict[str, Any], folder: str) -> dict[str, Any]:
        returned = Artifact.from_json(record["returns"])
        metrics = {metric["name"]: metric["value"] for metric in record["metrics"]}
        return {
            "outputs": {name: entry["display"] for name, entry in record["outputs"].items()},
            "return": shown_artifact(returned, self._store),
            "digest": returned.digest,
            "record": records.record_path(folder),
            **({"metrics": metrics} if metrics else {}),
        }

    # ---------------------------------------------------------------- loops

    def _new_scope(self) -> Scope:
        nodes = stored_run.StoredNodes(self._store, self._pipeline, self._run_id)
        definitions = self.arguments.definitions
        return expressions.Scope(self._parameters, nodes, self._store, definitions=definitions)

    def _scope(self, loops: Sequence[LoopArguments] | None = None) -> Scope:
        """Give the scope of this iteration of the loops around the node, or of the outer ones."""
        scope = self._new_scope()
        loops = self.arguments.loops if loops is None else loops
        for loop, wanted in zip(loops, self.arguments.map_index, strict=False):
            found = expressions.iterations(loop.target, loop.items, loop.where, scope)
            for index, variables in enumerate(found):
                if index == wanted:
                    scope = scope.within(variables)
                    break
            else:
                raise UsageError(f"`{loop.target} in {loop.items}` has no item {wanted}")
        return scope

    def _iterations(
        self, scope: Scope, depth: int, index: tuple[int, ...], label: str
    ) -> Iterator[tuple[str, str]]:
        """Give the index path and the label of each innermost iteration, in order."""
        if depth == len(self.arguments.loops):
            yield ".".join(map(str, index)), label[: item_labels.LONGEST]
            return
        loop = self.arguments.loops[depth]
        is_last = depth + 1 == len(self.arguments.loops)
        is_own = is_last and not loop.only

        def listed() -> list[dict[str, Variable]]:
            if is_own:
                self._evaluate_checks(scope)
            return list(expressions.iterations(loop.target, loop.items, loop.where, scope))

        for number, variables in enumerate(self._of_item(listed, index, is_own)):
            inner, path = scope.within(variables), (*index, number)
            if all(self._stays(loop, n, inner, path, is_last) for n in range(len(loop.only))):
                text = item_labels.label(variables, self._store)
                joined = f"{label},{text}" if label else text
                yield from self._iterations(inner, depth + 1, path, joined)

    def _stays(
        self, loop: LoopArguments, n: int, scope: Scope, path: tuple[int, ...], is_last: bool
    ) -> bool:
        """Whether an item passes an ``--if``; the last one of all is what the node decides."""
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
        """Evaluate; with ``--fail-items`` an error is one of this item alone, and gives nothing.

        Only the node's own clause is recorded: for what stands before it another node has done so.
        """
        if not self.arguments.fail_items:
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

    # ---------------------------------------------------------------- records of the modes

    def _note_success(self, value: object, item: tuple[int, ...] | None = None) -> None:
        """Write a record only where an attempt failed before: it has to count no more."""
        request = self._request(self._mode_json(), item)
        if request.attempt > 1:
            attempt = Attempt(request, self._store)
            attempt.returns = values.save(value, self._store)
            attempt.write(records.SUCCEEDED)

    def _fail(self, error: BaseException, item: tuple[int, ...] | None = None) -> int:
        """Write the record of what failed before a step began; the same would happen again."""
        found = failures.describe(error, [*self._project.search, self._project.root])
        return self._record_failure(found, item)

    def _record_failure(self, error: dict[str, Any], item: tuple[int, ...] | None = None) -> int:
        attempt = Attempt(self._request(self._mode_json(), item), self._store)
        attempt.error = dict(error)
        cancelled = attempt.error["kind"] == "cancelled"
        attempt.error["permanent"] = not cancelled
        status = records.CANCELLED if cancelled else records.FAILED
        shown = attempt.write(status)["error"]
        _say(f"{shown['type']}: {shown['message']}")
        return _exit_code(attempt.error)

    def _mode_json(self) -> dict[str, Any]:
        arguments = self.arguments
        module, function = arguments.module or "levada", arguments.function or arguments.mode
        return {"module": module, "function": function, "settings": {}, "code": None}

    def _seconds(self) -> float:
        created = str(self._run.get("created") or "")
        try:
            from datetime import datetime

            started = datetime.fromisoformat(created).timestamp()
        except ValueError:
            return 0.0
        return round(max(time_ns() / 1e9 - started, 0.0), 6)


def _exit_code(error: dict[str, Any]) -> int:
    if error["kind"] == "cancelled":
        return INTERRUPTED if error["type"] == "KeyboardInterrupt" else TERMINATED
    return PERMANENT if error["permanent"] else FAILED


def _project(arguments: Arguments) -> Project:
    """Settle the project and go there: relative paths mean the same on every engine."""
    given = arguments.option("store")
    if given and "://" not in given:
        os.environ["LEVADA_STORE"] = os.path.abspath(os.path.expanduser(given))
    root = os.path.abspath(arguments.option("project") or ".")
    if not os.path.isdir(root):
        raise UsageError(f"the project's folder {root} is not there")
    os.chdir(root)
    paths = [os.path.join(root, path) for path in arguments.paths]
    return Project(root, [*paths, root, os.path.join(root, "src")])


def _store_url(arguments: Arguments, project: Project) -> str:
    given = arguments.option("store")
    if given:
        return given if "://" in given else os.environ["LEVADA_STORE"]
    configured = project.settings.get("store")
    return str(configured) if configured else os.path.join(project.root, ".levada")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
