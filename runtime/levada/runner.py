"""Run one attempt of a step in this process, and write its record whatever happens."""

from __future__ import annotations

import os
import signal
import sys

from levada import (
    cache,
    data_files,
    failures,
    input_classes,
    observations,
    records,
    step_function,
    tracking,
    values,
)
from levada.artifact import Artifact, NoField
from levada.attempt import Attempt, output_entry
from levada.errors import (
    Cancelled,
    InputError,
    ProgramError,
    ReturnError,
    StepError,
    TimedOut,
)
from levada.observe import Observer
from levada.output_capture import OutputCapture
from levada.program_modules import ProgramModules
from levada.project import Project
from levada.request import StepRequest
from levada.resources import Usage
from levada.step_logging import StepLogging
from levada.store import StoreError, open_store
from levada.system_metrics import SystemMetrics
from levada.trees.classes import type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from levada.cache_types import Observed, Reason
    from levada.record_types import ErrorPart, Record, Status
    from levada.store import Store
    from levada.trees.tree_types import Tree

__all__ = ["StepRequest", "record_hit", "run", "stage", "take_from_cache"]

#: Why an attempt is no hit although the cache has its outputs.
_RAN_BEFORE: Reason = {"part": "cache", "text": "the program ran before the cache was looked at"}


def run(
    request: StepRequest,
    *,
    echo: bool = False,
    looked_up: cache.Lookup | None = None,
    ends_process: bool = False,
    start: str = "fresh",
) -> Record:
    """Run the attempt and give its record, which is in the store by then.

    With ``echo`` the output is also shown where it would have gone. ``looked_up`` is a lookup in
    the cache that was a miss just now. With ``ends_process`` what Python does at exit is done
    while the output is still captured. ``start`` is ``fork`` where this process was forked with
    distributions loaded. Raises StoreError if the store cannot be written.
    """
    attempt = Run(request, looked_up, start=start)
    record: Record = attempt.run(echo=echo, ends_process=ends_process)
    return record


def record_hit(request: StepRequest, looked_up: cache.Lookup, store: Store) -> Record:
    """Write the record of an attempt that the cache answers, and give it. Raises StoreError."""
    entry = looked_up.entry
    if entry is None:
        raise ValueError("the lookup was a miss")
    attempt = Attempt(request, store)
    attempt.looked_up = looked_up
    request.warnings = [*request.warnings, *_unpinned(request), *store.take_warnings()]
    attempt.returns = Artifact.from_json(entry["returns"])
    attempt.outputs = entry["outputs"]
    attempt.metrics = entry["metrics"]
    attempt.params = entry["params"]
    attempt.artifacts = entry["artifacts"]
    record: Record = attempt.write(records.SUCCEEDED)
    return record


def _unpinned(request: StepRequest) -> list[str]:
    """Warn of a program's image that is the same as before only by its name."""
    image = cache.environment_of(request).get("image")
    if request.container is None or "@" in str(image):
        return []
    return [
        f"reused an output of the image {image}, whose digest is not known here: if the tag may"
        " move, name the image by its digest (name@sha256:…)"
    ]


def take_from_cache(request: StepRequest) -> Any:
    """Record an attempt if the cache has its outputs, and give the `Record`; None if it has not.

    Raises StoreError.
    """
    store = open_store(request.store)
    found = cache.lookup(request, store)
    return record_hit(request, found, store) if found.hit else None


def stage(request: StepRequest, folder: str) -> None:
    """Write the inputs of a container step below ``folder`` for its program.

    Nothing is written to the store: the attempt's folder there is still to be made.
    """
    from levada import programs

    programs.stage(_inputs(request, open_store(request.store)), folder)


