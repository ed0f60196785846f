from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Generic, ParamSpec, TypedDict, TypeVar, Unpack, overload

from .settings import Resources, Retry, Secret, Volume

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")

# What is between the marks follows from `levada.settings`: `make reference` writes it.
# settings: begin
class _Inherited(TypedDict, total=False):
    # Attempts after the first, with the time between them; a PermanentError ends them.
    retry: Retry | int
    # The time that one attempt may take; then it is ended and fails.
    timeout: float | str | timedelta
    # Whether a result of an earlier run is used where nothing has changed, or up to which age.
    cache: bool | float | str | timedelta
    # Environment variables; those of a call, a step and a pipeline are merged.
    environment: Mapping[str, str]
    # Where a step runs, of what the target has.
    executor: str

class _StepSettings(_Inherited, total=False):
    # CPU, memory, GPUs and disk that a step needs.
    resources: Resources
    # Packages that a step needs beside those that it imports.
    requirements: Sequence[str]
    # Environment variables with secrets: by reference, never by value.
    secrets: Mapping[str, str | Secret] | Sequence[str]
    # Data files of the project that belong to the step's code; paths or globs.
    files: Sequence[str]
    # Claims or folders that the step's container sees.
    volumes: Sequence[Volume]
    # A ready image to run in; none is built.
    image: str
    # Labels that the node of the step's pod must have.
    node_selector: Mapping[str, str]
    # Taints that the step's pod tolerates.
    tolerations: Sequence[Mapping[str, object]]
    # A pool that limits how many tasks run at a time.
    pool: str
    # The queue that a step waits in.
    queue: str
    # Which step starts first where not all can: the larger number.
    priority: int
    # Whether values of unknown types may be kept as pickles.
    allow_pickle: bool
    # Whether a step may return the value of a secret, which is then kept.
    allow_secret_output: bool
    # Whether what a step returns is checked against its declared type.
    check_types: bool
    # URIs of the assets that a step writes.
    produces: Sequence[str]
    # URIs of the assets that a step reads.
    consumes: Sequence[str]
    # A function that is called when a step or a run has failed.
    on_failure: str
    # By when a step or a run is to be over, counted from when the run was to start.
    sla: float | str | timedelta

class _CallSettings(_StepSettings, total=False):
    # What a pipeline is called everywhere (its DAG, CronJob and runs), or one call of a step.
    name: str

class _PipelineSettings(_Inherited, total=False):
    # What a pipeline is called everywhere (its DAG, CronJob and runs), or one call of a step.
    name: str
    # A function that is called when a step or a run has failed.
    on_failure: str
    # By when a step or a run is to be over, counted from when the run was to start.
    sla: float | str | timedelta
    # A function that is called when a run misses its `sla`.
    on_sla_miss: str
    # When runs start: minute, hour, day of month, month, day of week; or `@daily`.
    schedule: str | None
    # The time zone of `schedule`, by its IANA name.
    timezone: str
    # From when on the schedule holds.
    start_date: date | str
    # Whether runs of the schedule that were missed are made up for.
    catchup: bool
    # URIs of the assets whose updates start a run.
    triggered_by: Sequence[str]
    # How many runs may be under way at a time.
    max_active_runs: int
    # How many steps of a run may run at a time.
    max_parallel: int
    # Who is responsible.
    owner: str
    # Words to find the pipeline by.
    tags: Sequence[str]

# settings: end

class PermanentError(Exception): ...

class Loop(Generic[_T]):
    items: Iterable[_T]
    max_parallel: int
    def __init__(self, items: Iterable[_T], *, max_parallel: int) -> None: ...
    def __iter__(self) -> Iterator[_T]: ...

# What a type checker sees of a declared step: the function, with `after` and `options`.
class Step(Generic[_P, _R]):
    __name__: str
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R: ...
    def after(self, *nodes: object) -> Step[_P, _R]: ...
    def options(self, **settings: Unpack[_CallSettings]) -> Step[_P, _R]: ...

class Pipeline(Generic[_P, _R]):
    __name__: str
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R: ...
    def after(self, *nodes: object) -> Pipeline[_P, _R]: ...

@overload
def step(
    function: Callable[_P, _R],
    /,
    *,
    name: str = ...,
    **settings: Unpack[_StepSettings],
) -> Step[_P, _R]: ...
@overload
def step(**settings: Unpack[_StepSettings]) -> Callable[[Callable[_P, _R]], Step[_P, _R]]: ...
def container(
    image: str,
    /,
    *,
    command: Sequence[str] | None = ...,
    args: Sequence[str] | None = ...,
    inputs: Mapping[str, object] | None = ...,
    outputs: Mapping[str, object] | None = ...,
    name: str = ...,
    **settings: Unpack[_StepSettings],
) -> Step[..., Any]: ...
@overload
def pipeline(function: Callable[_P, _R], /) -> Pipeline[_P, _R]: ...
@overload
def pipeline(
    **settings: Unpack[_PipelineSettings],
) -> Callable[[Callable[_P, _R]], Pipeline[_P, _R]]: ...
def after(*nodes: object) -> None: ...

# The steps of the block need not wait for each other's side effects.
class parallel:  # noqa: N801
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...
