"""What a target's client does: deploys a compiled pipeline, submits runs of it and follows them.

A target names its client by a reference that is imported when it is used::

    client = "levada_backends.airflow.client:AirflowClient"

A target without one cannot be submitted to. A client is made with the options of its target in
the chosen environment and the project's root. Whatever cannot be done it raises as a
:class:`ClientError`. It may import the library of its engine, when it is made or later.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from .slotted import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# What a run is.
QUEUED: Final = "queued"
RUNNING: Final = "running"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
# A step is one of these, or else:
WAITING: Final = "waiting"  #: for what it needs, or for a place to run
RETRYING: Final = "retrying"  #: an attempt has failed, and another one will be made
SKIPPED: Final = "skipped"  #: a branch not taken, or after a failure

OVER: Final = frozenset((SUCCEEDED, FAILED, CANCELLED))
STEP_OVER: Final = OVER | {SKIPPED}


class ClientError(Exception):
    """What cannot be done at the engine, in words for the user, who sees them as `error:`.

    ``way_out`` says what to do about it, shown as `help:`. Neither may hold a secret.
    """

    def __init__(self, message: str, way_out: str = "") -> None:
        super().__init__(message)
        self.way_out = way_out


def not_installed(error: ModuleNotFoundError, target: str, extra: str = "") -> ClientError:
    """What a target's client lacks; ``extra`` is the extra of Levada that has it, if one does."""
    way_out = f"pip install 'levada[{extra}]'" if extra else ""
    message = f"the client of `{target}` needs `{error.name}`, which is not installed"
    return ClientError(message, way_out)


class NotDeployedError(ClientError):
    """What the engine has is not what was compiled here; after a deploy it may be in a while."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A pipeline as it is compiled here, for this target and environment.

    ``files`` is what the target's ``emit`` gave. ``plan`` is that of ``docs/contracts.md``, section
    3: it has the parameters with their schemas, the settings (``schedule`` and ``timezone`` among
    them) and the digest of the source.
    """

    pipeline: str
    files: Mapping[str, str]
    plan: Mapping[str, Any]

    @property
    def source(self) -> str:
        """The digest of all source files that the pipeline was compiled from."""
        return str(self.plan["source"])


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a deploy changed, or found as it should be.

    ``status`` is ``new``, ``changed``, ``unchanged`` or ``removed``; ``place`` is what it is
    called there: a path, a version, an object.
    """

    place: str
    status: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A run that is asked for.

    ``parameters`` holds only what was given, and fits the pipeline's schemas. ``run_id`` None lets
    the client make one up. ``unpause`` allows to switch on a pipeline that is paused there.
    """

    parameters: Mapping[str, Any]
    run_id: str | None = None
    unpause: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """A run. ``run_id`` is what the step records in the store have; ``url`` is for a browser."""

    pipeline: str
    run_id: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class StepState:
    """How far a step of a run is, in one iteration.

    ``map_index`` is the engine's, None outside of loops; ``label`` says the item (``depth=4``)
    where the engine knows it. ``attempt`` counts from 1; 0 means none was started. ``is_control``
    marks what decides, lists or waits and calls no step. ``reason`` is why it waits or failed, in
    the engine's words. ``engine`` holds ids of the last attempt that its record has in ``engine``
    too, by which it is found. ``key`` is for the client itself.
    """

    node: str
    status: str
    map_index: tuple[int, ...] | None = None
    label: str = ""
    attempt: int = 0
    seconds: float | None = None
    cached: bool = False
    is_control: bool = False
    reason: str = ""
    engine: Mapping[str, object] = field(default_factory=dict)
    key: str = ""