class Run:
    """One call of :func:`run`. ``unfinished_line``: whether the echoed output lacks a newline.

    With ``replaceable`` an attempt that SIGTERM ended writes no record: whoever sent the signal
    knows why, and may start the same attempt again elsewhere.
    """

    def __init__(
        self,
        request: StepRequest,
        looked_up: cache.Lookup | None = None,
        *,
        replaceable: bool = False,
        start: str = "fresh",
    ) -> None:
        self.request = request
        self._start = start
        self._replaceable = replaceable
        self.store = open_store(request.store)
        self.store.preload()  # before the step can change what the environment says of it
        self.attempt = Attempt(request, self.store)
        self.attempt.looked_up = looked_up
        self.unfinished_line = False
        #: what the step's function read, and texts that may name more files
        self._observed: tuple[Observer, list[str]] | None = None

    def run(self, *, echo: bool, ends_process: bool) -> Any:
        """Run the attempt and give its `Record`; see :func:`run`."""
        if self._answered_by_cache():
            return record_hit(self.request, self._looked_up(), self.store)
        signals = Signals(self.request.settings.get("timeout"), restore=not ends_process, held=True)
        with signals:
            try:
                self._run_captured(signals, echo=echo, ends_process=ends_process)
                return self._finish()
            finally:
                self._store_log()

    def _store_log(self) -> None:
        try:
            self.attempt.finish_log()
        except StoreError as error:  # the record is there
            say(f"warning: the log is not in the store: {error}")

    def _run_captured(self, signals: Signals, *, echo: bool, ends_process: bool) -> None:
        self.attempt.start = self._start
        folder = self.attempt.begin_files()
        log = os.path.join(folder, "log")
        output = OutputCapture(log, echo=echo, secrets=self.attempt.secrets.values())
        output.start()
        usage, system = Usage(), SystemMetrics()
        if self.request.container is None:  # its program runs elsewhere
            system.start()
        try:
            self._guarded(lambda: self._execute(signals))
            if ends_process:
                self._guarded(_finish_interpreter)
        finally:
            disarm()
            system.stop()
            self.attempt.resources = usage.finish()
            self._warn_of_store()
            self._print_error()
            output.stop()
            self.unfinished_line = output.unfinished_line
            self.attempt.finish_metrics()
            self._note_system(system)

    def _note_system(self, system: SystemMetrics) -> None:
        try:
            self.attempt.system = system.entries(self.store)
        except StoreError as error:  # the record may be written all the same
            say(f"warning: the system's metrics are not in the store: {error}")

    def _answered_by_cache(self) -> bool:
        if self.attempt.looked_up is None:
            try:
                self._have_image()
                self.attempt.looked_up = cache.lookup(self.request, self.store)
            except (StoreError, StepError, ProgramError):  # running it meets the same, and tells it
                return False
        found = self._looked_up()
        if found.hit and self._has_run:
            missed = cache.Lookup(found.key, found.parts, None, [_RAN_BEFORE], found.warnings)
            self.attempt.looked_up = missed
        return self._looked_up().hit

    @property
    def _has_run(self) -> bool:
        """Whether this only collects what the program of a container step has written."""
        if self.request.container is None:
            return False
        from levada import programs

        return programs.RAN_IN in os.environ

    def _have_image(self) -> None:
        """Have the image of a container step here: its digest is part of the cache's key."""
        if self.request.container is None or self._has_run:
            return
        from levada import docker_program

        docker_program.provide(self.request.settings["image"])

    def _looked_up(self) -> cache.Lookup:
        if self.attempt.looked_up is None:
            raise StoreError("the cache cannot be read")
        return self.attempt.looked_up

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do something of the user's; whatever it raises becomes the record's error."""
        try:
            action()
        except BaseException as error:  # noqa: BLE001  SystemExit and signals also
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self.attempt.error is None:
            request = self.request
            places = [
                *request.roots,
                request.project,
                *step_function.package_folder(request.step["module"]),
            ]
            described = failures.describe(error, places)
            if isinstance(error, StepError) and not isinstance(error, InputError):
                described["permanent"] = True
            self.attempt.error = described

    def _execute(self, signals: Signals) -> None:
        signals.release()
        request = self.request
        for warning in self.attempt.warnings:
            say(f"warning: {warning}")
        if request.container is not None:
            self._save(self._run_program(request.container))
            return
        _check_secrets(request)
        with _Surroundings(request), StepLogging():
            observer = self._observer()
            project = Project(request.project, request.roots)
            values.set_program(
                ProgramModules(project, self.store, request.pipeline_file, observer.paused)
            )
            observer.start()
            try:
                function = step_function.import_function(request)
                self.attempt.line = step_function.first_line(function)
                inputs = _inputs(request, self.store)
                texts = [*step_function.texts_in(function), *_named_by(inputs)]
                returned = self._tracked(function, inputs)
            finally:
                observer.stop()  # before the relay is closed: its files are no data of the step
                observer.take(self.attempt.close_relay())
            self._observed = (observer, texts)
            self._warn_of_files(observer)
            if request.settings.get("check_types") is not False:
                _check_type(request, function, returned)
            self._save(returned)

    def _observer(self) -> Observer:
        request = self.request
        ignored = [*self.store.local_folders(), self.attempt.files]
        roots = [os.path.abspath(request.project), *request.roots]
        return Observer(roots, ignored, self.attempt.open_relay())

    def _warn_of_files(self, observer: Observer) -> None:
        """Warn about files of the project that an image of the step would not have."""
        request = self.request
        if os.environ.get("LEVADA_IMAGE"):  # it had them
            return
        read = observations.of_project(observer, cache.places_of(request))
        patterns = (request.settings.get("files") or ()) if read else ()
        declared = {name for each in patterns for name in data_files.find(request.project, each)}
        undeclared = [name for name in read if name not in declared]
        if undeclared:
            more = f" and {len(undeclared) - 3} more" if len(undeclared) > 3 else ""
            names = ", ".join(undeclared[:3])
            request.warnings.append(f"read {names}{more}, which the step's `files` do not name")

    def _warn_of_store(self) -> None:
        """Warn about what was in the way in the store."""
        moved = self.store.take_warnings()
        self.request.warnings = [*self.request.warnings, *moved]
        for warning in moved:
            say(f"warning: {warning}")

    def _tracked(self, function: Callable[..., object], inputs: dict[str, object]) -> object:
        self.attempt.begin_tracking()
        try:
            return step_function.call(function, inputs)
        finally:
            self.attempt.end_tracking()

    def _run_program(self, part: Mapping[str, Any]) -> object:
        """Run the program of a container step, or take what it wrote where it has run already."""
        from levada import docker_program, programs
        from levada.materializers import paths

        request, ran_in = self.request, os.environ.get(programs.RAN_IN)
        folder = ran_in or paths.new_folder()
        if not ran_in:
            _check_secrets(request)
            stage(request, folder)
            name = programs.container_name(request)
            docker_program.Program(request.settings["image"], part, request.settings).run(
                folder, name
            )
        if ran_in:  # the program has taken its time before this process began
            self.attempt.started = programs.staged_at(folder) or self.attempt.started
        if ran_in and programs.FAILED_WITH in os.environ:
            raise ProgramError(os.environ[programs.FAILED_WITH])
        return programs.returned(programs.collect(part, folder))

    def _save(self, returned: object) -> None:
        outputs = self.request.outputs
        for what, value in self._named(returned):
            self.attempt.check_secrets(value, what)
        is_tuple = isinstance(returned, tuple) and not hasattr(returned, "_fields") and outputs
        if _has_wrong_count(self.request, returned):
            raise ReturnError(_wrong_count(self.request.key, outputs, len(returned)))  # type: ignore[arg-type]
        fields = [f"_{position}" for position in range(len(outputs))] if is_tuple else outputs
        previews = self.attempt.previews()
        try:
            artifact, found = values.save_with_fields(
                returned, self.store, self.request.allow_pickle, fields, previews=previews
            )
        except NoField:
            raise ReturnError(_missing_output(self.request.key, outputs, returned)) from None
        self.attempt.note_previews(previews)
        if is_tuple:
            artifact.meta = {**artifact.meta, "outputs": outputs}
        self.attempt.returns = artifact
        for name, field in zip(outputs, found, strict=True):
            self.attempt.outputs[name] = output_entry(field, self.store)

    def _named(self, returned: object) -> list[tuple[str, object]]:
        """Return the outputs, each with what to call it in a message."""
        outputs = self.request.outputs
        if isinstance(returned, tuple) and len(returned) == len(outputs):
            found = list(zip(outputs, returned, strict=True))
        else:
            has = [name for name in outputs if hasattr(returned, name)]
            found = [(name, getattr(returned, name)) for name in has]
        named = [(f"the output `{name}`", value) for name, value in found]
        return [*named, ("the return value", returned)]

    def _print_error(self) -> None:
        error = self.attempt.error
        if error is not None:
            say("\n".join(error["traceback"]) or f"{error['type']}: {error['message']}")

    def _finish(self) -> Record:
        error: ErrorPart | None = self.attempt.error
        status: Status = records.SUCCEEDED
        if error is not None:
            self.attempt.returns, self.attempt.outputs = None, {}
            status = records.CANCELLED if error["kind"] == "cancelled" else records.FAILED
            if self._replaceable and error["type"] == Cancelled.__name__:
                return self.attempt.record(status)
        observed = self._describe_observed() if status == records.SUCCEEDED else None
        record: Record = self.attempt.write(status)
        if observed is not None and self._may_remember():
            reads = cache.context_reads(self.request, tracking.fields_read(self.attempt.context))
            outputs = self.attempt.outputs_for_cache(record)
            cache.remember(record, self.store, reads, observed, outputs)
        return record

    def _describe_observed(self) -> Observed:
        """Describe what the step read, for its record and the cache; of a program, nothing."""
        if self._observed is None:
            return observations.nothing()
        observer, texts = self._observed
        read_at = self.request.step.get("read_at")
        try:
            for path in observations.changed_modules(observer, read_at) if read_at else ():
                observer.unseen[f"{path} changed after the run had begun"] = None
            observer.files |= dict.fromkeys(observations.named_files(texts, observer.began))
            found = observations.describe(
                observer,
                cache.places_of(self.request),
                key="" if self.attempt.looked_up is None else self.attempt.looked_up.key,
                imports=self.request.step.get("imports") or (),
                known_variables=cache.known_variables(self.request),
                class_digest=lambda name: input_classes.digest(name, self.request),
            )
        except Exception as error:  # noqa: BLE001  an audit hook of the step may raise anything
            text = f"comparing what it read failed: {type(error).__name__}: {error}"
            found = observations.nothing()
            found["unseen"] = [text]
        observed = observations.kept(found, self.store)
        self.attempt.observed = observations.shown(observed)
        return observed

    def _may_remember(self) -> bool:
        known = self.request.step.get("code") is not None and self.attempt.looked_up is not None
        return known and self.request.settings.get("cache") is not False


_RAISED = (signal.SIGTERM, signal.SIGALRM)


class Signals:
    """SIGTERM and the step's timeout as exceptions in the step, where signals can be handled.

    Each is raised once, so that the step can clean up. Without ``restore`` SIGTERM stays ignored.
    Processes that the step forks end by SIGTERM as they would without us: pools rely on it. With
    ``held`` nothing is raised before :meth:`release`; what has arrived by then is raised there.
    """

    def __init__(
        self, timeout: float | None = None, *, restore: bool = True, held: bool = False
    ) -> None:
        self._timeout = timeout
        self._restore = restore
        self._held = held
        self._before: dict[signal.Signals, signal._HANDLER] = {}
        self._process = os.getpid()

    def __enter__(self) -> None:
        if not _in_main_thread():
            return
        if self._held:
            signal.pthread_sigmask(signal.SIG_BLOCK, _RAISED)
        self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._cancel)
        if self._timeout:
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._time_out)
            signal.setitimer(signal.ITIMER_REAL, self._timeout)

    def release(self) -> None:
        """Raise what has arrived so far, and what arrives from now on."""
        if _in_main_thread():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _RAISED)

    def __exit__(self, *_: object) -> None:
        disarm()
        self.release()
        if self._restore:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _time_out(self, *_: object) -> None:
        disarm()
        raise TimedOut(f"the step took longer than its timeout of {self._timeout:g} s")

    def _cancel(self, *_: object) -> None:
        if os.getpid() != self._process:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        disarm()
        raise Cancelled("the step was told to end (SIGTERM)")


#: The masks of signals of threads that fork just now.
_masks: dict[int, set[int | signal.Signals]] = {}


def _hold_sigterm() -> None:
    """Keep SIGTERM from a process that is being forked: with a handler in Python it is lost then.

    CPython forgets what arrives between the fork and its own preparation of the child
    (``PyOS_AfterFork_Child``), so a pool that ends at once would wait for good.
    """
    _masks[_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _release_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.pop(_ident()))


def _end_as_without_us() -> None:
    """Give SIGTERM its default in a process that the step has forked."""
    handler = signal.getsignal(signal.SIGTERM)
    if getattr(handler, "__func__", None) is Signals._cancel:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _release_sigterm()


def _ident() -> int:
    from _thread import get_ident

    return get_ident()


os.register_at_fork(
    before=_hold_sigterm,
    after_in_parent=_release_sigterm,
    after_in_child=_end_as_without_us,
)


def disarm() -> None:
    """Let nothing interrupt what has to be written now."""
    if _in_main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _in_main_thread() -> bool:
    from _thread import get_ident

    threading = sys.modules.get("threading")
    return threading is None or threading.main_thread().ident == get_ident()


class _Surroundings:
    """The step's environment variables and import path, undone afterwards."""

    def __init__(self, request: StepRequest) -> None:
        self._variables = {k: str(v) for k, v in request.settings.get("environment", {}).items()}
        self._roots = request.roots

    def __enter__(self) -> None:
        self._environment = dict(os.environ)
        self._path = list(sys.path)
        os.environ.update(self._variables)
        sys.path[:] = self._roots + [entry for entry in sys.path if entry not in self._roots]

    def __exit__(self, *_: object) -> None:
        sys.path[:] = self._path
        for name in set(os.environ) - set(self._environment):
            del os.environ[name]
        os.environ.update(self._environment)


