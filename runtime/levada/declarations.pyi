from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Generic, Literal, ParamSpec, TypeVar, overload

_P = ParamSpec("_P")
_R = TypeVar("_R")

class PermanentError(Exception): ...

class Resources:
    cpu: float | str | None
    memory: float | str | None
    gpu: int | None
    gpu_type: str | None
    disk: float | str | None
    def __init__(
        self,
        *,
        cpu: float | str | None = None,
        memory: float | str | None = None,
        gpu: int | None = None,
        gpu_type: str | None = None,
        disk: float | str | None = None,
    ) -> None: ...
    def as_json(self) -> dict[str, object]: ...

class Retry:
    count: int
    delay: float
    backoff: float
    max_delay: float | None
    def __init__(
        self,
        count: int,
        *,
        delay: float | str | timedelta = 1,
        backoff: float = 2,
        max_delay: float | str | timedelta | None = None,
    ) -> None: ...
    def as_json(self) -> dict[str, object]: ...

class Secret:
    name: str
    key: str | None
    def __init__(self, name: str, key: str | None = None) -> None: ...
    @property
    def reference(self) -> str: ...
    def as_json(self) -> dict[str, object]: ...

class Volume:
    claim: str
    path: str
    read_only: bool
    def __init__(self, claim: str, path: str, *, read_only: bool = False) -> None: ...
    def as_json(self) -> dict[str, object]: ...

# What a type checker sees of a declared step: the function, with `after` and `options`.
class Step(Generic[_P, _R]):
    __name__: str
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R: ...
    def after(self, *nodes: object) -> Step[_P, _R]: ...
    def options(
        self,
        *,
        allow_pickle: bool = ...,
        cache: bool = ...,
        consumes: Sequence[str] = ...,
        environment: Mapping[str, str] = ...,
        executor: str = ...,
        files: Sequence[str] = ...,
        image: str = ...,
        node_selector: Mapping[str, str] = ...,
        on_failure: str = ...,
        pool: str = ...,
        priority: int = ...,
        produces: Sequence[str] = ...,
        queue: str = ...,
        requirements: Sequence[str] = ...,
        resources: Resources = ...,
        retry: Retry | int = ...,
        secrets: Mapping[str, str | Secret] | Sequence[str] = ...,
        timeout: float | str | timedelta = ...,
        tolerations: Sequence[Mapping[str, object]] = ...,
        volumes: Sequence[Volume] = ...,
    ) -> Step[_P, _R]: ...

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
    allow_pickle: bool = ...,
    cache: bool = ...,
    consumes: Sequence[str] = ...,
    environment: Mapping[str, str] = ...,
    executor: str = ...,
    files: Sequence[str] = ...,
    image: str = ...,
    node_selector: Mapping[str, str] = ...,
    on_failure: str = ...,
    pool: str = ...,
    priority: int = ...,
    produces: Sequence[str] = ...,
    queue: str = ...,
    requirements: Sequence[str] = ...,
    resources: Resources = ...,
    retry: Retry | int = ...,
    secrets: Mapping[str, str | Secret] | Sequence[str] = ...,
    timeout: float | str | timedelta = ...,
    tolerations: Sequence[Mapping[str, object]] = ...,
    volumes: Sequence[Volume] = ...,
) -> Step[_P, _R]: ...
@overload
def step(
    *,
    allow_pickle: bool = ...,
    cache: bool = ...,
    consumes: Sequence[str] = ...,
    environment: Mapping[str, str] = ...,
    executor: str = ...,
    files: Sequence[str] = ...,
    image: str = ...,
    node_selector: Mapping[str, str] = ...,
    on_failure: str = ...,
    pool: str = ...,
    priority: int = ...,
    produces: Sequence[str] = ...,
    queue: str = ...,
    requirements: Sequence[str] = ...,
    resources: Resources = ...,
    retry: Retry | int = ...,
    secrets: Mapping[str, str | Secret] | Sequence[str] = ...,
    timeout: float | str | timedelta = ...,
    tolerations: Sequence[Mapping[str, object]] = ...,
    volumes: Sequence[Volume] = ...,
) -> Callable[[Callable[_P, _R]], Step[_P, _R]]: ...
@overload
def pipeline(function: Callable[_P, _R], /) -> Pipeline[_P, _R]: ...
@overload
def pipeline(
    *,
    cache: bool = ...,
    catchup: bool = ...,
    environment: Mapping[str, str] = ...,
    executor: str = ...,
    max_active_runs: int = ...,
    max_parallel: int = ...,
    on_failure: str = ...,
    owner: str = ...,
    retry: Retry | int = ...,
    schedule: str | None = ...,
    start_date: date | str = ...,
    tags: Sequence[str] = ...,
    timeout: float | str | timedelta = ...,
    timezone: str = ...,
    triggered_by: Sequence[str] = ...,
) -> Callable[[Callable[_P, _R]], Pipeline[_P, _R]]: ...
def after(*nodes: object) -> None: ...
def seconds(name: str, value: float | str | timedelta) -> float: ...
def setting_as_json(kind: Literal["step", "pipeline"], name: str, value: object) -> object: ...

SETTINGS: Mapping[str, Mapping[str, Callable[[str, object], object]]]