@dataclass(frozen=True, slots=True)
class RunState:
    """How far a run is. ``started`` and ``finished`` are ISO UTC, empty where there is none yet.

    ``reason`` says why it failed apart from its steps, or why nothing goes on.
    """

    run: Run
    status: str
    steps: Sequence[StepState] = ()
    started: str = ""
    finished: str = ""
    reason: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen in it."""
        return self.status in OVER


class Client(Protocol):
    """An engine in one environment. A client is a subclass of this."""

    def __init__(self, options: Mapping[str, object], root: str) -> None:
        """``options`` are the target's; relative paths in them are relative to ``root``."""

    @property
    def address(self) -> str:
        """What it talks to, for messages: a URL, a context, a folder."""

    @property
    def folder(self) -> str | None:
        """Where ``deploy`` copies the files to, for those that find the project from there."""

    def deploy(self, compiled: Compiled, *, dry_run: bool = False) -> Sequence[Change]:
        """Put the pipeline there, all of it or nothing, and say what changed (or would)."""

    def next_step(self, compiled: Compiled) -> str:  # noqa: ARG002
        """What is left to do by hand after :meth:`deploy`, in words; "" if there is nothing."""
        return ""

    def verify(self, compiled: Compiled) -> None:
        """Return if what is there is what was compiled here.

        Raises:
            NotDeployedError: there is none, or an older one; it says which.
            ClientError: it is there and cannot be run: the engine's errors on it.
        """

    def submit(self, compiled: Compiled, request: Request) -> Run:
        """Start a run, after :meth:`verify`."""

    def find(self, pipeline: str, run_id: str) -> Run:
        """The run of this id; ClientError if there is none."""

    def status(self, run: Run) -> RunState:
        """How far it is now."""

    def follow(self, run: Run) -> Iterator[RunState]:
        """How far it is, now and after each change, until it is over. See :func:`poll`."""

    def log(self, run: Run, step: StepState, attempt: int, first: int = 0) -> Sequence[str]:
        """The lines of an attempt's log from number ``first`` on, as far as they are there."""

    def failure(self, run: Run, step: StepState, attempt: int) -> str:  # noqa: ARG002
        """Why an attempt failed that is not the last one, in a line; "" if it is not known."""
        return ""

    def outputs(self, run: Run) -> Any:
        """What the pipeline returned, as ``levada run --json`` has it; None if it is not known.

        Asked only if the store cannot be read from here.
        """

    def cancel(self, run: Run) -> None:
        """End the run: what runs is stopped, nothing more is started."""

    def retry(self, run: Run) -> Run:
        """Run again what failed of a run that is over, and what comes after that."""


def poll(
    status: Callable[[], RunState], *, least: float = 0.5, most: float = 5.0
) -> Iterator[RunState]:
    """Ask again and again until the run is over: soon while it changes, else more slowly."""
    pause, before = least, None
    while True:
        now = status()
        yield now
        if now.is_over:
            return
        pause = least if now != before else min(pause * 1.25, most)
        before = now
        time.sleep(pause)


def refuse_large(parameters: Mapping[str, object], largest: int, why: str) -> None:
    """Raise ClientError if the parameters of a run, as JSON, have more bytes than ``largest``."""
    sizes = {name: len(json.dumps(value).encode()) for name, value in parameters.items()}
    size = sum(sizes.values())
    if size > largest:
        name = max(sizes, key=lambda each: sizes[each])
        raise ClientError(
            f"the parameters have {size:,} bytes, {sizes[name]:,} of them `{name}`: {why}",
            "give the address of a file, and let a step read it",
        )


def text_option(options: Mapping[str, object], name: str, default: str = "") -> str:
    """An option that is a text."""
    value = options.get(name, default)
    if not isinstance(value, str):
        raise ClientError(f"the option `{name}` must be a string, not {value!r}")
    return value


def secret_option(options: Mapping[str, object], name: str) -> str | None:
    """The secret in the environment variable that this option names; None without the option.

    A secret has no place in a file or on a command line, so an option holds its name only.
    """
    variable = text_option(options, name)
    if not variable:
        return None
    value = os.environ.get(variable)
    if not value:
        raise ClientError(
            f"the environment variable `{variable}` is not set",
            f"`{name}` of the target says that the secret is in it",
        )
    return value
