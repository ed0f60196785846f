"""Runs a plan on this machine and keeps what happened in the store."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress

from levada import environment, expressions, git, index_log, records, run_process, sources, values
from levada.failures import of_expression as describe
from levada.index_log import RunWork
from levada.program_modules import ProgramModules
from levada.project import Project
from levada.redaction import redact_error, redact_json, secret_variables, secrets_in_request
from levada.store import StoreError, open_store

from . import events
from .callbacks import Callbacks
from .definitions import calls
from .events import Event
from .interpreter import Interpreter
from .local import LocalExecutor
from .outcome import Outcome, error_of, summarise
from .parameters import ParameterError, resolve
from .run_context import RunContext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import FrameType

    from levada.plan_types import Plan, PlanStep, Settings
    from levada.record_types import (
        EnginePart,
        ErrorPart,
        GitPart,
        RunDocument,
        RunError,
        RunPlace,
    )
    from levada.store import Store
    from levada.trees.tree_types import Tree

    from .earlier import EarlierRun
    from .executor import Attempt, Executor


class RunExistsError(ValueError):
    """The store has a run of that id already: records are never changed."""


def run(
    plan: Plan,
    parameters: dict[str, object],
    *,
    store: Store | str,
    project: Project | str,
    run_id: str | None = None,
    max_parallel: int | None = None,
    on_event: Callable[[Event], None] | None = None,
    cache: bool = True,
    trigger: str = "manual",
    logs: bool = True,
    executor: Executors | None = None,
    files: Iterable[str] = (),
    trees: Mapping[str, Tree] | None = None,
    earlier: EarlierRun | None = None,
    ids: EnginePart | None = None,
) -> Outcome:
    """Run a plan to its end.

    ``parameters`` are JSON values by name; ``store`` may be its URL, ``project`` the path of the
    project's root. At most
    ``max_parallel`` steps run at a time (default: the pipeline's own setting, else one for each
    CPU). ``on_event`` is called with every :class:`Event`, those with the steps' output only with
    ``logs``. ``executor`` makes what the attempts run in, by default processes of this machine.
    ``files`` are those of the project that the plan was made from, relative to its root: their
    texts are kept with the run.

    A run that is started again has the ``trees`` of the parameters that the run before it had,
    which count where ``parameters`` has no value; takes the results of the run ``earlier``; and
    has ``ids`` in the engine part of its document.
    An interrupt, SIGTERM or SIGHUP cancels the run, a second one kills it.

    However it ends, `outcome.json` says how, also where this raises what the engine did not expect.

    Raises ParameterError for parameters that the pipeline does not take, or that hold the value of
    a secret, as the run's id must not either; RunExistsError, and
    StoreError if the store cannot be written to.
    """
    opened = open_store(store) if isinstance(store, str) else store
    root = os.path.abspath(project if isinstance(project, str) else project.root)
    trust_program(plan, opened, root)
    secrets = secret_variables(secrets_of(plan), os.environ)
    kept = {name: tree for name, tree in (trees or {}).items() if name not in parameters}
    given = resolve(plan["parameters"], parameters, kept)
    if problems := secrets_in_request({**kept, **given}, run_id, secrets):
        raise ParameterError(problems)
    encoded = kept | {name: values.encode(value, opened) for name, value in given.items()}
    engine: EnginePart = {"name": "local", **(ids or {})}
    if executor is not None:
        engine["executor"] = executor.name
    made = Run(
        plan,
        {each["name"]: encoded[each["name"]] for each in plan["parameters"]},
        opened,
        root,
        engine=engine,
        git=git.describe(root, opened, secrets.values()),
        cache=cache,
        executors=executor,
        sources=sources.keep(root, files, opened, secrets.values()),
        earlier=earlier,
    )
    return made.run(run_id, max_parallel, on_event or (lambda _: None), trigger, logs=logs)


def trust_program(plan: Plan, store: Store, project: str) -> None:
    """Let this process load values of the program's own classes.

    Raises StoreError if the store is where modules are imported from.
    """
    search = _search(plan, project)
    values.set_program(ProgramModules(Project(project, search), store, plan["file"]))
    sys.path += [folder for folder in search if folder not in sys.path]


def _search(plan: Plan, project: str) -> list[str]:
    """Return the folders that the project's modules are imported from."""
    return [os.path.normpath(f"{project}/{folder}") for folder in plan["search"]]