def _check_secrets(request: StepRequest) -> None:
    """Secrets come as environment variables here; without one the step is not started."""
    for variable, reference in (request.settings.get("secrets") or {}).items():
        if variable not in os.environ:
            raise StepError(
                f"the secret {reference!r} is missing: set the environment variable {variable}"
            )


def _inputs(request: StepRequest, store: Store) -> dict[str, object]:
    return {name: _load(request, name, tree, store) for name, tree in request.inputs.items()}


def _load(request: StepRequest, name: str, tree: Tree, store: Store) -> object:
    try:
        return values.decode(tree, store, request.allow_pickle)
    except Exception as error:
        error.add_note(f"while loading the input {name!r} of {request.key}")
        raise


def _named_by(inputs: dict[str, object]) -> list[str]:
    """Return the texts and paths among the inputs of a step, at most one level deep."""
    given = list(inputs.values())
    for each in inputs.values():
        given += list(each)[:100] if isinstance(each, (list, tuple)) else []
    return [os.fsdecode(each) for each in given if isinstance(each, (str, os.PathLike))]


def _check_type(request: StepRequest, function: Callable[..., object], returned: object) -> None:
    """Raise ReturnError if a step returned another type than it declares."""
    from levada import return_types

    declared = return_types.declared_return(function)
    if declared is ... or isinstance(returned, Artifact) or _has_wrong_count(request, returned):
        return
    inner = step_function.innermost(function)
    names = getattr(inner, "__globals__", {})
    found = return_types.find_mismatch(returned, declared, names)
    if found is None:
        return
    place = step_function.definition(inner)
    where = f" in line {place[1]}" if place else ""
    what = f"has `{found.found}` at {found.place}" if found.place else f"is `{found.found}`"
    wanted = f", where `{found.declared}` is declared" if found.place else ""
    error = ReturnError(
        f"what {request.key} returned {what}{wanted}; it is declared"
        f" `-> {return_types.type_text(declared)}`{where}. Return that, correct the annotation, or"
        " write @step(check_types=False)"
    )
    error.place = place
    raise error


def _has_wrong_count(request: StepRequest, returned: object) -> bool:
    """Whether a tuple has other than one value for each output."""
    is_plain = isinstance(returned, tuple) and not hasattr(returned, "_fields")
    return is_plain and bool(request.outputs) and len(returned) != len(request.outputs)  # type: ignore[arg-type]


def _missing_output(key: str, outputs: list[str], returned: object) -> str:
    missing = next((name for name in outputs if not hasattr(returned, name)), outputs[0])
    kind = type_name(type(returned)).replace("builtins:", "")
    return f"{key} returned {kind}, which has no output {missing!r}"


def _wrong_count(key: str, outputs: list[str], count: int) -> str:
    return f"{key} returned {count} values; it declares {len(outputs)}: {', '.join(outputs)}"


def _finish_interpreter() -> None:
    """What Python does before a process ends: wait for threads, call exit functions."""
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()
    if "atexit" in sys.modules:
        import atexit

        atexit._run_exitfuncs()


def say(text: str) -> None:
    """Print to the log, whatever the step did to sys.stderr."""
    try:
        os.write(2, (text + "\n").encode("utf-8", "backslashreplace"))
    except OSError:
        return