def new_run_id() -> str:
    """A run id that sorts by time (UTC) and that nobody else makes: ``20260102-150405-1f3a9c``."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.urandom(3).hex()}"


class Executors:
    """Makes the executor of a run. ``name`` is the word after ``--executor``, in the records."""

    name: str

    def __call__(
        self, context: RunContext, on_log: Callable[[Attempt, str], None] | None
    ) -> Executor:
        """Make it."""
        raise NotImplementedError


class Run:
    """One run of a plan on this machine; ``trees`` are its parameters."""

    def __init__(
        self,
        plan: Plan,
        trees: dict[str, Tree],
        store: Store,
        project: str,
        *,
        engine: EnginePart,
        git: GitPart | None,
        cache: bool = True,
        executors: Executors | None = None,
        sources: str | None = None,
        earlier: EarlierRun | None = None,
    ) -> None:
        self._plan = plan
        self._trees = trees
        self._store = store
        self._project = project
        self._engine = engine
        self._git = git
        self._sources = sources
        self._earlier = earlier
        self._cache = cache
        self._executors = executors
        #: the values of the secrets of all steps that this process has
        self._hidden = [*secret_variables(secrets_of(plan), os.environ).values()]
        self._started = time.time_ns()

    def run(
        self,
        run_id: str | None,
        max_parallel: int | None,
        on_event: Callable[[Event], None],
        trigger: str,
        *,
        logs: bool,
    ) -> Outcome:
        """Run it under a new id; see :func:`run`."""
        run_id = self._register(run_id, trigger)
        try:
            return self._run(run_id, max_parallel, on_event, logs=logs)
        except BaseException as error:
            self._write_crash(run_id, error)
            raise

    def _run(
        self,
        run_id: str,
        max_parallel: int | None,
        on_event: Callable[[Event], None],
        *,
        logs: bool,
    ) -> Outcome:
        context = self._context(run_id)
        on_log = _log_events(on_event) if logs else None
        executor = (self._executors or LocalExecutor)(context, on_log)
        interrupts = _Interrupts(executor.wake)
        callbacks = self._callbacks(context)

        def told(event: Event) -> None:
            on_event(event)
            callbacks.take(event)

        interpreter = Interpreter(
            self._plan,
            self._trees,
            executor,
            self._store,
            max_parallel=max_parallel or self._parallel(),
            on_event=self._masking(told),
            attend=interrupts.attend,
            secrets=self._hidden,
        )
        shown = self._shown_parameters()
        on_event(
            Event(
                events.RUN_STARTED,
                pipeline=self._plan["pipeline"],
                run_id=run_id,
                parameters=shown,
                record=context.folder,
            )
        )
        self._warn_of_store(on_event)
        interrupts.install()
        try:
            interpreter.run()
        finally:
            executor.close()
            context.close()
            interrupts.remove()
        outcome = self._outcome(interpreter, run_id)
        self._warn_of_store(on_event)
        on_event(Event(events.RUN_FINISHED, outcome=outcome))
        callbacks.take_outcome(outcome)
        callbacks.close()
        return outcome

    def _warn_of_store(self, on_event: Callable[[Event], None]) -> None:
        """Tell what was in the way in the store; what a step met there is in its record."""
        for text in self._store.take_warnings():
            on_event(Event(events.WARNING, text=text))

    def _callbacks(self, context: RunContext) -> Callbacks:
        given = {
            "pipeline": context.pipeline,
            "run_id": context.run_id,
            "params": self._shown_parameters(),
            "store": self._store.url,
            "folder": context.folder,
        }
        search = _search(self._plan, self._project)
        return Callbacks(self._plan, self._project, search, given, secrets_of(self._plan))

    def _shown_parameters(self) -> dict[str, object]:
        """The parameters as people see them."""
        shown: dict[str, object] = {
            name: values.display(tree, self._store) for name, tree in self._trees.items()
        }
        return redact_json(shown, self._hidden)

    def _masking(self, on_event: Callable[[Event], None]) -> Callable[[Event], None]:
        """Mask secrets in what events say; records and logs have none."""
        secrets = self._hidden

        def masked(event: Event) -> None:
            details = event.details
            if details.get("error"):
                details["error"] = redact_error(details["error"], secrets)
            on_event(event)

        return masked if secrets else on_event

    def _parallel(self) -> int:
        return int(self._plan["settings"].get("max_parallel") or cpu_count())

    def _context(self, run_id: str) -> RunContext:
        return RunContext(
            pipeline=self._plan["pipeline"],
            pipeline_file=self._plan["file"],
            run_id=run_id,
            parameters=self._trees,
            project=self._project,
            search=_search(self._plan, self._project),
            store=self._store,
            engine=self._engine,
            git=self._git,
            packages=[
                (step["imports"], step["settings"].get("requirements") or [])
                for step in self._steps()
            ],
            use_cache=self._cache,
            earlier=self._earlier,
            secrets=secrets_of(self._plan),
        )

    def _steps(self) -> list[PlanStep]:
        return list(self._plan["steps"].values())

    # ---------------------------------------------------------------- documents

    def _register(self, run_id: str | None, trigger: str) -> str:
        """Write ``run.json``; gives the run's id."""
        plan = json.dumps(self._plan, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        document: RunDocument = {
            "schema": records.RUN_SCHEMA,
            "pipeline": self._plan["pipeline"],
            "run_id": run_id or new_run_id(),
            "parameters": {
                "trees": self._trees,
                "display": self._shown_parameters(),
            },
            "trigger": trigger,
            "user": environment.user_name(),
            "engine": {**self._engine, "process": run_process.current()},
            "created": records.timestamp(self._started),
            "source": self._plan["source"],
            "plan": self._store.put_blob(plan.encode("utf-8", "surrogatepass")),
            "git": self._git,
            "environment": environment.whole(),
            "sources": self._sources,
        }
        folder = records.run_path(self._plan["pipeline"], document["run_id"])
        if self._store.write_once(f"{folder}/run.json", records.document(document)):
            index_log.write_started(self._store, document)
            return document["run_id"]
        if run_id is None:
            return self._register(None, trigger)
        raise RunExistsError(f"there is a run {run_id!r} of {self._plan['pipeline']} already")

    def _outcome(self, interpreter: Interpreter, run_id: str) -> Outcome:
        outcome = self._new_outcome(run_id)
        failure = interpreter.failure
        if failure is not None:
            # Only a cancellation ends a run in which every failed call had attempts left.
            outcome.error = None if failure.gave_up else error_of(failure)
            outcome.status = "failed"
        elif interpreter.cancelled is None:
            self._return(interpreter, outcome)
        if interpreter.cancelled is not None:
            outcome.status = "cancelled"
        outcome.steps = summarise(interpreter.nodes.calls(), interpreter.skipped)
        outcome.resources = interpreter.used.as_json()
        self._write_outcome(outcome, interpreter.work)
        return outcome

    def _new_outcome(self, run_id: str) -> Outcome:
        pipeline = self._plan["pipeline"]
        outcome = Outcome(pipeline, run_id, records.run_path(pipeline, run_id), self._store)
        outcome.secrets = self._hidden
        return outcome

    def _write_outcome(self, outcome: Outcome, work: RunWork) -> None:
        outcome.error = redact_error(outcome.error, outcome.secrets)
        finished = max(time.time_ns(), self._started)  # somebody may have set the clock back
        outcome.finished = records.timestamp(finished)
        outcome.seconds = (finished - self._started) / 1e9
        document = outcome.document()
        self._store.write_once(f"{outcome.folder}/outcome.json", records.document(document))
        index_log.write_ended(self._store, document, work)

    def _write_crash(self, run_id: str, error: BaseException) -> None:
        """Write the outcome of a run that the engine itself could not bring to its end."""
        outcome = self._new_outcome(run_id)
        is_interrupt = isinstance(error, KeyboardInterrupt)
        outcome.status = "cancelled" if is_interrupt else "failed"
        outcome.error = _of_run(describe(error))
        with suppress(StoreError):  # that may be what it is about
            self._write_outcome(outcome, RunWork())

    def _return(self, interpreter: Interpreter, outcome: Outcome) -> None:
        result = self._plan["result"]
        scope = interpreter.scope
        try:
            outcome.outputs = [expressions.tree(text, scope) for text in result["values"]]
        except Exception as error:  # noqa: BLE001 - whatever it is, the run failed with it
            outcome.status = "failed"
            outcome.error = _of_run(describe(error))
            return
        outcome.names, outcome.kind = result["names"], result["kind"]


class _Interrupts:
    """SIGINT, SIGTERM and SIGHUP while a run goes on: the first cancels it, the second kills it.

    A terminal that is closed sends SIGHUP. Where it is ignored, as with nohup, it stays ignored.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._names: list[str] = []
        self._handled = 0
        self._before: dict[int, signal._HANDLER] = {}

    def install(self) -> None:
        """Take over the signals, where Python lets us: in the main thread."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            try:
                self._before[number] = signal.signal(number, self._note)
            except ValueError:
                return

    def remove(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def attend(self, interpreter: Interpreter) -> None:
        """Cancel the run if there was a signal."""
        while self._handled < min(len(self._names), 2):
            force = self._handled > 0
            interpreter.cancel(self._names[self._handled], force=force)
            self._handled += 1

    def _note(self, number: int, _: FrameType | None) -> None:
        self._names.append(signal.Signals(number).name)
        self._wake()


def _of_run(error: ErrorPart) -> RunError:
    """Return the error of a run that failed outside of its nodes."""
    place: RunPlace = {"node": None, "map_index": None, "context": None}
    return {**error, **place}


def secrets_of(plan: Plan) -> set[str]:
    """Return the variables of the secrets of a plan: those of its steps, and of single calls."""
    return {name for each in _all_settings(plan) for name in each.get("secrets") or ()}


def returns_secrets(plan: Plan) -> bool:
    """Whether a step of a plan may return the value of a secret."""
    return any(each.get("allow_secret_output") for each in _all_settings(plan))


def _all_settings(plan: Plan) -> list[Settings]:
    return [form["settings"] for form in (*plan["steps"].values(), *calls(plan["body"]))]


def cpu_count() -> int:
    """How many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _log_events(on_event: Callable[[Event], None]) -> Callable[[Attempt, str], None]:
    def on_log(attempt: Attempt, text: str) -> None:
        index = attempt.map_index or None
        on_event(Event(events.LOG, attempt.node, index, attempt.number, text=text))

    return on_log
